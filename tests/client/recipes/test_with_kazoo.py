"""Ours and kazoo's take part in the same recipe, by the same znodes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout
from kazoo.recipe.lease import NonBlockingLease as TheirLease

from znoded.client import Client
from znoded.client.recipes import (
    Barrier,
    DoubleBarrier,
    Election,
    Lease,
    Lock,
    NonBlockingLease,
    ReadLock,
    Semaphore,
    WriteLock,
)

from .scenes import gathered, play

BRIEF = 0.05
"""Seconds that one waits who is not to get it."""
HOUR = timedelta(hours=1)


@pytest.fixture
def kazoo(server: str) -> Iterator[Any]:
    client = KazooClient(server)
    client.start()
    yield client
    client.stop()
    client.close()


def in_thread(call: Callable[..., Any], *args: object) -> asyncio.Task[Any]:
    """Kazoo's waits, beside ours."""
    return asyncio.create_task(asyncio.to_thread(call, *args))


class TestLock:
    def test_theirs_holds_ours_back(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                theirs = kazoo.Lock("/kazoo/lock", "theirs")
                await in_thread(theirs.acquire)
                ours = Lock(client, "/kazoo/lock", "ours")
                assert await ours.acquire(blocking=False) is None
                waiting = asyncio.create_task(ours.acquire())
                await gathered(client, "/kazoo/lock", 2)
                assert await ours.contenders() == ["theirs", "ours"]
                await in_thread(theirs.release)
                await waiting

        play(scene())

    def test_ours_holds_theirs_back(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                theirs = kazoo.Lock("/kazoo/ours", "theirs")
                async with Lock(client, "/kazoo/ours", "ours"):
                    with pytest.raises(LockTimeout):
                        await in_thread(theirs.acquire, True, BRIEF)
                    waiting = in_thread(theirs.acquire)
                    await gathered(client, "/kazoo/ours", 2)
                    assert await in_thread(theirs.contenders) == ["ours", "theirs"]
                    assert not waiting.done()
                assert await waiting
                await in_thread(theirs.release)

        play(scene())

    def test_they_take_turns_in_the_order_of_asking(self, server: str, kazoo: Any) -> None:
        had: list[str] = []

        def theirs(name: str) -> None:
            with kazoo.Lock("/kazoo/turns", name):
                had.append(name)

        async def ours(client: Client, name: str) -> None:
            async with Lock(client, "/kazoo/turns", name):
                had.append(name)

        async def scene() -> None:
            async with (
                Client(server) as client,
                asyncio.TaskGroup() as group,
                Lock(client, "/kazoo/turns"),
            ):
                for number in range(0, 6, 2):
                    group.create_task(ours(client, f"{number}"))
                    await gathered(client, "/kazoo/turns", number + 2)
                    group.create_task(asyncio.to_thread(theirs, f"{number + 1}"))
                    await gathered(client, "/kazoo/turns", number + 3)

        play(scene())
        assert had == ["0", "1", "2", "3", "4", "5"]

    def test_readers_and_writers(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            path = "/kazoo/table"
            async with Client(server) as client:
                with kazoo.ReadLock(path):
                    async with ReadLock(client, path):
                        assert not await in_thread(kazoo.WriteLock(path).acquire, False)
                    assert await WriteLock(client, path).acquire(blocking=False) is None
                with kazoo.WriteLock(path):
                    assert await ReadLock(client, path).acquire(blocking=False) is None
                    assert await WriteLock(client, path).acquire(blocking=False) is None
                async with ReadLock(client, path):
                    reader = kazoo.ReadLock(path)
                    assert await in_thread(reader.acquire, False)
                    await in_thread(reader.release)
                async with WriteLock(client, path):
                    assert not await in_thread(kazoo.ReadLock(path).acquire, False)

        play(scene())

    def test_another_s_names(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                made = await client.create("/kazoo-others/_c_1-lock-", sequential=True, parents=True)
                assert await Lock(client, "/kazoo-others").acquire(timeout=1)
                held = await Lock(client, "/kazoo-others", others=["-lock-"]).acquire(blocking=False)
                assert held is None
                await client.delete(made.path)

        play(scene())


class TestSemaphore:
    def test_leases_are_counted_together(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            path = "/kazoo/semaphore"
            async with Client(server) as client:
                theirs = kazoo.Semaphore(path, "theirs", 2)
                await in_thread(theirs.acquire)
                async with Semaphore(client, path, 2, "ours") as held:
                    assert held.path.startswith(f"{path}/")
                    assert sorted(await in_thread(theirs.lease_holders)) == ["ours", "theirs"]
                    assert sorted(await Semaphore(client, path, 2).holders()) == ["ours", "theirs"]
                    assert not await in_thread(kazoo.Semaphore(path, "third", 2).acquire, False)
                    third = Semaphore(client, path, 2)
                    assert await third.acquire(timeout=BRIEF) is None
                    waiting = asyncio.create_task(third.acquire())
                    await gathered(client, f"{path}-__lock__", 1)
                    await in_thread(theirs.release)
                    await waiting
                    await third.release()

        play(scene())

    def test_they_agree_on_their_number(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                async with Semaphore(client, "/kazoo/three", 3):
                    with pytest.raises(ValueError, match="Inconsistent"):
                        await in_thread(kazoo.Semaphore("/kazoo/three", "", 2).acquire)
                await in_thread(kazoo.Semaphore("/kazoo/two", "", 2).acquire)
                with pytest.raises(ValueError, match="2 leases, not for 3"):
                    await Semaphore(client, "/kazoo/two", 3).acquire()

        play(scene())


def test_an_election_is_won_by_one(server: str, kazoo: Any) -> None:
    async def scene() -> None:
        leading, enough = threading.Event(), threading.Event()

        def lead() -> None:
            leading.set()
            enough.wait(20)

        async with Client(server) as client:
            theirs = in_thread(kazoo.Election("/kazoo/election", "theirs").run, lead)
            await in_thread(leading.wait)
            ours = Election(client, "/kazoo/election", "ours")
            leaders = ours.leaders()
            leader = await anext(leaders)
            assert leader is not None
            assert leader.identifier == "theirs"
            waiting = asyncio.create_task(ours.__aenter__())
            await gathered(client, "/kazoo/election", 2)
            enough.set()
            await theirs
            held = await waiting
            assert held.token > leader.token
            assert await anext(leaders) == ("ours", held.token)
            assert await in_thread(kazoo.Election("/kazoo/election").contenders) == ["ours"]
            await ours.__aexit__(None, None, None)

    play(scene())


class TestBarriers:
    def test_a_barrier(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                theirs, ours = kazoo.Barrier("/kazoo/barrier"), Barrier(client, "/kazoo/barrier")
                await in_thread(theirs.create)
                assert not await ours.wait(BRIEF)
                waiting = asyncio.create_task(ours.wait())
                await in_thread(theirs.remove)
                assert await waiting
                async with ours:
                    assert not await in_thread(theirs.wait, BRIEF)
                assert await in_thread(theirs.wait, BRIEF)

        play(scene())

    @pytest.mark.parametrize("last", ["ours", "theirs"])
    def test_a_double_barrier(self, server: str, kazoo: Any, last: str) -> None:
        path = f"/kazoo/double-{last}"

        async def scene() -> None:
            async with Client(server) as client:
                theirs, ours = kazoo.DoubleBarrier(path, 2), DoubleBarrier(client, path, 2)
                begin: dict[str, Callable[[], asyncio.Task[Any]]] = {
                    "theirs": lambda: in_thread(theirs.enter),
                    "ours": lambda: asyncio.create_task(ours.enter()),
                }
                (first,) = begin.keys() - {last}
                entering = begin[first]()
                await gathered(client, path, 1)
                assert not entering.done()
                await begin[last]()
                await entering
                await asyncio.gather(in_thread(theirs.leave), ours.leave())
                assert await client.children(path) == []

        play(scene())


class TestLeases:
    def test_theirs_is_respected(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                assert await in_thread(TheirLease, kazoo, "/kazoo/lease", HOUR, "theirs")
                assert not await NonBlockingLease(client, "/kazoo/lease", HOUR, "ours").obtain()
                assert not await Lease(client, "/kazoo/lease", HOUR, "ours").obtain(timeout=BRIEF)
                assert await NonBlockingLease(client, "/kazoo/lease", HOUR, "theirs").obtain()

        play(scene())

    def test_ours_is_respected(self, server: str, kazoo: Any) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                ours = NonBlockingLease(client, "/kazoo/our-lease", HOUR, "ours")
                assert await ours.obtain()
                assert not await in_thread(TheirLease, kazoo, "/kazoo/our-lease", HOUR, "theirs")
                assert await in_thread(TheirLease, kazoo, "/kazoo/our-lease", HOUR, "ours")
                token = ours.token
                assert await ours.obtain()
                assert ours.token > token
                await ours.release()
                assert await in_thread(TheirLease, kazoo, "/kazoo/our-lease", HOUR, "theirs")

        play(scene())
