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
            for path in ("/cached", "/cached/b", "/cached/a", "/cached/a/deep"):
                await writer.create(path, path.encode())
            async with TreeCache(client, "/cached") as cache:
                assert [path for path, _ in cache.items()] == [
                    "/cached",
                    "/cached/a",
                    "/cached/b",
                    "/cached/a/deep",
                ]
                assert cache.get("/cached/a/deep") == await client.get("/cached/a/deep")
                assert cache.children("/cached") == ["a", "b"]
                assert cache.get("/cached/c") is None
                assert cache.children("/cached/c") == []
                changes = cache.changes()
                before = cache.get("/cached/b")
                await writer.set("/cached/b", b"2")
                assert await anext(changes) == (Kind.CHANGED, "/cached/b", await client.get("/cached/b"))
                await writer.create("/cached/c", b"new")
                assert await anext(changes) == (Kind.CREATED, "/cached/c", await client.get("/cached/c"))
                assert cache.children("/cached") == ["a", "b", "c"]
                await writer.delete("/cached/b")
                change = await anext(changes)
                assert change.kind is Kind.DELETED and change.found and change.found.data == b"2"
                assert before is not None and before.data == b"/cached/b"
                await writer.delete("/cached", recursive=True)
                assert [(await anext(changes)).kind for _ in range(4)] == [Kind.DELETED] * 4
                assert cache.items() == []
                await writer.create("/cached", b"again")
                assert (await anext(changes)).kind is Kind.CREATED
                with pytest.raises(ValueError, match="/cachedness is not below /cached"):
                    cache.get("/cachedness")
            assert [change async for change in changes] == []

    play(scene())


@pytest.mark.parametrize("seed", range(4))
def test_it_becomes_the_same(server: str, seed: int) -> None:
    chance = random.Random(seed)
    top = f"/wild-{seed}"

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
            await writer.ensure_path("/burst/gone/below")
            async with TreeCache(client, "/burst") as cache:
                few = cache.changes(limit=10)
                await writer.delete("/burst/gone", recursive=True)
                # More events than wait for who is busy all that time.
                async with asyncio.TaskGroup() as group:
                    for number in range(200):
                        group.create_task(writer.create(f"/burst/{number}"))
                await same(cache, await tree_of(writer, "/burst"))
                kinds = []
                while len(few):
                    kinds.append((await anext(few)).kind)
                assert Kind.MISSED in kinds

    play(scene())


def test_it_goes_on_in_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as writer:
            await writer.ensure_path("/renewed/a")
            async with TreeCache(client, "/renewed") as cache:
                changes = cache.changes()
                await end_session(client, server)
                await writer.create("/renewed/b")
                assert await anext(changes) == Change(
                    Kind.CREATED, "/renewed/b", await writer.get("/renewed/b")
                )
                await writer.delete("/renewed/a")
                assert (await anext(changes)).path == "/renewed/a"

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
            await writer.create("/partly")
            await writer.create("/partly/secret", acl=[Acl(ADMIN, "world", "anyone")])
            await writer.create("/partly/open")
            async with TreeCache(client, "/partly") as cache:
                assert held(cache).keys() == {"/partly", "/partly/open"}
            with pytest.raises(NoAuth):
                async with TreeCache(client, "/partly/secret"):
                    pass

    play(scene())
