"""A connection that is cut at any message costs nobody anything: nothing is held twice, or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

from znoded.client import Client
from znoded.client.recipes import Barrier, DoubleBarrier, Election, Lease, Lock, ReadLock, Semaphore

from ..cutting import Address, Scissors, Way
from .scenes import gathered, play

Scene: TypeAlias = Callable[[Client, Client, str], Awaitable[None]]
"""Takes a client whose connection is cut, one whose connection is not, and a path."""


async def a_lock(cut: Client, other: Client, path: str) -> None:
    first, second = Lock(other, path, "first"), Lock(cut, path, "second")
    before = await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await gathered(other, path, 2)
    assert not waiting.done()
    await first.release()
    held = await waiting
    assert held.token > before.token
    assert not held.lost
    assert await first.contenders() == ["second"]
    waiting = asyncio.create_task(first.acquire())
    await gathered(other, path, 2)
    await gathered(cut, path, 2)
    assert await second.contenders() == ["second", "first"]
    assert not waiting.done()
    assert not held.lost
    await second.release()
    await waiting
    await first.release()
    assert await other.children(path) == []


async def a_lock_that_outlives_its_session(cut: Client, other: Client, path: str) -> None:
    async with Lock(cut, path, "lasting", ephemeral=False) as held:
        assert await Lock(other, path).contenders() == ["lasting"]
        assert not held.lost
    assert await other.children(path) == []


async def giving_up(cut: Client, other: Client, path: str) -> None:
    async with Lock(other, path):
        lock = Lock(cut, path)
        for _ in range(2):
            waiting = asyncio.create_task(lock.acquire())
            await gathered(other, path, 2)
            waiting.cancel()
            await asyncio.wait({waiting})
            await gathered(other, path, 1)
    assert await ReadLock(cut, path).acquire(blocking=False)


async def a_semaphore(cut: Client, other: Client, path: str) -> None:
    first, second = Semaphore(other, path, 1, "first"), Semaphore(cut, path, 1, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await gathered(other, f"{path}-__lock__", 1)
    await first.release()
    held = await waiting
    await other.sync(path)
    assert await first.holders() == ["second"]
    assert await second.holders() == ["second"]
    assert not held.lost
    assert await first.acquire(blocking=False) is None
    await second.release()
    await other.sync(path)
    assert await other.children(path) == []
    assert await other.children(f"{path}-__lock__") == []


async def an_election(cut: Client, other: Client, path: str) -> None:
    leaders = Election(cut, path).leaders()
    assert await anext(leaders) is None
    async with Election(other, path, "other") as held:
        assert await anext(leaders) == ("other", held.token)
        standing = asyncio.create_task(Election(cut, path, "cut").run(lead))
        await gathered(other, path, 2)
    token = await standing
    assert token > held.token
    assert await other.children(path) == []


async def lead(held: object) -> int:
    assert hasattr(held, "token")
    await asyncio.sleep(0)
    token: int = held.token
    return token


async def a_barrier(cut: Client, other: Client, path: str) -> None:
    async with Barrier(other, path):
        waiting = asyncio.create_task(Barrier(cut, path).wait())
        await asyncio.sleep(0)
    assert await waiting
    await Barrier(cut, path).create()
    waiting = asyncio.create_task(Barrier(other, path).wait())
    assert await Barrier(cut, path).remove()
    assert await waiting


async def a_double_barrier(cut: Client, other: Client, path: str) -> None:
    one, another = DoubleBarrier(cut, path, 2), DoubleBarrier(other, path, 2)
    await asyncio.gather(one.enter(), another.enter())
    await asyncio.gather(one.leave(), another.leave())
    assert await other.children(path) == []
    entering = asyncio.create_task(one.enter())
    await gathered(other, path, 1)
    await another.enter()
    await entering
    leaving = asyncio.create_task(another.leave())
    await one.leave()
    await leaving
    assert await other.children(path) == []


async def a_lease(cut: Client, other: Client, path: str) -> None:
    day = timedelta(days=1)
    first, second = Lease(other, path, day, "first"), Lease(cut, path, day, "second")
    assert await first.obtain()
    waiting = asyncio.create_task(second.obtain())
    await gathered(other, f"{path}-__lock__", 1)
    await first.release()
    assert await waiting
    assert second.token > first.token
    assert not await first.obtain(timeout=0.01)
    await second.release()
    assert await first.obtain()
    assert await other.children(path) == ["lease_holder"]
    assert await other.children(f"{path}-__lock__") == []


SCENES: list[Scene] = [
    a_lock,
    a_lock_that_outlives_its_session,
    giving_up,
    a_semaphore,
    an_election,
    a_barrier,
    a_double_barrier,
    a_lease,
]


async def cut_everywhere(servers: list[Address], scene: Scene, passed: bool) -> None:
    at_once = asyncio.Semaphore(8)

    async def cut_at(number: int) -> int:
        scissors = Scissors(number, passed=passed)
        path = f"/cuts/{scene.__name__}/{passed}-{number}"
        async with (
            at_once,
            asyncio.timeout(15),
            Client(",".join(f"{host}:{port}" for host, port in servers)) as other,
            Way(servers, scissors) as way,
            Client(way.hosts) as client,
        ):
            session = client.session
            try:
                await scene(client, other, path)
                assert client.session == session
            except BaseException as error:
                error.add_note(f"cut at message {number}")
                raise
        return scissors.count

    whole = await cut_at(1_000_000)
    assert whole > 10
    await asyncio.gather(*map(cut_at, range(whole)))


@pytest.mark.parametrize("passed", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_at_every_message(server: str, scene: Scene, passed: bool) -> None:
    host, _, port = server.partition(":")
    play(cut_everywhere([(host, int(port))], scene, passed))
