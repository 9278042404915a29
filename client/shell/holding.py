"""The commands that run a program while something is held: lock, elect."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..errors import NoConnection, SessionExpired
from . import exits, running
from .commands import command

if TYPE_CHECKING:
    from ..recipes import Held
    from .shell import Shell

T = TypeVar("T", bound=Callable[..., Any])

_PAUSE: Final = 1.0
"""Seconds before standing again: a program that ends at once is not run without end."""


def _arguments(body: T) -> T:
    grace = click.option(
        "--grace",
        type=click.FloatRange(0),
        default=running.GRACE,
        metavar="S",
        help=f"Seconds from TERM to KILL (default: {running.GRACE:g}).",
    )
    name = click.argument("name")
    words = click.argument(
        "words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENTS ...]"
    )
    return grace(name(words(body)))


@command(
    "lock",
    "lock backup -- ./backup.sh --all",
    "lock --wait 0 backup -- ./backup.sh",
    "lock /app/locks/deploy -- sh -c 'deploy --fence $ZNODE_LOCK_TOKEN'",
)
@click.option(
    "--wait",
    type=click.FloatRange(0),
    metavar="S",
    help="Give up after so many seconds, exit code 1; 0: do not wait.",
)
@_arguments
async def lock(shell: Shell, wait: float | None, grace: float, name: str, words: tuple[str, ...]) -> None:
    """Run a program while holding a lock; its exit code is the program's.

    NAME is the path of the lock's znode, or its name below /locks. ZNODE_LOCK_TOKEN, in the program's
    environment, is a number that is higher than that of any holder before (a fencing token). When the lock is
    lost (the connection was, for too long, or its znode was deleted), the program is ended: by TERM, then by
    KILL; the exit code is 8.
    """
    from ..recipes import Lock  # slow to import

    running.find(shell, words[0])
    path = _path("/locks", name)
    wanted = Lock(await shell.connected(), path, _identifier())
    held = await wanted.acquire(timeout=wait or None, blocking=wait != 0)
    if held is None:
        raise click.ClickException(f"{path} is held by {', '.join((await wanted.contenders())[:1])}")
    try:
        code, _ = await _run(shell, held, words, grace)
    finally:
        await wanted.release()
    raise click.exceptions.Exit(code)


@command(
    "elect",
    "elect scheduler -- ./scheduler",
    "elect --again /app/leader -- ./serve --token-from-environment",
)
@click.option("--again", is_flag=True, help="Stand again when the program has ended, or the lead is lost.")
@_arguments
async def elect(shell: Shell, again: bool, grace: float, name: str, words: tuple[str, ...]) -> None:
    """Run a program once elected; its exit code is the program's.

    It leads as long as the program runs. NAME is the path of the election's znode, or its name below
    /elections. For the rest it is as `lock`. With --again, it goes on until Ctrl-C or TERM, whatever becomes
    of the program, the session or the servers.
    """
    running.find(shell, words[0])
    path = _path("/elections", name)
    if not again:
        code, _ = await _lead(shell, path, words, grace)
        raise click.exceptions.Exit(code)
    with shell.patient():
        while True:
            try:
                code, interrupted = await _lead(shell, path, words, grace)
            except (exits.Lost, NoConnection, SessionExpired) as error:
                shell.output.tell(exits.sentence(error))
            else:
                if interrupted:
                    raise click.exceptions.Exit(code)
                shell.output.tell(f"{words[0]} has ended ({code})")
            await asyncio.sleep(_PAUSE)


async def _lead(shell: Shell, path: str, words: tuple[str, ...], grace: float) -> tuple[int, bool]:
    from ..recipes import Election  # slow to import

    async with Election(await shell.connected(), path, _identifier()) as held:
        return await _run(shell, held, words, grace)


async def _run(shell: Shell, held: Held, words: tuple[str, ...], grace: float) -> tuple[int, bool]:
    """The program's exit code, and whether Ctrl-C came meanwhile; Lost if it was ended."""
    with shell.patient():
        code, interrupted = await running.run(
            shell,
            words,
            environment={"ZNODE_LOCK_TOKEN": str(held.token)},
            until=held.lost.wait(),
            grace=grace,
        )
    if code is None:
        raise exits.Lost(f"{held.path.rpartition('/')[0]} was lost, and {words[0]} was ended")
    return code, interrupted


def _path(above: str, name: str) -> str:
    return name if name.startswith("/") else f"{above}/{name}"


def _identifier() -> str:
    """What others are told of who holds it."""
    return f"{socket.gethostname()}:{os.getpid()}"
