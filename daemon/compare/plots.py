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
_STRIP: Final = 66
"""A strip's height, with the space above it."""
_HEAD: Final = 20
"""That space, for a name."""
_LAST: Final = 0.999
"""The percentile at which the distribution's plot ends."""


@dataclass(frozen=True, slots=True)
class Line:
    """look: a class of the page's style; name: whose it is."""

    look: str
    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Strip:
    """A line over time. again: when what had failed was started, or woken; told: beside the line's name."""

    line: Line
    again: float
    told: str


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
    bottom = _HEIGHT - _BOTTOM
    parts = [_grid(across, upward, _TOP, bottom), _times(across, bottom)]
    return _framed(title, _HEIGHT, parts + [_path(line, across, upward) for line in turned])


def over_time(title: str, strips: Sequence[Strip]) -> str:
    """Writes a second, one strip above the other: points are (seconds after the fault, writes a second)."""
    points = [point for strip in strips for point in strip.line.points]
    begin, end = min(at for at, _ in points), max(at for at, _ in points)
    top = _rounded_up(max(1.0, *(value for _, value in points)))
    step = next(step for step in (1, 2, 5, 10, 20, 60) if (end - begin) / step <= 8 or step == 60)
    seconds = range(ceil(begin / step) * step, floor(end) + 1, step)
    across = _Axis(
        lambda at: _LEFT + (at - begin) / (end - begin) * (_WIDTH - _LEFT - _RIGHT),
        [(float(at), f"{at} s") for at in seconds],
    )
    height = len(strips) * _STRIP
    parts = []
    for number, strip in enumerate(strips):
        line, head, bottom = strip.line, number * _STRIP + _HEAD, (number + 1) * _STRIP

        def up(value: float, head: int = head, bottom: int = bottom) -> float:
            return bottom - value / top * (bottom - head)

        upward = _Axis(up, [(0.0, "0"), (top, _number(top))])
        name = f'<tspan class="name {line.look}">{escape(line.name)}</tspan> {escape(strip.told)}'
        parts += [
            f'<text x="{_LEFT}" y="{head - 6}">{name}</text>',
            _grid(across, upward, head, bottom),
            _mark("fault", title, across.place(0.0), head, bottom),
            _mark(line.look, f"{line.name}: started or woken again", across.place(strip.again), head, bottom),
            _path(line, across, upward),
        ]
    return _framed(title, height + _BOTTOM, [*parts, _times(across, height)])


def _percentiles(points: Points) -> Points:
    """(-log10 of the part that took longer, ms), up to the last percentile that is shown."""
    turned = [(0.0, 1000 * points[0][0])]
    for seconds, part in points:
        if part >= _LAST:
            turned.append((-log10(1 - _LAST), 1000 * seconds))
            break
        turned.append((-log10(1 - part), 1000 * seconds))
    return turned


def _framed(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return "".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"])


def _grid(across: _Axis, upward: _Axis, top: int, bottom: int) -> str:
    """Lines, and what they stand for upward."""
    parts = []
    for value, text in upward.ticks:
        y = upward.place(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, _ in across.ticks:
        parts.append(f'<path class="grid" d="M{across.place(value):.1f} {top}V{bottom}"/>')
    return "".join(parts)


def _times(across: _Axis, bottom: int) -> str:
    """What the lines across stand for."""
    parts = []
    for value, text in across.ticks:
        x = across.place(value)
        anchor = "start" if x < _LEFT + 8 else "end" if x > _WIDTH - _RIGHT - 8 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{escape(text)}</text>')
    return "".join(parts)


def _path(line: Line, across: _Axis, upward: _Axis) -> str:
    path = "L".join(f"{across.place(x):.1f} {upward.place(y):.1f}" for x, y in line.points)
    return f'<path class="line {line.look}" d="M{path}"><title>{escape(line.name)}</title></path>'


def _mark(look: str, name: str, x: float, top: int, bottom: int) -> str:
    return f'<path class="mark {look}" d="M{x:.1f} {top}V{bottom}"><title>{escape(name)}</title></path>'


def _up(part: float) -> float:
    return _HEIGHT - _BOTTOM - part * (_HEIGHT - _BOTTOM - _TOP)


def _rounded_up(value: float) -> float:
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999)


def _number(value: float) -> str:
    return f"{value / 1000:g} k" if value >= 1000 else f"{value:g}"
