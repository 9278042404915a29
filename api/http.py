"""HTTP on a port: aiohttp, imported for the first request, takes over connections that begin with a verb.

A server that nobody asks by HTTP starts sooner and takes less memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from aiohttp.web import BaseRunner, RequestHandler

VERBS: Final = frozenset((b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC"))
"""The first four bytes of a request."""

Load: TypeAlias = "Callable[[], Callable[[], BaseRunner]]"
"""Imports what is needed, on a worker thread; what it returns makes the runner, on the loop."""


class Http:
    """Makes protocols, and ends them all at once."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._starting: asyncio.Task[BaseRunner] | None = None

    async def protocol(self) -> asyncio.Protocol | None:
        """A protocol for one connection; None after close."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        # Others wait for it, too: who leaves must not take it along.
        server = (await asyncio.shield(self._starting)).server
        return None if server is None else server()

    async def close(self) -> None:
        """End every connection; what is being answered gets a second."""
        if self._starting is not None:
            await (await self._starting).cleanup()

    async def _start(self) -> BaseRunner:
        runner = (await asyncio.to_thread(self._load))()
        await runner.setup()
        return runner


def hand_over(transport: asyncio.Transport, protocol: asyncio.Protocol | None, start: bytes) -> None:
    """From here on the connection, which is not being read from, is that protocol's; start was read of it."""
    if protocol is None or transport.is_closing():
        transport.abort()
        return
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if not transport.is_closing():
        transport.resume_reading()
        protocol.data_received(start)


async def finish(handler: RequestHandler) -> None:
    """The client has said all (`nc -N`): end when what is being answered is, where aiohttp would drop it."""
    await asyncio.sleep(0)  # the handler's task must have begun: only a wait under way can be ended
    handler.close()
    await handler.shutdown(None)
