"""Items are divided among those who take part, and each is one's at a time; kazoo takes part, too."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import chain
from typing import TypeAlias

import pytest
from kazoo.client import KazooClient

from znoded.client import Client, NoWatcher
from znoded.client.recipes import PartitionState, SetPartitioner

from .scenes import clients, end_session, gathered, play

ITEMS = ["a", "b", "c", "d", "e"]
AT_ONCE = 0.01

Share: TypeAlias = tuple[str, list[str]]
"""Whose, and what."""


def state_of(partitioner: SetPartitioner) -> PartitionState:
    return partitioner.state


def test_one_has_all(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            partitioner = SetPartitioner(client, "/divided/one", reversed(ITEMS), settle=AT_ONCE)
            assert state_of(partitioner) is PartitionState.FAILURE
            async with partitioner:
                assert state_of(partitioner) is PartitionState.ALLOCATING
                assert await anext(partitioner) == ITEMS
                assert state_of(partitioner) is PartitionState.ACQUIRED
                await client.create("/divided/one/party/0-stranger", ephemeral=True)
                await partitioner.changed()
                assert state_of(partitioner) is PartitionState.RELEASE
            assert state_of(partitioner) is PartitionState.FAILURE
            assert await client.children("/divided/one/party") == ["0-stranger"]
            assert await client.children("/divided/one/locks/a") == []

    play(scene())


@pytest.mark.parametrize("steps", range(1, 6))
def test_one_whose_end_is_cancelled_gives_all_back(server: str, steps: int) -> None:
    async def scene() -> None:
        path = f"/divided/cancelled-{steps}"
        async with Client(server) as client:
            partitioner = await SetPartitioner(client, path, ITEMS, settle=AT_ONCE).__aenter__()
            assert await anext(partitioner) == ITEMS
            ending = asyncio.create_task(partitioner.__aexit__(None, None, None))
            for _ in range(steps):
                await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait([ending])
            for place in ("party", *(f"locks/{item}" for item in ITEMS)):
                await gathered(client, f"{path}/{place}", 0)

    play(scene())


def test_it_is_watched_no_more(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            async with SetPartitioner(client, "/divided/watched", ITEMS, settle=AT_ONCE) as partitioner:
                await anext(partitioner)
            with pytest.raises(NoWatcher):
                await client._ask("checkWatches", {"path": "/divided/watched/party", "kind": "any"})
            assert partitioner.state is PartitionState.FAILURE

    play(scene())


def test_items_are_divided_anew_when_members_come_and_go(server: str) -> None:
    owners: dict[str, str] = {}

    async def take_part(partitioner: SetPartitioner, name: str, shares: asyncio.Queue[Share]) -> None:
        async for mine in partitioner:
            for item in mine:
                assert owners.setdefault(item, name) == name
            shares.put_nowait((name, list(mine)))
            await partitioner.changed()
            for item in mine:
                del owners[item]

    async def divided(shares: asyncio.Queue[Share], members: set[str]) -> dict[str, list[str]]:
        """Once all have their shares."""
        found: dict[str, list[str]] = {}
        while found.keys() != members or sorted(chain(*found.values())) != ITEMS:
            name, mine = await shares.get()
            found[name] = mine
            found = {each: found[each] for each in found if each in members}
        return found

    async def scene() -> None:
        shares: asyncio.Queue[Share] = asyncio.Queue()
        async with clients(server, 3) as members, AsyncExitStack() as stack:
            tasks = []
            for name, client in zip("xyz", members, strict=True):
                partitioner = SetPartitioner(client, "/divided/many", ITEMS, identifier=name, settle=AT_ONCE)
                await stack.enter_async_context(partitioner)
                tasks.append(asyncio.create_task(take_part(partitioner, name, shares)))
            assert await divided(shares, {*"xyz"}) == {"x": ["a", "d"], "y": ["b", "e"], "z": ["c"]}
            await members[1].close()
            await tasks.pop(1)
            assert await divided(shares, {*"xz"}) == {"x": ["a", "c", "e"], "z": ["b", "d"]}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    play(scene())


def test_it_goes_on_in_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with (
            Client(server, renew=True) as client,
            SetPartitioner(client, "/divided/again", ITEMS, settle=AT_ONCE) as partitioner,
        ):
            assert await anext(partitioner) == ITEMS
            await end_session(client, server)
            await partitioner.changed()
            assert state_of(partitioner) is PartitionState.RELEASE
            assert await anext(partitioner) == ITEMS
            assert state_of(partitioner) is PartitionState.ACQUIRED

    play(scene())


def test_another_way_to_divide(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            partitioner = SetPartitioner(
                client,
                "/divided/otherwise",
                ITEMS,
                identifier="me",
                settle=AT_ONCE,
                divide=lambda identifier, members, items: [*members, items[-1]],
            )
            async with partitioner:
                assert await anext(partitioner) == ["me", "e"]

    play(scene())


def test_kazoo_has_its_share(server: str) -> None:
    kazoo = KazooClient(server)
    kazoo.start()

    async def scene() -> None:
        async with (
            Client(server) as client,
            SetPartitioner(client, "/divided/kazoo", ITEMS, identifier="1", settle=AT_ONCE) as ours,
        ):
            assert await anext(ours) == ITEMS
            theirs = await asyncio.to_thread(
                kazoo.SetPartitioner, "/divided/kazoo", ITEMS, identifier="2", time_boundary=0.1
            )
            await ours.changed()
            while list(await anext(ours)) != ["a", "c", "e"]:
                await ours.changed()
            while not theirs.acquired:
                await asyncio.to_thread(theirs.wait_for_acquire, 0.1)
            assert list(theirs) == ["b", "d"]
            assert len(await gathered(client, "/divided/kazoo/locks/b", 1)) == 1
            await asyncio.to_thread(theirs.finish)
            await ours.changed()
            assert await anext(ours) == ITEMS

    play(scene())
    kazoo.stop()
    kazoo.close()
