"""A semaphore is held by as many as it has leases, and never by more."""

from __future__ import annotations

import asyncio

import pytest

from znoded.client import Client
from znoded.client.recipes import Semaphore

from .scenes import clients, end_session, gathered, play


def test_never_more_than_its_leases_and_all_have_it(server: str) -> None:
    inside: set[int] = set()
    full = asyncio.Event()
    tokens: list[int] = []

    async def pass_through(client: Client, number: int) -> None:
        async with Semaphore(client, "/semaphore/many", 3, str(number)) as held:
            inside.add(number)
            assert len(inside) <= 3
            if len(inside) == 3:
                full.set()
            await full.wait()
            tokens.append(held.token)
            inside.remove(number)

    async def scene() -> None:
        async with clients(server, 3) as three:
            async with asyncio.TaskGroup() as group:
                for number in range(30):
                    group.create_task(pass_through(three[number % 3], number))
            assert await three[0].children("/semaphore/many") == []
            assert await three[0].children("/semaphore/many-__lock__") == []

    play(scene())
    assert len(set(tokens)) == 30


def test_who_waits_has_it_when_one_is_released(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (one, other):
            first, second = (
                Semaphore(one, "/semaphore/next", 1),
                Semaphore(other, "/semaphore/next", 1, "2nd"),
            )
            await first.acquire()
            assert await second.acquire(blocking=False) is None
            waiting = asyncio.create_task(second.acquire())
            await gathered(one, "/semaphore/next-__lock__", 1)
            await first.release()
            await waiting
            assert await first.holders() == ["2nd"]
            assert await Semaphore(one, "/semaphore/none").holders() == []

    play(scene())


def test_giving_up_leaves_nothing_behind(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client, Semaphore(client, "/semaphore/full"):
            waits = [Semaphore(client, "/semaphore/full").acquire(timeout=time) for time in (0.02, 0.05)]
            assert await asyncio.gather(*waits) == [None, None]
            assert len(await client.children("/semaphore/full")) == 1
            assert await client.children("/semaphore/full-__lock__") == []

    play(scene())


@pytest.mark.parametrize("steps", range(0, 24, 2))
def test_given_up_at_any_step(server: str, steps: int) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            semaphore = Semaphore(client, "/semaphore/steps")
            acquiring = asyncio.create_task(semaphore.acquire())
            for _ in range(steps):
                await asyncio.sleep(0)
            acquiring.cancel()
            await asyncio.wait({acquiring})
            assert acquiring.cancelled() == (semaphore.held is None)
            await semaphore.release()
            async with Semaphore(client, "/semaphore/steps"):
                assert len(await client.children("/semaphore/steps")) == 1
            assert await client.children("/semaphore/steps") == []

    play(scene())


def test_a_session_that_ends_gives_its_lease_back(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (one, other):
            held = await Semaphore(one, "/semaphore/session").acquire()
            waiting = asyncio.create_task(Semaphore(other, "/semaphore/session").acquire())
            await gathered(other, "/semaphore/session-__lock__", 1)
            await end_session(one, server)
            await waiting
            await held.lost.wait()

    play(scene())


def test_one_who_has_lost_its_turn_takes_no_lease(server: str) -> None:
    async def scene() -> None:
        path, queue = "/semaphore/turn", "/semaphore/turn-__lock__"
        async with clients(server, 3) as (one, second, third):
            first = Semaphore(one, path)
            await first.acquire()
            robbed = asyncio.create_task(Semaphore(second, path).acquire())
            (turn,) = await gathered(one, queue, 1)
            last = Semaphore(third, path)
            waiting = asyncio.create_task(last.acquire())
            await gathered(one, queue, 2)
            await one.delete(f"{queue}/{turn}")
            await one.exists("/")
            await first.release()
            token = (await waiting).token
            assert not robbed.done()
            await last.release()
            assert (await robbed).token > token

    play(scene())


def test_all_that_share_it_say_the_same(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            async with Semaphore(client, "/semaphore/two", 2):
                assert (await client.get("/semaphore/two")).data == b"2"
            with pytest.raises(ValueError, match="/semaphore/two: is for 2 leases, not for 3"):
                await Semaphore(client, "/semaphore/two", 3).acquire()
            await client.set("/semaphore/two", b"something else")
            assert await Semaphore(client, "/semaphore/two", 3).acquire(blocking=False)

    play(scene())
    with pytest.raises(ValueError, match="/semaphore/no: 0 leases are none"):
        Semaphore(Client("127.0.0.1:1"), "/semaphore/no", 0)
