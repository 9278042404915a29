"""A barrier holds all back until it goes; a double barrier, until all are there, and until all have left."""

from __future__ import annotations

import asyncio

import pytest

from znoded.client import Client
from znoded.client.recipes import Barrier, DoubleBarrier

from .scenes import clients, end_session, gathered, play


class TestBarrier:
    def test_it_holds_back_until_it_goes(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other):
                here, there = Barrier(one, "/barrier/a/b"), Barrier(other, "/barrier/a/b")
                assert await here.wait()
                assert not await here.remove()
                async with here:
                    await there.create()
                    assert not await there.wait(0.02)
                    waiting = [asyncio.create_task(there.wait()) for _ in range(3)]
                    await other.exists("/")
                    assert not any(each.done() for each in waiting)
                assert await asyncio.gather(*waiting) == [True] * 3

        play(scene())

    def test_it_goes_also_when_its_end_is_cancelled(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other):
                barrier = Barrier(one, "/barrier/cancelled")
                await barrier.__aenter__()
                ending = asyncio.create_task(barrier.__aexit__(None, None, None))
                await asyncio.sleep(0)
                ending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await ending
                assert await Barrier(other, "/barrier/cancelled").wait()

        play(scene())


class TestDoubleBarrier:
    def test_all_begin_together_and_end_together_again_and_again(self, server: str) -> None:
        told: list[str] = []

        async def scene() -> None:
            async with clients(server, 3) as three:

                async def member(client: Client) -> None:
                    barrier = DoubleBarrier(client, "/double/rounds", 6)
                    for round in range(5):
                        async with barrier:
                            told.append(f"{round} in")
                        told.append(f"{round} out")

                await asyncio.gather(*(member(three[number % 3]) for number in range(6)))
                assert await three[0].children("/double/rounds") == []

        play(scene())
        assert told == [f"{round} {way}" for round in range(5) for way in ("in", "out") for _ in range(6)]

    def test_what_a_round_that_ended_badly_left_lets_nobody_in(self, server: str) -> None:
        async def scene() -> None:
            path = "/double/stale"
            async with Client(server) as client:
                await client.create(f"{path}/ready", parents=True)
                one, other = DoubleBarrier(client, path, 2), DoubleBarrier(client, path, 2)
                entering = asyncio.create_task(one.enter())
                await gathered(client, path, 2)
                await client.exists("/")
                assert not entering.done()
                await asyncio.gather(entering, other.enter())
                await asyncio.gather(one.leave(), other.leave())
                assert await client.children(path) == []

        play(scene())

    def test_giving_up_leaves_nothing_behind(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                entering = asyncio.create_task(DoubleBarrier(client, "/double/patience", 2).enter())
                await gathered(client, "/double/patience", 1)
                entering.cancel()
                await asyncio.wait({entering})
                assert await client.children("/double/patience") == []
                barrier = DoubleBarrier(client, "/double/patience", 1, "me")
                await barrier.enter()
                with pytest.raises(RuntimeError, match="/double/patience: this one has entered already"):
                    await barrier.enter()
                names = await client.children("/double/patience")
                assert names[1:] == ["ready"]
                assert (await client.get(f"/double/patience/{names[0]}")).data == b"me"
                await barrier.leave()
                await barrier.leave()

        play(scene())

    def test_one_that_dies_inside_holds_nobody_up(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 3) as three:
                barriers = [DoubleBarrier(client, "/double/death", 3) for client in three]
                await asyncio.gather(*(barrier.enter() for barrier in barriers))
                leaving = [asyncio.create_task(barrier.leave()) for barrier in barriers[:2]]
                await end_session(three[2], server)
                await asyncio.gather(*leaving)

        play(scene())

    def test_a_client_that_renews_its_session_enters_anew(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server, renew=True) as one, Client(server) as other:
                first, second = DoubleBarrier(one, "/double/anew", 2), DoubleBarrier(other, "/double/anew", 2)
                entering = asyncio.create_task(first.enter())
                await gathered(other, "/double/anew", 1)
                await end_session(one, server)
                await gathered(other, "/double/anew", 0)
                await gathered(other, "/double/anew", 1)
                await second.enter()
                await entering

        play(scene())
