"""Turns as they might have been, for what is made of them."""

from __future__ import annotations

from dataclasses import replace

from znoded.daemon.compare import plan
from znoded.daemon.compare.comparison import Comparison
from znoded.daemon.compare.latency import Latencies
from znoded.daemon.compare.numbers import Costs
from znoded.daemon.compare.results import Blow, Run, Turn, Verdict

GOOD = Verdict(acknowledged=1000, lost=0, invented=0, differing=0)
LOST = Verdict(acknowledged=1000, lost=2, invented=0, differing=2)


def latencies(median: float) -> Latencies:
    """A hundred, as many below the median (in ms) as above."""
    made = Latencies()
    for part in range(1, 101):
        made.add(median * part / 50 / 1000, 1)
    return made


def turn(label: str, rate: float = 1000.0, *, gap: float | None = 0.08, verdict: Verdict = GOOD) -> Turn:
    """One in which every load ran at that rate; what is better with a higher rate is so."""
    costs = Costs(7.0, 700.0, 3.0, None, 1 / rate)
    runs = [
        Run(load.key, rate, 0, latencies(1000 / rate), costs if load.mix == plan.MIX else None)
        for load in plan.FEW
    ]
    series = [(-0.1, rate), (0.0, 0.0), (0.1, rate)]
    blows = [Blow(fault.key, gap, 0.01, 0.5, 0.08, series) for fault in plan.FAULTS]
    return Turn(label, "3.9.3", 1, 0.7, runs, 40e6, blows, verdict)


def compared(*turns: Turn) -> Comparison:
    """Each label's first turn is of the first round, its second of the second."""
    seen: list[str] = []
    numbered = []
    for one in turns:
        seen.append(one.label)
        numbered.append(replace(one, round=seen.count(one.label)))
    how = replace(plan.planned(3, None, quick=True), rounds=numbered[-1].round)
    return Comparison({"processor": "a <fast> one"}, (), how, numbered)
