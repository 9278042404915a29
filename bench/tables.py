"""Renders measurements as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from .load import Load
from .memory import Figures
from .speed import Outcome

_NONE: Final = "-"

# what, its value, its unit, what makes that of its value, the most that we want
_FIGURES: Final[tuple[tuple[str, Callable[[Figures], float], str, float | None], ...]] = (
    ("empty: start to first read", lambda figures: figures.start, "s", 0.4),
    ("empty: memory when idle", lambda figures: figures.idle.all / 1e6, "MB", 60),
    ("  of it anonymous", lambda figures: figures.idle.anonymous / 1e6, "MB", None),
    ("filling: restart after kill -9", lambda figures: figures.restart_killed, "s", 0.5),
    ("  anonymous memory after it", lambda figures: figures.idle_killed.anonymous / 1e6, "MB", 150),
    ("full: anonymous memory after creating", lambda figures: figures.idle_full.anonymous / 1e6, "MB", None),
    ("full: restart to first read", lambda figures: figures.restart, "s", 0.5),
    ("  anonymous memory after it", lambda figures: figures.idle_restarted.anonymous / 1e6, "MB", 150),
    ("  file-backed memory after it", lambda figures: figures.idle_restarted.file / 1e6, "MB", None),
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


def memory_table(figures: dict[str, Figures]) -> str:
    """What it takes, by each server's name; a ratio below 1 says that the first one takes less."""
    lines = [["", *figures, *(["ratio"] if len(figures) > 1 else []), "goal"]]
    for what, value_of, unit, goal in _FIGURES:
        values = [value_of(one) for one in figures.values()]
        digits = 2 if unit == "s" else 0
        cells = [f"{value:.{digits}f} {unit}" for value in values]
        if len(values) > 1:
            cells.append(f"{values[0] / values[1]:.2f}")
        lines.append(
            [what, *cells, _goal("≤", goal, f" {unit}", None if goal is None else values[0] <= goal)]
        )
    return _aligned(lines)


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
