"""The comparison as one page that needs nothing else: plots, figures, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Final

from . import plan, plots
from .advice import listed
from .comparison import Comparison
from .figures import Figure, labels
from .latency import Latencies
from .results import Blow, Turn

_AFTER: Final = 2.0
"""Seconds that are shown after the last one went on."""


def report(comparison: Comparison) -> str:
    """HTML, with its style and its plots in it."""
    template = Template(files(__package__).joinpath("report.html").read_text("utf-8"))
    names = labels(comparison.turns)
    looks = {name: f"c{at}" for at, name in enumerate(names)}
    first, *others = comparison.advice
    return template.substitute(
        title=escape(f"{listed(names)}, compared" if len(names) > 1 else f"{names[0]}, measured"),
        how=escape(comparison.how),
        verdict="good" if comparison.good else "bad",
        first=escape(first),
        advice="".join(f"<li>{_emphasised(line)}</li>" for line in others),
        legend="".join(f'<span><i class="{look}"></i>{escape(name)}</span>' for name, look in looks.items()),
        latencies="".join(_latencies(comparison.turns, looks)),
        faults="".join(_faults(comparison.turns, looks)),
        tables="".join(_tables(comparison.figures, looks)),
    )


def _emphasised(line: str) -> str:
    what, colon, rest = escape(line).partition(": ")
    return f"<b>{what}{colon}</b>{rest}" if colon else what


def _panel(title: str, note: str, plot: str) -> str:
    return f"<figure><h3>{escape(title)}<small>{escape(note)}</small></h3>{plot}</figure>"


def _latencies(turns: Sequence[Turn], looks: dict[str, str]) -> list[str]:
    panels = []
    there = {run.workload for run in turns[0].runs}
    for load in plan.WORKLOADS:
        if load.key not in there:
            continue
        lines = []
        for label, look in looks.items():
            merged = Latencies()
            for turn in turns:
                for run in turn.runs:
                    if turn.label == label and run.workload == load.key:
                        merged.merge(run.latencies)
            if merged.total:
                lines.append(plots.Line(look, label, merged.distribution()))
        if lines:
            panels.append(_panel(load.name, "ms", plots.distribution(f"Latencies: {load.name}", lines)))
    return panels


def _faults(turns: Sequence[Turn], looks: dict[str, str]) -> list[str]:
    panels = []
    firsts = {turn.label: turn for turn in reversed(turns)}
    for fault in plan.FAULTS:
        blows = {label: _blow(firsts[label], fault) for label in looks}
        end = max(max(blow.gap or 0.0, blow.returned) for blow in blows.values()) + _AFTER
        strips = []
        for label, blow in blows.items():
            shown = [point for point in blow.series if point[0] <= end]
            gap = "no write any more" if blow.gap is None else f"{1000 * blow.gap:,.0f} ms without a write"
            strips.append(plots.Strip(plots.Line(looks[label], label, shown), blow.returned, gap))
        plot = plots.over_time(f"Writes a second: {fault.name}", strips)
        panels.append(_panel(fault.name, "writes a second", plot))
    return panels


def _blow(turn: Turn, fault: plan.Fault) -> Blow:
    return next(blow for blow in turn.blows if blow.fault == fault.key)


def _tables(figures: Sequence[Figure], looks: dict[str, str]) -> list[str]:
    heads = "".join(f"<th>{escape(label)}</th>" for label in looks)
    made = []
    for group, members in groupby(figures, lambda figure: figure.group):
        rows = "".join(_row(figure, looks) for figure in members)
        head = f"<thead><tr><th>{escape(group)}</th>{heads}</tr></thead>"
        made.append(f"<table>{head}<tbody>{rows}</tbody></table>")
    return made


def _row(figure: Figure, looks: dict[str, str]) -> str:
    most = max((figure.of(label) or 0.0 for label in looks), default=0.0)
    cells = []
    for label, look in looks.items():
        width = 100 * (figure.of(label) or 0.0) / most if most else 0.0
        cells.append(
            f'<td>{escape(figure.told(label))}<i class="{look}" style="width:{width:.1f}%"></i></td>'
        )
    more = ' class="more"' if figure.what.startswith(" ") else ""
    return f"<tr{more}><th>{escape(figure.what.strip())}</th>{''.join(cells)}</tr>"
