"""A lease is its holder's until its end, and then whoever's is first."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from znoded.client import Client
from znoded.client.recipes import Lease, NonBlockingLease

from .scenes import clients, gathered, play

HOUR = timedelta(hours=1)


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, 12, 0, 0, 900_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def has(lease: NonBlockingLease) -> bool:
    """Whether it does now."""
    return lease.obtained


def test_it_is_its_holder_s_until_its_end(server: str) -> None:
    async def scene() -> None:
        clock = Clock()
        async with Client(server) as client:
            one = NonBlockingLease(client, "/lease/hour", HOUR, "one", now=clock)
            other = NonBlockingLease(client, "/lease/hour", HOUR, "other", now=clock)
            assert not has(one)
            assert await one.obtain()
            assert has(one)
            assert one.end == datetime(2030, 1, 1, 13, tzinfo=UTC)
            said = json.loads((await client.get("/lease/hour/lease_holder")).data)
            assert said == {"version": 1, "holder": "one", "end": "2030-01-01T13:00:00"}
            assert not await other.obtain()
            clock.time += HOUR / 2
            token = one.token
            assert await one.obtain()
            assert one.token > token
            clock.time += HOUR
            assert not has(one)
            assert await other.obtain()
            assert other.token > one.token
            assert not await one.obtain()
            assert one.end is None

    play(scene())


def test_it_outlives_its_holder_s_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            assert await NonBlockingLease(client, "/lease/outlives", HOUR, "one").obtain()
        async with Client(server) as client:
            assert not await NonBlockingLease(client, "/lease/outlives", HOUR, "other").obtain()

    play(scene())


def test_it_may_be_given_back(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            one = NonBlockingLease(client, "/lease/back", HOUR, "one")
            other = NonBlockingLease(client, "/lease/back", HOUR, "other")
            assert not await one.release()
            await one.obtain()
            assert not await other.release()
            assert await one.release()
            assert not has(one)
            assert await other.obtain()

    play(scene())


class TestWaiting:
    def test_until_it_is_given_back(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other):
                path = "/lease/wait"
                await one.ensure_path(f"{path}-__lock__")
                first, second = Lease(one, path, HOUR, "1"), Lease(other, path, HOUR, "2")
                assert await first.obtain()
                assert not await second.obtain(timeout=0.02)
                assert await one.children(f"{path}-__lock__") == []
                waiting = asyncio.create_task(second.obtain())
                await gathered(one, f"{path}-__lock__", 1)
                assert await first.obtain()  # anew: nobody has to give way for that
                await one.exists("/")
                assert not waiting.done()
                await first.release()
                assert await waiting

        play(scene())

    def test_until_it_ends(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other):
                first = Lease(one, "/lease/ends", timedelta(seconds=1), "1")
                assert await first.obtain()
                assert await Lease(other, "/lease/ends", HOUR, "2").obtain()
                assert not first.obtained

        play(scene())

    def test_in_the_order_of_asking(self, server: str) -> None:
        had: list[str] = []

        async def scene() -> None:
            async with Client(server) as client:
                path = "/lease/order"

                async def take(name: str) -> None:
                    lease = Lease(client, path, HOUR, name)
                    assert await lease.obtain()
                    had.append(name)
                    await lease.release()

                async with asyncio.TaskGroup() as group:
                    first = Lease(client, path, HOUR, "first")
                    await first.obtain()
                    for number in range(4):
                        group.create_task(take(str(number)))
                        await gathered(client, f"{path}-__lock__", number + 1)
                    await first.release()

        play(scene())
        assert had == ["0", "1", "2", "3"]


def test_a_later_layout_is_left_to_those_who_know_it(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            await client.create("/lease/later/lease_holder", b'{"version": 2}', parents=True)
            assert not await NonBlockingLease(client, "/lease/later", HOUR).obtain()

    play(scene())


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"version": 1, "holder": "a", "end": "tomorrow"}'])
def test_what_holds_no_lease_is_told(server: str, data: bytes) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            await client.create("/lease/other/lease_holder", data, parents=True)
            try:
                with pytest.raises(ValueError, match="/lease/other/lease_holder: holds no lease, but b"):
                    await NonBlockingLease(client, "/lease/other", HOUR).obtain()
            finally:
                await client.delete("/lease/other/lease_holder")

    play(scene())
