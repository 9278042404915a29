"""What tests of recipes are played with: clients, sessions that end, and waiting for who waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import cbor2

from znoded.client import Client, NoNode

from ..running import run

PATIENCE = 20
"""Seconds for what must happen, on a machine that has much else to do."""


@asynccontextmanager
async def clients(server: str, count: int) -> AsyncIterator[list[Client]]:
    """So many of them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(server)) for _ in range(count)]


async def gathered(client: Client, path: str, count: int) -> list[str]:
    """Wait until there are so many children; their names."""
    watch = client.watch(path)
    try:
        while True:
            try:
                names = await client.children(path)
            except NoNode:
                names = []
            if len(names) == count:
                return names
            await anext(watch)
    finally:
        watch.close()


async def end_session(client: Client, server: str) -> None:
    """From elsewhere, so that the client learns of it as of one that has expired."""
    session, password = client.session
    taken = {"timeout": 10_000, "session": session, "password": password}
    async with aiohttp.ClientSession() as http, http.ws_connect(f"ws://{server}/ws/v1") as socket:
        await socket.send_bytes(cbor2.dumps([[0, "connect", taken], [1, "close", {}]]))
        async for message in socket:
            if any(answer[0] == 1 for answer in cbor2.loads(message.data)):
                return


def play(scene: Coroutine[object, object, None]) -> None:
    """In good time, and with nothing left behind."""
    run(scene, PATIENCE)
