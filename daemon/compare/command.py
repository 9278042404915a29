"""Carries `znoded compare` out: a bar while it runs, and an end on a signal."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click

from .comparison import Comparison
from .kinds import Kind
from .machine import described, doubts
from .plan import Plan
from .run import Step, compare

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def measure(kinds: Sequence[Kind], plan: Plan, folder: Path, page: Path | None) -> Comparison:
    """Compare. page: where a report is to be. Raises Failed, OSError, KeyboardInterrupt (by a signal)."""
    if page is not None and not os.access(page if page.exists() else page.parent, os.W_OK):
        raise PermissionError(f"{page} can't be written, where the report is to be")
    machine, doubted = described(folder), doubts(folder)
    for doubt in doubted:
        click.echo(doubt, err=True)
    with _ended_by_signals(), _progress(len(kinds) * plan.rounds * plan.steps) as step:
        turns = compare(kinds, plan, folder, step)
    return Comparison(machine, doubted, plan, turns)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Each of them does what Ctrl-C does: once, so that nothing breaks off the clearing away."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        for which in _ENDING:
            signal.signal(which, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {which: signal.signal(which, end) for which in _ENDING}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextmanager
def _progress(steps: int) -> Iterator[Step]:
    """A bar on standard error, where a person looks; it names what is under way."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(
        length=steps + 1, label="comparing", file=sys.stderr, item_show_func=lambda item: item
    ) as bar:
        yield lambda what: bar.update(1, what)
        bar.update(1)
