"""Renders measurements as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Generic, TypeVar

from .join import Joining
from .load import Load
from .memory import Figures
from .speed import Outcome

_NONE: Final = "-"

_Of = TypeVar("_Of")


@dataclass(frozen=True, slots=True)
class _Line(Generic[_Of]):
    """A figure. unit: as it is printed; goal: the most that we want, or the least."""

    what: str
    value_of: Callable[[_Of], float]
    unit: str
    digits: int = 0
    goal: float | None = None
    least: bool = False

    def goal_of(self, value: float) -> str:
        if self.goal is None:
            return _NONE
        met = value >= self.goal if self.least else value <= self.goal
        return _goal("≥" if self.least else "≤", self.goal, self.unit, met)


_FIGURES: Final[tuple[_Line[Figures], ...]] = (
    _Line("empty: start to first read", lambda figures: figures.start, " s", 2, 0.4),
    _Line("empty: memory when idle", lambda figures: figures.idle.all / 1e6, " MB", 0, 60),
    _Line("  of it anonymous", lambda figures: figures.idle.anonymous / 1e6, " MB"),
    _Line("filling: restart after kill -9", lambda figures: figures.restart_killed, " s", 2, 0.5),
    _Line("  anonymous memory after it", lambda figures: figures.idle_killed.anonymous / 1e6, " MB", 0, 150),
    _Line("full: anonymous memory after creating", lambda figures: figures.idle_full.anonymous / 1e6, " MB"),
    _Line("full: restart to first read", lambda figures: figures.restart, " s", 2, 0.5),
    _Line(
        "  anonymous memory after it", lambda figures: figures.idle_restarted.anonymous / 1e6, " MB", 0, 150
    ),
    _Line("  file-backed memory after it", lambda figures: figures.idle_restarted.file / 1e6, " MB"),
)
_JOINING: Final[tuple[_Line[Joining], ...]] = (
    _Line("start to a read with everything in it", lambda joining: joining.seconds, " s", 1, 20),
    _Line("writes before", lambda joining: joining.before, "/s"),
    _Line("writes meanwhile", lambda joining: joining.meanwhile, "/s"),
    _Line("  as a share", lambda joining: 100 * joining.meanwhile / joining.before, " %", 0, 50, least=True),
    _Line("another's anonymous memory: grew by", lambda joining: joining.others / 1e6, " MB", 0, 100),
    _Line("the joiner's own: at most", lambda joining: joining.own / 1e6, " MB", 0, 100),
)


def speed_table(outcomes: Sequence[Outcome]) -> str:
    """Rates are medians of all rounds; a ratio is the median of the rounds' own ratios."""
    names = list(outcomes[0].loads)
    heads = [head for name in names for head in (f"{name}/s", "spread", "p50", "p99", "p99.9 ms")]
    lines = [["", *heads, *(["ratio", "from", "to"] if len(names) > 1 else []), "goal"]]
    for outcome in outcomes:
        cells = [cell for name in names for cell in _load_cells(outcome.loads[name])]
        ratios = _ratios(outcome)
        reached = median(ratios) if ratios else None
        if ratios:
            cells += [f"{number:.2f}" for number in (median(ratios), min(ratios), max(ratios))]
        goal, unit = outcome.row.goal, ""
        if outcome.row.rate is not None:
            goal, unit = outcome.row.rate, "/s"
            reached = median(load.per_second for load in outcome.loads[names[0]])
        failed = any(load.errors for loads in outcome.loads.values() for load in loads)
        met = None if reached is None or goal is None or failed else reached >= goal
        lines.append([outcome.row.name, *cells, _goal("≥", goal, unit, met)])
    errors = [
        f"{outcome.row.name}: {name} answered {count:,} requests with an error"
        for outcome in outcomes
        for name, loads in outcome.loads.items()
        if (count := sum(load.errors for load in loads))
    ]
    return "\n".join([_aligned(lines), *errors])


def memory_table(figures: Mapping[str, Figures]) -> str:
    """What it takes, by each server's name; a ratio below 1 says that the first one takes less."""
    return _figure_table("", _FIGURES, figures, ratio=True)


def join_table(joins: Mapping[str, Joining]) -> str:
    """What it takes to join, by each ensemble's name."""
    return _figure_table("a third server joins, its disk empty", _JOINING, joins, ratio=False)


def failover_table(taken: dict[str, list[float]]) -> str:
    """Milliseconds from a leader's kill to a client's next write, by each ensemble's name."""
    lines = [["leader killed, ms until the next write", *taken, "goal"]]
    for what, of, goal in (("median", median, 300), ("worst", max, 1000)):
        values = [1000 * of(times) for times in taken.values()]
        cells = [f"{value:.0f}" for value in values]
        lines.append(
            [f"{what} of {len(next(iter(taken.values())))}", *cells, _goal("≤", goal, "", values[0] <= goal)]
        )
    return _aligned(lines)


def _figure_table(head: str, figures: Sequence[_Line[_Of]], each: Mapping[str, _Of], *, ratio: bool) -> str:
    ratio = ratio and len(each) > 1
    lines = [[head, *each, *(["ratio"] if ratio else []), "goal"]]
    for figure in figures:
        values = [figure.value_of(one) for one in each.values()]
        cells = [f"{value:,.{figure.digits}f}{figure.unit}" for value in values]
        if ratio:
            cells.append(f"{values[0] / values[1]:.2f}")
        lines.append([figure.what, *cells, figure.goal_of(values[0])])
    return _aligned(lines)


def _load_cells(loads: Sequence[Load]) -> list[str]:
    rates = [load.per_second for load in loads]
    spread = f"±{(max(rates) - min(rates)) / 2 / median(rates):.0%}" if len(rates) > 1 else _NONE
    times = (median(getattr(load, name) for load in loads) for name in ("p50", "p99", "p999"))
    return [f"{median(rates):,.0f}", spread, *(f"{time:.2f}" for time in times)]


def _ratios(outcome: Outcome) -> list[float]:
    """The first server's rate to the second's, round by round; none if there was one server only."""
    if len(outcome.loads) < 2:
        return []
    ours, theirs = outcome.loads.values()
    return [mine.per_second / other.per_second for mine, other in zip(ours, theirs, strict=True)]


def _goal(sign: str, goal: float | None, unit: str, met: bool | None) -> str:
    if goal is None:
        return _NONE
    return f"{sign} {goal:g}{unit}" + ("" if met is None else ", met" if met else ", missed")


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
