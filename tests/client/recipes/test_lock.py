"""A lock is held by one at a time, in the order of asking, and who holds it learns that it is lost."""

from __future__ import annotations

import asyncio

from znoded.client import Client
from znoded.client.recipes import Lock


def test_it_is_held_and_released(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            async with Lock(client, "/locks/held", "me") as held:
                assert held.token == (await client.get(held.path)).stat.czxid
                assert not held.lost.is_set()
                assert await Lock(client, "/locks/held").acquire(blocking=False) is None
                assert await Lock(client, "/locks/held").contenders() == ["me"]
            assert held.lost.is_set()
            assert await client.children("/locks/held") == []

    asyncio.run(scenario())


def test_a_hundred_pass_one_by_one_with_tokens_that_rise(server: str) -> None:
    passed: list[int] = []
    tokens: list[int] = []

    async def pass_through(client: Client, number: int) -> None:
        async with Lock(client, "/locks/hundred", str(number)) as held:
            tokens.append(held.token)
            await asyncio.sleep(0)
            assert await client.children("/locks/hundred/inside") == []
            await client.create("/locks/hundred/inside/x")
            await client.delete("/locks/hundred/inside/x")
            passed.append(number)

    async def scenario() -> None:
        async with Client(server) as one, Client(server) as other:
            await one.ensure_path("/locks/hundred/inside")
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(pass_through((one, other)[number % 2], number))

    asyncio.run(scenario())
    assert sorted(passed) == list(range(100))
    assert tokens == sorted(set(tokens))
