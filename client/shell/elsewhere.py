"""A second service that a command speaks with, beside the shell's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from ..address import parse
from ..errors import NoConnection
from ..values import State
from .arguments import SERVERS

if TYPE_CHECKING:
    from ..client import Client
    from .shell import Shell

to_option = click.option(
    "--to", "to", type=SERVERS, metavar="SERVERS", help="Of another service, given as to --server."
)


@asynccontextmanager
async def elsewhere(shell: Shell, server: str | None) -> AsyncIterator[tuple[Client, str]]:
    """A client of that service, and its chroot; the shell's own without one. NoConnection if there is none
    for as long as the shell waits for its own."""
    if server is None:
        yield await shell.connected(), shell.address.root
        return
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None
    gave_up = False

    def give_up() -> None:
        nonlocal gave_up
        gave_up = True
        task.cancel()

    def changed(state: State) -> None:
        nonlocal timer
        if timer is not None:
            timer.cancel()
        timer = loop.call_later(shell.timeout, give_up) if state is State.SUSPENDED else None

    try:
        async with shell.client_for(server, changed) as client:
            yield client, parse(server).root
    except asyncio.CancelledError:
        if not gave_up:
            raise
        task.uncancel()
        raise NoConnection(f"no connection to {server} for {shell.timeout:g} s") from None
    finally:
        changed(State.CLOSED)
