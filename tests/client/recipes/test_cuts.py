"""Connections are cut at every message of an exchange: what collections hold is what was put there, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import pytest

from znoded.client import Client
from znoded.client.recipes import (
    ChildrenWatch,
    Counter,
    DataWatch,
    LockingQueue,
    Party,
    Queue,
    ServiceInstance,
    ServiceRegistry,
    SetPartitioner,
    TreeCache,
)

from ...ensemble.ensemble import Ensemble, serving
from ..cutting import Scissors, Way
from .scenes import gathered, play

Exchange = Callable[[Client, Client, str], Awaitable[None]]
"""Takes the client whose connection is cut, another, and a path of its own."""


AT_ONCE = 10
"""Cuts that are tried at the same time: most of each is waiting for the next connection."""


async def cut_everywhere(servers: str, exchange: Exchange, base: str, *, passed: bool) -> None:
    for first in count(step=AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        cuts = [
            cut_at(number, servers, exchange, f"/collections-cut/{base}-{passed}-{number}", passed)
            for number in numbers
        ]
        if not all(await asyncio.gather(*cuts)):
            assert first
            return


async def cut_at(number: int, servers: str, exchange: Exchange, path: str, passed: bool) -> bool:
    """Whether the exchange has so many messages."""
    addresses = [(host, int(port)) for host, _, port in (each.partition(":") for each in servers.split(","))]
    scissors = Scissors(number, passed=passed)
    try:
        async with (
            Client(servers) as other,
            Way(addresses, scissors) as way,
            Client(way.hosts) as client,
        ):
            session = client.session
            await exchange(client, other, path)
            assert client.session == session
    except Exception as error:
        raise AssertionError(f"cut at message {number}, passed: {passed}") from error
    return scissors.cut


@pytest.fixture(params=[False, True], ids=["held back", "passed"])
def passed(request: pytest.FixtureRequest) -> bool:
    """Whether the message is sent on before the cut."""
    return bool(request.param)


def test_a_queue(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        queue = Queue(client, path)
        await queue.put(b"2")
        await queue.put_all([b"3", b"4"])
        await Queue(other, path).put(b"1", 5)
        assert [await queue.get(timeout=5) for _ in range(4)] == [b"1", b"2", b"3", b"4"]
        assert await queue.get(timeout=0) is None
        assert await Queue(other, path).size() == 0

    play(cut_everywhere(server, exchange, "queue", passed=passed))


def test_a_queue_that_others_take_from(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        entries = [b"%d" % number for number in range(6)]
        await Queue(other, path).put_all(entries)

        async def take(taker: Client) -> list[bytes]:
            queue = Queue(taker, path)
            taken = []
            while (value := await queue.get(timeout=0)) is not None:
                taken.append(value)
            return taken

        assert sorted(sum(await asyncio.gather(take(client), take(other)), [])) == entries  # noqa: RUF017

    play(cut_everywhere(server, exchange, "takers", passed=passed))


def test_a_queue_that_locks(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        queue, theirs = LockingQueue(client, path), LockingQueue(other, path)
        await queue.put(b"1")
        assert await queue.get(timeout=5) == b"1"
        assert await queue.holds_lock()
        assert await theirs.get(timeout=0) is None
        assert await queue.release()
        assert await theirs.get(timeout=5) == b"1"
        assert await theirs.release()
        assert await queue.get(timeout=5) == b"1"
        assert await queue.consume()
        assert await queue.size() == 0
        assert await other.children(f"{path}/taken") == []

    play(cut_everywhere(server, exchange, "locking", passed=passed))


def test_a_counter(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        counter = Counter(client, path)
        assert [await counter.add(1), await counter.add(2)] == [1, 3]
        assert await Counter(other, path).add(1) == 4
        assert await counter.add(-1) == 3

    play(cut_everywhere(server, exchange, "counter", passed=passed))


def test_who_is_here(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        registry = ServiceRegistry(client, f"{path}/services")
        async with Party(client, path, "me") as party, registry.register(ServiceInstance("web")) as web:
            assert await party.members() == await Party(other, path).members() == ["me"]
            assert await ServiceRegistry(other, f"{path}/services").instances("web") == [web]
            assert await registry.instances("web") == [web]
        assert await gathered(other, f"{path}/services/web", 0) == []
        assert await Party(other, path).members() == []

    play(cut_everywhere(server, exchange, "party", passed=passed))


def test_what_is_watched(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        await other.create(path, parents=True)
        values, names = DataWatch(client, path), ChildrenWatch(client, path)
        async with TreeCache(client, path) as cache:
            changes = cache.changes()
            for number in range(3):
                await other.set(path, b"%d" % number)
                await other.create(f"{path}/{number}")
                while (await anext(values))[0] != b"%d" % number:
                    pass
                while await anext(names) != [str(each) for each in range(number + 1)]:
                    pass
                while cache.children(path) != [str(each) for each in range(number + 1)]:
                    await anext(changes)
                assert (found := cache.get(path)) is not None
                assert found.data == b"%d" % number
            assert len(cache.items()) == 4

    play(cut_everywhere(server, exchange, "watched", passed=passed))


def test_items_that_are_divided(server: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        async with SetPartitioner(client, path, ["a", "b"], identifier="1", settle=0.01) as ours:
            assert await anext(ours) == ["a", "b"]
            async with SetPartitioner(other, path, ["a", "b"], identifier="2", settle=0.01) as theirs:
                await ours.changed()
                assert [*await asyncio.gather(anext(ours), anext(theirs))] == [["a"], ["b"]]
        assert await gathered(other, f"{path}/party", 0) == await gathered(other, f"{path}/locks/a", 0)

    play(cut_everywhere(server, exchange, "divided", passed=passed))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Servers of an ensemble."""
    with serving(Ensemble(tmp_path_factory.mktemp("cuts"))) as ensemble:
        yield ",".join("{}:{}".format(*address) for address in ensemble.addresses)


def test_the_session_goes_on_at_another_server(three: str, passed: bool) -> None:
    async def exchange(client: Client, other: Client, path: str) -> None:
        queue, locking = Queue(client, path), LockingQueue(client, f"{path}-locks")
        counter = Counter(client, f"{path}-n")
        await queue.put_all([b"1", b"2"])
        await queue.put(b"3")
        assert [await queue.get(timeout=5), await queue.get(timeout=5)] == [b"1", b"2"]
        await locking.put(b"x")
        assert await locking.get(timeout=5) == b"x"
        assert await locking.consume()
        assert await counter.add(5) == 5
        await other.sync()
        assert await Queue(other, path).get(timeout=0) == b"3"
        assert await LockingQueue(other, f"{path}-locks").size() == 0
        assert await Counter(other, f"{path}-n").add(1) == 6
        await client.sync()
        assert await queue.get(timeout=0) is None
        assert await counter.value() == 6

    play(cut_everywhere(three, exchange, "three", passed=passed))
