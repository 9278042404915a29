"""Says in plain words which kind suits what, from the figures of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from . import plan
from .figures import Figure
from .kinds import BACKENDS
from .results import Turn

_NOISE: Final = 0.1
"""Kinds that are this close are alike; also those that are as close as a kind's rounds are to each other."""
_NOISE_OF_ONE: Final = 0.25
"""Where there was one round only."""
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
        counts = " and ".join(f"{known['acknowledged'].told(label)} of {label}" for label in labels)
        told.append(f"No acknowledged write was lost under faults: {counts} are on every server.")
    if len(labels) == 1:
        return told
    ahead: Counter[str] = Counter()
    purposes: dict[str, list[str]] = {label: [] for label in labels}
    for key, purpose, unit, least in _PURPOSES:
        figure = known[key]
        if any(figure.of(label) is None for label in labels):
            continue
        best = winner(figure, least)
        if best is not None:
            ahead[best] += 1
            purposes[best].append(purpose)
        told.append(f"{purpose}: {best or 'no difference'} ({_each(figure, unit)}).")
    told += _conclusion(ahead, purposes)
    return told


def winner(figure: Figure, least: float) -> str | None:
    """Who is best, clearly, and by no less than that; None: nobody."""
    values = {label: value for label in figure.values if (value := figure.of(label)) is not None}
    ranked = sorted(values, key=lambda label: values[label], reverse=bool(figure.more))
    first, second = (values[label] for label in ranked[:2])
    better, worse = (first, second) if figure.more else (second, first)
    rounds = min(map(len, figure.values.values()))
    noise = max(_NOISE, figure.spread) if rounds > 1 else _NOISE_OF_ONE
    return ranked[0] if better - worse > max(worse * noise, least) else None


def _warnings(turns: Sequence[Turn]) -> list[str]:
    told = []
    for turn in turns:
        verdict, where = turn.verdict, f"{turn.label}, round {turn.round}"
        if not verdict.good:
            told.append(
                f"{where}: WRONG. Of {verdict.acknowledged:,} acknowledged writes {verdict.lost:,} are lost, "
                f"{verdict.invented:,} znodes were never asked for, and {verdict.differing:,} are not on "
                "every server. Please report this, with the report's JSON."
            )
        names = {fault.key: fault.name for fault in plan.FAULTS}
        told += [
            f"{where}: no write any more after: {names[it.fault]}." for it in turn.blows if it.gap is None
        ]
        if errors := sum(run.errors for run in turn.runs):
            told.append(f"{where}: {errors:,} requests failed with no fault under way.")
    return told


def _each(figure: Figure, unit: str) -> str:
    return ", ".join(f"{label} {figure.told(label)}{unit}" for label in figure.values)


def _conclusion(ahead: Counter[str], purposes: dict[str, list[str]]) -> list[str]:
    """Between our own, that is: who wants ZooKeeper knows why."""
    ours = {label: ahead[label] for label in purposes if label.split()[0] in BACKENDS}
    if len(ours) < 2:
        return []
    ranked = sorted(ours, key=lambda label: ours[label], reverse=True)
    first = ranked[0]
    if ours[first] == ours[ranked[1]]:
        return [f"All in all {' and '.join(ours)} are even: take what matters to you from the lines above."]
    told = [f"When in doubt: {first}, ahead in {ours[first]} of {len(_PURPOSES)} respects."]
    for label in ranked[1:]:
        if purposes[label]:
            what = ", ".join(f"“{purpose}”" for purpose in purposes[label])
            told.append(f"{label} where this matters most: {what}.")
    return told
