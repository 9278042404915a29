"""Many clients live in one process, each with a session, and pass a lock on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from znoded.client import Client
from znoded.client.recipes import Lock

from .running import run

MANY = 150
"""bench/client.py has a thousand, and looks how late the event loop is."""


def test_they_all_hold_the_lock_once(server: str) -> None:
    passed: list[int] = []

    async def pass_through(client: Client) -> None:
        async with Lock(client, "/crowd") as held:
            passed.append(held.token)

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            clients = [Client(server, timeout=30, connect_timeout=60) for _ in range(MANY)]
            await asyncio.gather(*map(stack.enter_async_context, clients))
            assert len({client.session for client in clients}) == MANY
            await asyncio.gather(*map(pass_through, clients))
            await clients[0].delete("/crowd")
            await asyncio.gather(*(client.close() for client in clients))

    run(scenario(), within=60)
    assert len(passed) == MANY
    assert passed == sorted(passed)
