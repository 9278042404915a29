"""Draws lines as SVG that needs nothing else: how latencies are distributed, and writes over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final, TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]

_WIDTH: Final = 400
_HEIGHT: Final = 210
_LEFT: Final = 46
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 24
_LAST: Final = 0.999
"""The percentile at which the distribution's plot ends."""


@dataclass(frozen=True, slots=True)
class Line:
    """look: a class of the page's style; name: whose it is."""

    look: str
    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, and what happened."""

    look: str
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to places; ticks: (value, text)."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def distribution(title: str, lines: Sequence[Line]) -> str:
    """Latencies: points are (seconds, the part of all answers that came within them)."""
    turned = [Line(line.look, line.name, _percentiles(line.points)) for line in lines]
    values = [value for line in turned for _, value in line.points]
    low, high = floor(log10(min(values)) * 2) / 2, ceil(log10(max(values)) * 2) / 2
    high = max(high, low + 1)
    last = -log10(1 - _LAST)
    across = _Axis(
        lambda nines: _LEFT + nines / last * (_WIDTH - _LEFT - _RIGHT),
        [(-log10(0.5), "50 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %")],
    )
    ticks = [
        (step * 10.0**power, _number(step * 10.0**power))
        for power in range(floor(low), ceil(high) + 1)
        for step in ((1, 3) if high - low <= 3 else (1,))
        if low <= log10(step * 10.0**power) <= high
    ]
    upward = _Axis(lambda ms: _up((log10(ms) - low) / (high - low)), ticks)
    return _drawn(title, turned, across, upward, ())


def over_time(title: str, lines: Sequence[Line], marks: Sequence[Mark]) -> str:
    """Writes a second: points are (seconds after the fault, writes a second)."""
    times = [at for line in lines for at, _ in line.points]
    begin, end = min(times), max(times)
    top = _rounded_up(max(max(value for line in lines for _, value in line.points), 1.0))
    step = next(step for step in (1, 2, 5, 10, 20, 60) if (end - begin) / step <= 8 or step == 60)
    seconds = range(ceil(begin / step) * step, floor(end) + 1, step)
    across = _Axis(
        lambda at: _LEFT + (at - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT),
        [(float(at), f"{at} s") for at in seconds],
    )
    upward = _Axis(lambda value: _up(value / top), [(value, _number(value)) for value in (0.0, top / 2, top)])
    return _drawn(title, lines, across, upward, marks)


def _percentiles(points: Points) -> Points:
    """(-log10 of the part that took longer, ms), up to the last percentile that is shown."""
    turned = [(0.0, 1000 * points[0][0])]
    for seconds, part in points:
        if part >= _LAST:
            turned.append((-log10(1 - _LAST), 1000 * seconds))
            break
        turned.append((-log10(1 - part), 1000 * seconds))
    return turned


def _drawn(title: str, lines: Sequence[Line], across: _Axis, upward: _Axis, marks: Sequence[Mark]) -> str:
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value, text in upward.ticks:
        y = upward.place(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in across.ticks:
        x = across.place(value)
        anchor = "start" if x < _LEFT + 8 else "end" if x > right - 8 else "middle"
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 7}" text-anchor="{anchor}">{escape(text)}</text>')
    for mark in marks:
        x = across.place(mark.at)
        place = f"M{x:.1f} {_TOP}V{bottom}"
        parts.append(f'<path class="mark {mark.look}" d="{place}"><title>{escape(mark.name)}</title></path>')
    for line in lines:
        path = "L".join(f"{across.place(x):.1f} {upward.place(y):.1f}" for x, y in line.points)
        parts.append(f'<path class="line {line.look}" d="M{path}"><title>{escape(line.name)}</title></path>')
    return "".join([*parts, "</svg>"])


def _up(part: float) -> float:
    return _HEIGHT - _BOTTOM - part * (_HEIGHT - _BOTTOM - _TOP)


def _rounded_up(value: float) -> float:
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999)


def _number(value: float) -> str:
    return f"{value / 1000:g} k" if value >= 1000 else f"{value:g}"
