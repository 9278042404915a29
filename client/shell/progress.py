"""How far something long has come, as a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .output import Output


def shows(output: Output) -> bool:
    """Whether somebody is there to look at it."""
    return sys.stderr.isatty() and not output.as_json


@contextmanager
def bar(output: Output, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Call it with how much is done, of total if that is known."""
    if not shows(output):
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)

        def advanced(done: int) -> None:
            progress.update(task, completed=done)

        yield advanced
