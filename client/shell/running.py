"""Runs a program at the shell's terminal, and ends it."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import Process
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import click

if TYPE_CHECKING:
    from .shell import Shell

NOT_FOUND: Final = 127
"""What a POSIX shell exits with for a program that there is not; for one that a signal ended, 128 more than
its number."""
GRACE: Final = 5.0
"""Seconds that a program has to end by itself."""


class Ended(NamedTuple):
    """code: its exit code, or None if it did not end by itself. interrupted: Ctrl-C came meanwhile."""

    code: int | None
    interrupted: bool


async def run(
    shell: Shell,
    words: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    until: Awaitable[None] | None = None,
    grace: float = GRACE,
) -> Ended:
    """Run a program, without any shell, and leave the terminal and Ctrl-C to it.

    until: when this comes first, it is ended: by TERM, and if it goes on for longer than grace, in seconds,
    by KILL. So it is when this is cancelled, and at once when that happens twice.
    """
    others = [asyncio.ensure_future(until)] if until is not None else []
    try:
        with shell.yielding() as pressed:
            process = await asyncio.create_subprocess_exec(*words, env={**os.environ, **(environment or {})})
            ended = asyncio.ensure_future(process.wait())
            try:
                await asyncio.wait([ended, *others], return_when=asyncio.FIRST_COMPLETED)
                return Ended(_code(ended.result()) if ended.done() else None, pressed.is_set())
            finally:
                await _end(process, ended, grace)
    finally:
        for other in others:
            other.cancel()


async def _end(process: Process, ended: asyncio.Future[int], grace: float) -> None:
    if not ended.done():
        process.terminate()
        try:
            await asyncio.wait([ended], timeout=grace)
        finally:  # who is told to end twice does not wait
            if not ended.done():
                process.kill()
        await ended


def find(shell: Shell, program: str) -> None:
    """Exit as a POSIX shell does where there is no such program."""
    if shutil.which(program) is None:
        shell.output.tell(f"{program}: no such program")
        raise click.exceptions.Exit(NOT_FOUND)


def _code(status: int) -> int:
    return status if status >= 0 else 128 - status
