"""The figures as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import Figure


def table(figures: Sequence[Figure]) -> str:
    """A line each, below the headings of their groups."""
    labels = list(figures[0].values)
    rows = [("", *labels)]
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            rows.append((group,))
        rows.append((f"  {figure.what}", *map(figure.told, labels)))
    full = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=bool(others))]
        if not others:
            lines.append("")
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
