"""When a session expires, collections go on in the next one, or say so; nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from znoded.client import Client, OutcomeUnknown, SessionExpired
from znoded.client.recipes import ChildrenWatch, Counter, DataWatch, LockingQueue, Queue

from ..cutting import Scissors, Way
from .scenes import end_session, play


def test_a_queue_goes_on(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as other:
            queue = Queue(client, "/expiry/queue")
            await queue.put(b"1")
            await end_session(client, server)
            await queue.put(b"2")
            assert [await queue.get(), await queue.get()] == [b"1", b"2"]
            waiting = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            await end_session(client, server)
            await Queue(other, "/expiry/queue").put(b"3")
            assert await waiting == b"3"

    play(scene())


def test_what_was_locked_is_others(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as other:
            mine, theirs = LockingQueue(client, "/expiry/locks"), LockingQueue(other, "/expiry/locks")
            await mine.put(b"1")
            assert await mine.get() == b"1"
            await end_session(client, server)
            assert await theirs.get() == b"1"
            assert not await mine.holds_lock()
            assert not await mine.consume()
            assert await mine.get(timeout=0) is None
            assert await theirs.holds_lock()
            assert await theirs.release()
            assert await mine.get() == b"1"
            assert await mine.consume()

    play(scene())


def test_a_counter_goes_on(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client:
            counter = Counter(client, "/expiry/counter")
            await counter.add(1)
            await end_session(client, server)
            assert await counter.add(1) == 2

    play(scene())


def test_values_are_watched_in_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as other:
            await other.create("/expiry/watched", b"1", parents=True)
            values, names = DataWatch(client, "/expiry/watched"), ChildrenWatch(client, "/expiry/watched")
            assert (await anext(values))[0] == b"1"
            assert await anext(names) == []
            for number in range(3):
                await end_session(client, server)
                await other.set("/expiry/watched", b"after %d" % number)
                await other.create(f"/expiry/watched/{number}")
                assert (await anext(values))[0] == b"after %d" % number
                assert await anext(names) == [str(each) for each in range(number + 1)]

    play(scene())


def test_without_another_session_it_is_an_error(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            queue, locking = Queue(client, "/expiry/over"), LockingQueue(client, "/expiry/over-too")
            await locking.put(b"1")
            await locking.get()
            values, names = DataWatch(client, "/expiry"), ChildrenWatch(client, "/expiry")
            await anext(values)
            await anext(names)
            waits: list[Awaitable[object]] = [queue.get(), anext(values), anext(names)]
            waiting = [asyncio.ensure_future(wait) for wait in waits]
            await asyncio.sleep(0)
            await end_session(client, server)
            for found in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(found, SessionExpired)
            assert not await locking.consume()
            for late in (queue.put(b""), queue.get(timeout=0), Counter(client, "/expiry").add(1)):
                with pytest.raises(SessionExpired):
                    await late

    play(scene())


class Parting(Scissors):
    """Cut at a message, and at all after it, until it is healed."""

    def __init__(self, number: int, *, passed: bool) -> None:
        super().__init__(number, passed=passed)
        self.begun = asyncio.Event()
        self.healed = False

    def here(self) -> bool:
        self.count += 1
        if self.cut:
            self.begun.set()
        return self.cut and not self.healed


@asynccontextmanager
async def parted(server: str, number: int, passed: bool) -> AsyncIterator[tuple[Client, Parting]]:
    """A client whose session ends while it is cut off, from that message on."""
    host, _, port = server.partition(":")
    parting = Parting(1 << 30, passed=passed)

    async def expire(client: Client) -> None:
        await parting.begun.wait()
        await end_session(client, server)
        parting.healed = True

    async with Way([(host, int(port))], parting) as way, Client(way.hosts, renew=True) as client:
        ending = asyncio.create_task(expire(client))
        parting.number = parting.count + number
        yield client, parting
        parting.healed = True
        ending.cancel()


@pytest.mark.parametrize("passed", [False, True])
def test_what_is_unknown_is_said(server: str, passed: bool) -> None:
    """The answer is lost, and then the session: what was done, or not, is not taken for the other."""
    unknown = 0

    async def asked(work: Awaitable[object]) -> object:
        nonlocal unknown
        try:
            return await work
        except OutcomeUnknown:
            unknown += 1
            return OutcomeUnknown

    async def put(client: Client, other: Client, path: str) -> None:
        done = await asked(Queue(client, path).put(b"x"))
        assert await Queue(other, path).size() in ((0, 1) if done is OutcomeUnknown else (1,))

    async def get(client: Client, other: Client, path: str) -> None:
        await Queue(other, path).put(b"x")
        assert await asked(Queue(client, path).get(timeout=5)) in (b"x", OutcomeUnknown)
        assert await Queue(other, path).size() == 0

    async def add(client: Client, other: Client, path: str) -> None:
        done = await asked(Counter(client, path).add(1))
        assert done in (1, OutcomeUnknown)
        assert await Counter(other, path).value() in ((0, 1) if done is OutcomeUnknown else (1,))

    async def consume(client: Client, other: Client, path: str) -> None:
        await LockingQueue(other, path).put(b"x")
        queue = LockingQueue(client, path)
        assert await queue.get(timeout=5) == b"x"
        done = await asked(queue.consume())
        left = await LockingQueue(other, path).size()
        assert left in {True: (0,), False: (1,), OutcomeUnknown: (0, 1)}[done]
        if left:
            assert await LockingQueue(other, path).get(timeout=5) == b"x"

    async def one(exchange: Callable[[Client, Client, str], Awaitable[None]], number: int) -> None:
        path = f"/expiry/unknown/{exchange.__name__}-{passed}-{number}"
        async with parted(server, number, passed) as (client, _), Client(server) as other:
            try:
                await exchange(client, other, path)
            except Exception as error:
                raise AssertionError(f"{exchange.__name__}, cut at message {number}") from error

    async def scene() -> None:
        await asyncio.gather(
            *(one(exchange, number) for exchange in (put, get, add, consume) for number in range(16))
        )
        assert unknown

    play(scene())
