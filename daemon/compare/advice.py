"""Says in plain words which kind suits what, from the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from . import plan
from .figures import Figure
from .kinds import own
from .results import Turn

_NOISE: Final = 0.1
"""Kinds that are this close are alike; also those that are as close as a kind's rounds are to each other."""
_NOISE_OF_ONE: Final = 0.25
"""Where there was one round only."""
_CLEARLY: Final = 2
"""In so many more respects one must be ahead to be the one to take."""
_PURPOSES: Final = (
    ("rate:write-many", "Many writes at once", "/s", 0.0),
    ("p50:write-lone", "A single write, answered soon", " ms", 0.0),
    ("rate:write-many-10k", "Large values", "/s", 0.0),
    ("rate:read-many", "Many reads", "/s", 0.0),
    ("gap:leader", "Writes go on when the leader dies", " ms", 30.0),
    ("gap:paused", "Writes go on when the leader hangs", " ms", 30.0),
    ("rejoined:follower", "Writes go on when a server comes back", " ms", 30.0),
    ("back:all", "Up again when all were down", " ms", 30.0),
    ("cpu:write-many", "Few CPUs", " s for 1,000 writes", 0.0),
    ("bytes:write-many", "A thin network", " bytes a write", 0.0),
    ("memory", "Little memory", " MB", 5.0),
)
"""(a figure's key, what it matters for, its unit, the least difference that does)."""


def advice(turns: Sequence[Turn], figures: Sequence[Figure]) -> list[str]:
    """Sentences, what matters most first."""
    told = _warnings(turns)
    known = {figure.key: figure for figure in figures}
    labels = list(known["lost"].values)
    if not told:
        counts = listed([f"{known['acknowledged'].told(label)} of {label}" for label in labels])
        told.append(f"No acknowledged write was lost under faults: {counts} are on every server.")
    # Who wants ZooKeeper knows why: what is weighed at the end are our own.
    ours = list(filter(own, labels))
    ahead: dict[str, list[str]] = {label: [] for label in ours}
    for key, purpose, unit, least in _PURPOSES:
        figure = known[key]
        there = [label for label in labels if figure.of(label) is not None]
        if len(there) < 2:
            continue
        best = leaders(figure, there, least)
        who = "no difference" if best == there else listed(best)
        values = ", ".join(f"{label} {figure.told(label)}{unit}" for label in there)
        told.append(f"{purpose}: {who} ({values}).")
        ours_there = [label for label in ours if label in there]
        best = leaders(figure, ours_there, least)
        for label in best if best != ours_there else ():
            ahead[label].append(purpose)
    return told + _conclusion(ahead)


def listed(things: Sequence[str]) -> str:
    """One, two and three of them."""
    return " and ".join(filter(None, (", ".join(things[:-1]), things[-1])))


def leaders(figure: Figure, labels: Sequence[str], least: float) -> list[str]:
    """The best of these labels, and those that are not clearly worse: by more than that, too."""
    values = {label: value for label in labels if (value := figure.of(label)) is not None}
    best = max(values.values()) if figure.more else min(values.values())
    rounds = min(len(figure.values[label]) for label in values)
    noise = max(_NOISE, figure.spread) if rounds > 1 else _NOISE_OF_ONE
    return [
        label for label, value in values.items() if abs(value - best) <= max(noise * min(value, best), least)
    ]


def _warnings(turns: Sequence[Turn]) -> list[str]:
    told = []
    for turn in turns:
        verdict, where = turn.verdict, f"{turn.label}, round {turn.round}"
        if not verdict.good:
            told.append(
                f"{where}: WRONG. Of {verdict.acknowledged:,} acknowledged writes {verdict.lost:,} are lost, "
                f"{verdict.invented:,} znodes were never asked for, and {verdict.differing:,} are not on "
                "every server."
            )
            if own(turn.label):
                told.append("That must never be: please report it, with what --json prints.")
        names = {fault.key: fault.name for fault in plan.FAULTS}
        told += [
            f"{where}: no write any more after: {names[it.fault]}." for it in turn.blows if it.gap is None
        ]
        if errors := sum(run.errors for run in turn.runs):
            told.append(f"{where}: {errors:,} requests failed with no fault under way.")
    return told


def _conclusion(ahead: Mapping[str, Sequence[str]]) -> list[str]:
    if len(ahead) < 2:
        return []
    ranked = sorted(ahead, key=lambda label: len(ahead[label]), reverse=True)
    first, most = ranked[0], len(ahead[ranked[0]])
    if most < len(ahead[ranked[1]]) + _CLEARLY:
        return [f"All in all {' and '.join(ahead)} are even: take what matters to you from the lines above."]
    told = [f"When in doubt: {first}, ahead in {most} of {len(_PURPOSES)} respects."]
    for label in ranked[1:]:
        if ahead[label]:
            what = ", ".join(f"“{purpose}”" for purpose in ahead[label])
            told.append(f"{label} where this matters most: {what}.")
    return told
