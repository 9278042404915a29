"""A watched value is given as it is, then as it becomes, and the last one always."""

from __future__ import annotations

import asyncio

import pytest

from znoded.client import ADMIN, Acl, BlockingClient, Client, Kind, NoAuth
from znoded.client.recipes import ChildrenWatch, DataWatch, TreeCache


def test_data_now_and_later(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            values = DataWatch(client, "/watching-watched")
            assert await anext(values) == (None, None)
            created = await client.create("/watching-watched", b"1")
            assert await anext(values) == (b"1", created.stat)
            stat = await client.set("/watching-watched", b"2")
            assert await anext(values) == (b"2", stat)
            stat = await client.set("/watching-watched", b"2")  # the same data, written anew
            assert await anext(values) == (b"2", stat)
            await client.create("/watching-watched/child")
            await client.delete("/watching-watched", recursive=True)
            assert await anext(values) == (None, None)

    asyncio.run(scenario())


def test_values_may_be_skipped_but_the_last_is_not(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client, Client(server) as writer:
            await client.create("/watching-skipped")

            async def write() -> None:
                for number in range(1, 301):
                    await writer.set("/watching-skipped", b"%d" % number)

            seen: list[int] = []
            writing = asyncio.create_task(write())
            async for data, _ in DataWatch(client, "/watching-skipped"):
                seen.append(int(data or 0))
                if data == b"300":
                    break
            await writing
            assert seen == sorted(set(seen))

    asyncio.run(scenario())


def test_children_now_and_later(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            names = ChildrenWatch(client, "/watching-parent")
            assert await anext(names) is None
            await client.create("/watching-parent")
            assert await anext(names) == []
            await client.create("/watching-parent/b")
            assert await anext(names) == ["b"]
            await client.set("/watching-parent", b"is none of its children")
            await client.create("/watching-parent/a")
            assert await anext(names) == ["a", "b"]
            await client.delete("/watching-parent", recursive=True)
            seen = [await anext(names)]
            while seen[-1] is not None:
                seen.append(await anext(names))

    asyncio.run(scenario())


def test_a_step_that_is_cancelled_skips_nothing(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/watching-patient", b"0")
            values = DataWatch(client, "/watching-patient")
            assert (await anext(values))[0] == b"0"
            for steps in range(30):
                waiting = asyncio.create_task(anext(values))
                await asyncio.sleep(0)
                await client.set("/watching-patient", b"%d" % (steps + 1))
                for _ in range(steps):
                    await asyncio.sleep(0)
                waiting.cancel()
                (found,) = await asyncio.gather(waiting, return_exceptions=True)
                if isinstance(found, BaseException):
                    found = await anext(values)
                assert found[0] == b"%d" % (steps + 1)

    asyncio.run(scenario())


def test_it_ends_when_it_is_closed(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            for begun in (False, True):
                values = DataWatch(client, "/watched-for-a-while")
                if begun:
                    assert await anext(values) == (None, None)
                values.close()
                assert [value async for value in values] == []

    asyncio.run(scene())


def test_it_ends_with_the_client(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            loops = [
                asyncio.create_task(all_of(DataWatch(client, "/"))),
                asyncio.create_task(all_of(ChildrenWatch(client, "/ends"))),
            ]
            await client.exists("/")
            await asyncio.sleep(0)
        assert [len(values) for values in await asyncio.gather(*loops)] == [1, 1]

    async def all_of(values: DataWatch | ChildrenWatch) -> list[object]:
        return [value async for value in values]

    asyncio.run(scenario())


def test_what_may_not_be_read_is_an_error(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/watching-unreadable", acl=[Acl(ADMIN, "world", "anyone")])
            for values in (
                DataWatch(client, "/watching-unreadable"),
                ChildrenWatch(client, "/watching-unreadable"),
            ):
                with pytest.raises(NoAuth):
                    await anext(values)

    asyncio.run(scenario())


def test_scripts_watch_as_well(server: str) -> None:
    with BlockingClient(server) as client:
        client.create("/watching-script", b"1")
        values = client.each(DataWatch(client.client, "/watching-script"))
        assert next(values)[0] == b"1"
        with client.entered(TreeCache(client.client, "/watching-script")) as cache:
            changes = client.each(cache.changes())
            client.set("/watching-script", b"2")
            assert next(values)[0] == b"2"
            assert next(changes).kind is Kind.CHANGED
            assert cache.get("/watching-script") == client.get("/watching-script")
        assert list(changes) == []
