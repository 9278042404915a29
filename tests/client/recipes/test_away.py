"""A connection is away for a while: what is held is kept, or known to be lost before others have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from znoded.client import Client, State
from znoded.client.recipes import DoubleBarrier, Lock, Semaphore

from ...ensemble.network import Network, to_and_from
from .scenes import gathered, play

HERE, THERE = 1, 2
ALL = to_and_from(HERE, [THERE])


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture
def far(server: str, network: Network) -> str:
    """The server, by a network that can be broken."""
    return f"127.0.0.1:{network.dialed((HERE, THERE), int(server.rpartition(':')[2]))}"


async def becomes(client: Client, state: State) -> None:
    async for found in client.states():
        if found is state:
            return


@pytest.mark.parametrize("kind", [Lock, Semaphore])
def test_one_that_comes_back_in_time_holds_it_still(
    server: str, far: str, network: Network, kind: type[Lock | Semaphore]
) -> None:
    async def scene() -> None:
        path = f"/away/back-{kind.__name__}"
        async with Client(far, timeout=20) as client, Client(server) as other, kind(client, path) as held:
            network.cut(ALL)
            await becomes(client, State.SUSPENDED)
            assert not held.lost
            assert await kind(other, path).acquire(timeout=0.02) is None
            network.heal()
            await becomes(client, State.CONNECTED)
            await client.exists("/")
            assert not held.lost

    play(scene())


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
@pytest.mark.parametrize("kind", [Lock, Semaphore])
def test_one_that_does_not_knows_it_before_another_holds_it(
    server: str, far: str, network: Network, kind: type[Lock | Semaphore], silent: bool
) -> None:
    async def scene() -> None:
        path = f"/away/gone-{kind.__name__}-{silent}"
        async with Client(far, timeout=0.5) as client, Client(server) as other:
            lock = kind(client, path)
            held = await lock.acquire()
            waiting = asyncio.create_task(kind(other, path).acquire())
            await gathered(other, path if kind is Lock else f"{path}-__lock__", 2 if kind is Lock else 1)
            assert not held.lost
            if silent:
                network.hold(ALL)
            else:
                network.cut(ALL)
            after = await waiting
            assert held.lost
            assert after.token > held.token
            await held.lost.wait()
            network.heal()
            await becomes(client, State.EXPIRED)
            await lock.release()
            assert not after.lost

    play(scene())


def test_a_program_that_was_stopped_knows_it_at_once(server: str) -> None:
    def be_stopped(seconds: float) -> None:
        time.sleep(seconds)

    async def scene() -> None:
        async with Client(server, timeout=0.5) as client, Lock(client, "/away/stopped") as held:
            be_stopped(0.55)
            assert held.lost  # whatever the event loop has to do first

    play(scene())


def test_what_was_deleted_meanwhile_is_found_lost(server: str, far: str, network: Network) -> None:
    async def scene() -> None:
        async with (
            Client(far, timeout=20) as client,
            Client(server) as other,
            Lock(client, "/away/deleted") as held,
        ):
            network.cut(ALL)
            await becomes(client, State.SUSPENDED)
            await other.delete(held.path)
            network.heal()
            await held.lost.wait()

    play(scene())


def test_what_can_t_be_told_to_a_server_is_released_when_the_session_is_over(
    server: str, far: str, network: Network
) -> None:
    async def scene() -> None:
        async with Client(far, timeout=0.5) as client, Client(server) as other:
            async with Lock(client, "/away/released"):
                network.cut(ALL)
                await becomes(client, State.SUSPENDED)
            assert client.state is State.SUSPENDED
            assert await Lock(other, "/away/released").acquire()

    play(scene())


def test_a_wait_is_given_up_in_time_and_leaves_nothing_behind(
    server: str, far: str, network: Network
) -> None:
    async def scene() -> None:
        async with Client(far, timeout=20) as client, Client(server) as other, Lock(other, "/away/wait"):
            waiting = asyncio.create_task(Lock(client, "/away/wait").acquire(timeout=0.1))
            await gathered(other, "/away/wait", 2)
            network.cut(ALL)
            assert await waiting is None
            network.heal()
            await gathered(other, "/away/wait", 1)

    play(scene())


def test_one_who_was_away_while_a_barrier_was_opened_and_left_gets_in(
    server: str, far: str, network: Network
) -> None:
    """Neither `ready` nor the other is there any more when it looks."""

    async def scene() -> None:
        path = "/away/barrier"
        async with Client(far, timeout=20) as client, Client(server) as other:
            late, early = DoubleBarrier(client, path, 2), DoubleBarrier(other, path, 2)
            entering = asyncio.create_task(late.enter())
            await gathered(other, path, 1)
            network.cut(ALL)
            await becomes(client, State.SUSPENDED)
            await early.enter()
            leaving = asyncio.create_task(early.leave())
            await gathered(other, path, 2)
            leaving.cancel()  # one that is cancelled has left all the same
            await asyncio.wait({leaving})
            await gathered(other, path, 1)
            network.heal()
            await entering
            await late.leave()
            assert await other.children(path) == []

    play(scene())
