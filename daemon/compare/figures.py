"""The figures of all turns: what is compared, line by line, with each kind's values of all rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from . import plan
from .numbers import Costs
from .results import Blow, Json, Run, Turn, Verdict

RATES: Final = "Requests a second"
LATENCIES: Final = "Latency in ms: the median, and what 99 of 100 stay below"
GAPS: Final = "ms without an acknowledged write"
RECOVERY: Final = "ms until all is well again"
COSTS: Final = "What a write costs all servers together"
SERVER: Final = "A server"
SAFETY: Final = "Writes under faults"

_OF_WRITES: Final = {
    "write-lone": "one at a time",
    "write-many": "640 in flight",
}
_COSTS: Final[tuple[tuple[str, str, int, Callable[[Costs], float | None]], ...]] = (
    ("messages", "messages between servers", 3, lambda costs: costs.messages),
    ("bytes", "bytes between servers", 0, lambda costs: costs.bytes),
    ("syncs", "syncs of a log", 3, lambda costs: costs.syncs),
    ("log", "bytes of log", 0, lambda costs: costs.log),
    ("cpu", "CPU seconds per 1,000", 3, lambda costs: 1000 * costs.cpu),
)
_BACK: Final = {
    plan.LEADER.key: "a killed leader serves again",
    plan.FOLLOWER.key: "a killed follower serves again",
    plan.ALL.key: "all killed: the next write",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line. values: by label, those of all rounds that have one; none of them: it is not known there."""

    key: str
    group: str
    what: str
    digits: int
    values: Mapping[str, Sequence[float]]
    more: bool | None = False
    """Whether more is better, or less; None: neither."""
    sums: bool = False
    """What counts is the rounds' sum, not their median."""

    def of(self, label: str) -> float | None:
        """The rounds' median, or sum."""
        values = self.values[label]
        return (sum(values) if self.sums else median(values)) if values else None

    @property
    def spread(self) -> float:
        """How far from its median a label's rounds went, at the most; as a part of it."""
        return max(
            (
                (max(values) - min(values)) / 2 / median(values)
                for values in self.values.values()
                if values and not self.sums and median(values)
            ),
            default=0.0,
        )

    def told(self, label: str) -> str:
        """The median, as it is printed."""
        value = self.of(label)
        return "–" if value is None else f"{value:,.{self.digits}f}"  # noqa: RUF001

    def json(self) -> Json:
        """Medians and rounds."""
        return {
            "key": self.key,
            "group": self.group,
            "what": self.what,
            "medians": {label: self.of(label) for label in self.values},
            "rounds": {label: list(values) for label, values in self.values.items()},
        }


def labels(turns: Sequence[Turn]) -> list[str]:
    """Of the kinds, in their order."""
    return list(dict.fromkeys(turn.label for turn in turns))


def figures(turns: Sequence[Turn]) -> list[Figure]:
    """All lines, in the order in which they are told."""
    return [
        *_rates(turns),
        *_latencies(turns),
        *_gaps(turns),
        *_recovery(turns),
        *_costs(turns),
        *_servers(turns),
        *_safety(turns),
    ]


def _collected(turns: Sequence[Turn], value: Callable[[Turn], float | None]) -> dict[str, Sequence[float]]:
    return {
        label: [it for turn in turns if turn.label == label and (it := value(turn)) is not None]
        for label in labels(turns)
    }


def _of_run(
    turns: Sequence[Turn], key: str, value: Callable[[Run], float | None]
) -> dict[str, Sequence[float]]:
    return _collected(turns, lambda turn: value(next(run for run in turn.runs if run.workload == key)))


def _of_blow(
    turns: Sequence[Turn], key: str, value: Callable[[Blow], float | None]
) -> dict[str, Sequence[float]]:
    return _collected(turns, lambda turn: value(next(blow for blow in turn.blows if blow.fault == key)))


def _workloads(turns: Sequence[Turn]) -> list[plan.Workload]:
    there = {run.workload for run in turns[0].runs}
    return [workload for workload in plan.WORKLOADS if workload.key in there]


def _rates(turns: Sequence[Turn]) -> list[Figure]:
    return [
        Figure(
            f"rate:{load.key}",
            RATES,
            load.name,
            0,
            _of_run(turns, load.key, lambda run: run.per_second),
            True,
        )
        for load in _workloads(turns)
    ]


def _latencies(turns: Sequence[Turn]) -> list[Figure]:
    made = []
    for load in _workloads(turns):
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            values = _of_run(turns, load.key, _percentile(part))
            what = load.name if name == "p50" else "  99 of 100"
            made.append(Figure(f"{name}:{load.key}", LATENCIES, what, 2, values))
    return made


def _gaps(turns: Sequence[Turn]) -> list[Figure]:
    made = []
    for fault in plan.FAULTS:
        gaps = _of_blow(turns, fault.key, lambda blow: _ms(blow.gap))
        made.append(Figure(f"gap:{fault.key}", GAPS, fault.name, 0, gaps))
        if fault is not plan.ALL:
            rejoined = _of_blow(turns, fault.key, lambda blow: _ms(blow.rejoined))
            made.append(Figure(f"rejoined:{fault.key}", GAPS, "  it comes back", 0, rejoined))
    return made


def _recovery(turns: Sequence[Turn]) -> list[Figure]:
    back = [
        Figure(f"back:{key}", RECOVERY, what, 0, _of_blow(turns, key, lambda blow: 1000 * blow.back))
        for key, what in _BACK.items()
    ]
    started = _collected(turns, lambda turn: 1000 * turn.started)
    return [Figure("started", RECOVERY, "a new ensemble serves", 0, started), *back]


def _costs(turns: Sequence[Turn]) -> list[Figure]:
    made = []
    for load, how in _OF_WRITES.items():
        for key, what, digits, value in _COSTS:
            values = _of_run(turns, load, _cost(value))
            made.append(Figure(f"{key}:{load}", COSTS, f"{what}, {how}", digits, values))
    return made


def _servers(turns: Sequence[Turn]) -> list[Figure]:
    held = _collected(turns, lambda turn: turn.memory / 1e6)
    return [Figure("memory", SERVER, "memory after the loads, MB", 0, held)]


def _safety(turns: Sequence[Turn]) -> list[Figure]:
    counts: tuple[tuple[str, str, Callable[[Verdict], int]], ...] = (
        ("acknowledged", "acknowledged", lambda verdict: verdict.acknowledged),
        ("lost", "of them lost", lambda verdict: verdict.lost),
        ("invented", "there, and never sent", lambda verdict: verdict.invented),
        ("differing", "not the same on all servers", lambda verdict: verdict.differing),
    )
    made = []
    for key, what, count in counts:
        values = {
            label: [float(count(turn.verdict)) for turn in turns if turn.label == label]
            for label in labels(turns)
        }
        made.append(Figure(key, SAFETY, what, 0, values, None, sums=True))
    return made


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _percentile(part: float) -> Callable[[Run], float]:
    return lambda run: 1000 * run.latencies.percentile(part)


def _cost(value: Callable[[Costs], float | None]) -> Callable[[Run], float | None]:
    return lambda run: None if run.costs is None else value(run.costs)
