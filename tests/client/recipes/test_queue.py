"""A queue gives each entry once, in the order of priorities, to whoever waits; kazoo's is the same queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from znoded.client import BlockingClient, Client
from znoded.client.recipes import LockingQueue, Queue


@pytest.fixture
def kazoo(server: str) -> Iterator[KazooClient]:
    client = KazooClient(server)
    client.start()
    yield client
    client.stop()
    client.close()


def test_entries_come_in_order(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = Queue(client, "/queue/order")
            assert await queue.size() == 0
            assert await queue.get(timeout=0) is None
            await queue.put(b"third")
            await queue.put(b"first", priority=5)
            await queue.put_all([b"fourth", b"fifth"])
            await queue.put(b"second", priority=20)
            assert await queue.size() == 5
            found = [await queue.get(timeout=0) for _ in range(6)]
            assert found == [b"first", b"second", b"third", b"fourth", b"fifth", None]

    asyncio.run(scenario())


def test_who_waits_is_given_the_next(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client, Client(server) as other:
            waiting = asyncio.create_task(Queue(client, "/queue/wait/below").get())
            await Queue(other, "/queue/wait/below").put(b"come")
            assert await waiting == b"come"
            assert await Queue(client, "/queue/wait/below").get(timeout=0.01) is None

    asyncio.run(scenario())


def test_what_is_more_urgent_goes_before_what_is_known(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = Queue(client, "/queue/urgent")
            await queue.put_all([b"1", b"2"])
            assert await queue.get() == b"1"
            await queue.put(b"urgent", 0)
            assert [await queue.get(), await queue.get()] == [b"urgent", b"2"]

    asyncio.run(scenario())


def test_a_wait_that_is_given_up_takes_nothing(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = Queue(client, "/queue/patience")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await queue.get()
            await queue.put(b"x")
            assert await Queue(client, "/queue/patience").get(timeout=0) == b"x"

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Queue, LockingQueue])
def test_a_call_that_is_cancelled_at_any_step_loses_nothing(
    server: str, kind: type[Queue] | type[LockingQueue]
) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            path = f"/queue/cancelled-{kind.__name__}"
            queue = kind(client, path)
            expected = [b"%d" % number for number in range(30)]
            await queue.put_all(expected)
            found: list[bytes | None] = []
            steps = 0
            while len(found) < len(expected):
                getting = asyncio.create_task(queue.get())
                for _ in range(steps):
                    await asyncio.sleep(0)
                steps = (steps + 1) % 40
                getting.cancel()
                found += [
                    each
                    for each in await asyncio.gather(getting, return_exceptions=True)
                    if isinstance(each, bytes)
                ]
                if isinstance(queue, LockingQueue) and found:
                    held = await queue.get()
                    if found[-1] != held:
                        found.append(held)
                    assert await queue.consume()
            assert found == expected

    asyncio.run(scenario())


def test_what_nobody_was_given_is_not_consumed(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = LockingQueue(client, "/queue/unseen")
            for steps in range(30):
                await queue.put(b"%d" % steps)
                getting = asyncio.create_task(queue.get())
                for _ in range(steps):
                    await asyncio.sleep(0)
                getting.cancel()
                (given,) = await asyncio.gather(getting, return_exceptions=True)
                if not isinstance(given, bytes):
                    assert not await queue.consume()
                    assert await queue.get() == b"%d" % steps
                assert await queue.consume()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Queue, LockingQueue])
def test_each_is_taken_once_by_many(server: str, kind: type[Queue] | type[LockingQueue]) -> None:
    async def scenario() -> None:
        async with Client(server) as one, Client(server) as other:
            path = f"/queue/many-{kind.__name__}"
            taken: list[bytes] = []

            async def take(client: Client) -> None:
                queue = kind(client, path)
                async for value in queue:
                    if isinstance(queue, LockingQueue):
                        assert await queue.consume()
                    if value == b"over":
                        break
                    taken.append(value)

            async def put(client: Client, first: int) -> None:
                queue = kind(client, path)
                await asyncio.gather(*(queue.put(b"%d" % number) for number in range(first, first + 50)))

            takers = [asyncio.create_task(take(client)) for client in (one, other, one, other)]
            await asyncio.gather(put(one, 0), put(other, 50))
            await kind(one, path).put_all([b"over"] * 4, 999)
            await asyncio.gather(*takers)
            assert sorted(map(int, taken)) == list(range(100))
            assert await kind(one, path).size() == 0

    asyncio.run(scenario())


def test_an_entry_is_locked_until_it_is_consumed(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            mine, other = (LockingQueue(client, "/queue/locked") for _ in range(2))
            assert not await mine.holds_lock()
            assert not await mine.consume()
            assert not await mine.release()
            await mine.put_all([b"1", b"2"])
            assert await mine.get() == b"1"
            assert await mine.get() == b"1"
            assert await mine.holds_lock()
            assert await other.get() == b"2"
            assert await mine.release()
            assert not await mine.holds_lock()
            assert await other.consume()
            assert not await other.consume()
            assert await other.get() == b"1"
            assert await other.size() == 1
            assert await other.consume()
            assert await other.size() == 0
            assert await client.children("/queue/locked/taken") == []

    asyncio.run(scenario())


def test_who_dies_leaves_its_entry_to_others(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            async with Client(server) as dying:
                queue = LockingQueue(dying, "/queue/heirs")
                await queue.put(b"x")
                assert await queue.get() == b"x"
                heir = asyncio.create_task(LockingQueue(client, "/queue/heirs").get())
                await asyncio.sleep(0)
            assert await heir == b"x"

    asyncio.run(scenario())


def test_a_lock_that_was_broken_is_known_to_be_lost(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = LockingQueue(client, "/queue/broken")
            await queue.put(b"x")
            await queue.get()
            (name,) = await client.children("/queue/broken/taken")
            await client.delete(f"/queue/broken/taken/{name}")
            assert not await queue.holds_lock()
            assert not await queue.consume()
            assert await queue.get(timeout=5) == b"x"

    asyncio.run(scenario())


def test_wrong_values_and_priorities_are_told(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            queue = Queue(client, "/queue/wrong")
            with pytest.raises(ValueError, match="1000 is no priority"):
                await queue.put(b"", 1000)
            with pytest.raises(TypeError, match="not str"):
                await queue.put("text")  # type: ignore[arg-type]
            await queue.put(b"x")
            assert await queue.size() == 1

    asyncio.run(scenario())


def test_kazoo_takes_what_we_put_and_puts_what_we_take(server: str, kazoo: KazooClient) -> None:
    with BlockingClient(server) as client:
        ours, theirs = Queue(client.client, "/queue/shared"), kazoo.Queue("/queue/shared")
        client.wait(ours.put(b"2"))
        theirs.put(b"1", 50)
        theirs.put(b"3")
        client.wait(ours.put(b"4"))
        assert [client.wait(ours.get()), theirs.get(), client.wait(ours.get()), theirs.get()] == [
            b"1",
            b"2",
            b"3",
            b"4",
        ]
        assert theirs.get() is None
        assert client.wait(ours.get(timeout=0)) is None


def test_kazoo_respects_our_locks_and_we_its(server: str, kazoo: KazooClient) -> None:
    with BlockingClient(server) as client:
        ours, theirs = LockingQueue(client.client, "/queue/locks"), kazoo.LockingQueue("/queue/locks")
        client.wait(ours.put(b"1"))
        theirs.put(b"2")
        assert client.wait(ours.get()) == b"1"
        assert theirs.get() == b"2"
        assert client.wait(ours.release())
        assert theirs.consume()
        assert theirs.get() == b"1"
        assert client.wait(ours.get(timeout=0)) is None
        assert theirs.release()
        assert client.wait(ours.get(timeout=5)) == b"1"
        assert client.wait(ours.consume())
        assert len(theirs) == 0
