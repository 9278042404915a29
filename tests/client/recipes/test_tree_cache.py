"""A copied tree is complete from its begin, and becomes the same as the tree whatever happens."""

from __future__ import annotations

import asyncio
import random

import pytest

from znoded.client import ADMIN, Acl, Client, ConnectionClosed, Kind, NoAuth, SessionExpired
from znoded.client.recipes import Change, TreeCache

from .scenes import clients, end_session, play


async def tree_of(client: Client, path: str) -> dict[str, bytes]:
    return {each: (await client.get(each)).data async for each in client.walk(path)}


def held(cache: TreeCache) -> dict[str, bytes]:
    return {path: found.data for path, found in cache.items()}


async def same(cache: TreeCache, tree: dict[str, bytes]) -> None:
    """Wait until the copy is."""
    changes = cache.changes()
    while held(cache) != tree:
        await anext(changes)


def test_it_is_complete_and_follows(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (client, writer):
            for path in ("/tree-cached", "/tree-cached/b", "/tree-cached/a", "/tree-cached/a/deep"):
                await writer.create(path, path.encode())
            async with TreeCache(client, "/tree-cached") as cache:
                assert [path for path, _ in cache.items()] == [
                    "/tree-cached",
                    "/tree-cached/a",
                    "/tree-cached/b",
                    "/tree-cached/a/deep",
                ]
                assert cache.get("/tree-cached/a/deep") == await client.get("/tree-cached/a/deep")
                assert cache.children("/tree-cached") == ["a", "b"]
                assert cache.get("/tree-cached/c") is None
                assert cache.children("/tree-cached/c") == []
                changes = cache.changes()
                before = cache.get("/tree-cached/b")
                await writer.set("/tree-cached/b", b"2")
                assert await anext(changes) == (
                    Kind.CHANGED,
                    "/tree-cached/b",
                    await client.get("/tree-cached/b"),
                )
                await writer.create("/tree-cached/c", b"new")
                assert await anext(changes) == (
                    Kind.CREATED,
                    "/tree-cached/c",
                    await client.get("/tree-cached/c"),
                )
                assert cache.children("/tree-cached") == ["a", "b", "c"]
                await writer.delete("/tree-cached/b")
                change = await anext(changes)
                assert change.kind is Kind.DELETED and change.found and change.found.data == b"2"
                assert before is not None and before.data == b"/tree-cached/b"
                await writer.delete("/tree-cached", recursive=True)
                assert [(await anext(changes)).kind for _ in range(4)] == [Kind.DELETED] * 4
                assert cache.items() == []
                await writer.create("/tree-cached", b"again")
                assert (await anext(changes)).kind is Kind.CREATED
                with pytest.raises(ValueError, match="/tree-cachedness is not below /tree-cached"):
                    cache.get("/tree-cachedness")
            assert [change async for change in changes] == []

    play(scene())


@pytest.mark.parametrize("seed", range(4))
def test_it_becomes_the_same(server: str, seed: int) -> None:
    chance = random.Random(seed)
    top = f"/tree-wild-{seed}"

    async def scene() -> None:
        async with clients(server, 2) as (client, writer):
            await writer.create(top)

            async def change() -> None:
                path = top + "".join(f"/{chance.randrange(3)}" for _ in range(chance.randrange(1, 4)))
                match chance.randrange(4):
                    case 0:
                        if await writer.exists(path):
                            await writer.delete(path, recursive=True)
                    case 1:
                        if await writer.exists(path):
                            await writer.set(path, b"%d" % chance.randrange(100))
                    case _:
                        await writer.ensure_path(path)

            async with TreeCache(client, top) as cache:
                states: dict[str, bytes] = {}
                changes = cache.changes(100_000)
                for _ in range(150):
                    await change()
                    if not chance.randrange(20):
                        await asyncio.sleep(0)
                await same(cache, await tree_of(writer, top))
                while len(changes):
                    kind, path, found = await anext(changes)
                    assert (path in states) == (kind is not Kind.CREATED) or path == top
                    assert found is not None
                    if kind is Kind.DELETED:
                        del states[path]
                    else:
                        states[path] = found.data
                states[top] = b""
                assert states == held(cache)

    play(scene())


def test_what_was_missed_is_read_again(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (client, writer):
            await writer.ensure_path("/tree-burst/gone/below")
            async with TreeCache(client, "/tree-burst") as cache:
                few = cache.changes(limit=10)
                await writer.delete("/tree-burst/gone", recursive=True)
                # More events than wait for who is busy all that time.
                async with asyncio.TaskGroup() as group:
                    for number in range(200):
                        group.create_task(writer.create(f"/tree-burst/{number}"))
                await same(cache, await tree_of(writer, "/tree-burst"))
                kinds = []
                while len(few):
                    kinds.append((await anext(few)).kind)
                assert Kind.MISSED in kinds

    play(scene())


def test_it_goes_on_in_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as writer:
            await writer.ensure_path("/tree-renewed/a")
            async with TreeCache(client, "/tree-renewed") as cache:
                changes = cache.changes()
                await end_session(client, server)
                await writer.create("/tree-renewed/b")
                assert await anext(changes) == Change(
                    Kind.CREATED, "/tree-renewed/b", await writer.get("/tree-renewed/b")
                )
                await writer.delete("/tree-renewed/a")
                assert (await anext(changes)).path == "/tree-renewed/a"

    play(scene())


def test_it_tells_that_it_is_kept_up_to_date_no_more(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client, TreeCache(client, "/") as cache:
            changes = cache.changes()
            assert cache.get("/") is not None
            await end_session(client, server)
            with pytest.raises(SessionExpired):
                await anext(changes)
            with pytest.raises(SessionExpired):
                cache.get("/")
        client = Client(server)
        await client.__aenter__()
        async with TreeCache(client, "/zookeeper") as cache:
            changes = cache.changes()
            await client.close()
            with pytest.raises(ConnectionClosed):
                await anext(changes)

    play(scene())


def test_what_may_not_be_read_is_left_out(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (client, writer):
            await writer.create("/tree-partly")
            await writer.create("/tree-partly/secret", acl=[Acl(ADMIN, "world", "anyone")])
            await writer.create("/tree-partly/open")
            async with TreeCache(client, "/tree-partly") as cache:
                assert held(cache).keys() == {"/tree-partly", "/tree-partly/open"}
            with pytest.raises(NoAuth):
                async with TreeCache(client, "/tree-partly/secret"):
                    pass

    play(scene())
