"""A session's life at a real server: kept over lost connections, lost by a program that hangs."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from znoded.client import (
    ALL,
    Acl,
    BlockingClient,
    Client,
    Event,
    Kind,
    NoAuth,
    SessionExpired,
    State,
)

from .cutting import Scissors, Way
from .running import run


def test_identities_are_shown_again(server: str) -> None:
    async def scenario() -> None:
        host, _, port = server.partition(":")
        scissors = Scissors(1_000_000, passed=False)
        mine = [Acl(ALL, "digest", "me:no hash of any password"), Acl(ALL, "auth", "")]
        async with Way([(host, int(port))], scissors) as way, Client(f"ws://me:1@{way.hosts}") as client:
            await client.add_auth("digest", b"you:2")
            await client.add_auth("digest", b"you:2")
            known = await client.whoami()
            await client.create("/shown", acl=mine)
            scissors.number = scissors.count
            await client.get("/shown")
            assert scissors.cut
            assert await client.whoami() == known
            async with Client(server) as other:
                with pytest.raises(NoAuth):
                    await other.get("/shown")
            await client.delete("/shown")

    run(scenario())


def watched(server: str, path: str, told: list[float]) -> threading.Thread:
    """Tell, from a thread, when a znode goes."""
    watching = threading.Event()

    def watch() -> None:
        with BlockingClient(server) as other, other.watch(path) as events:
            watching.set()
            for event in events:
                if event.kind is Kind.DELETED:
                    told.append(time.monotonic())
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    watching.wait()
    return thread


def test_a_program_that_hangs_loses_it_and_not_before_it_is_told(server: str) -> None:
    gone: list[float] = []

    async def scenario() -> None:
        async with Client(server, timeout=0.8) as client:
            watching = await asyncio.to_thread(watched, server, "/hangs", gone)
            await client.create("/hangs", ephemeral=True)
            until = client.alive_until
            watching.join()  # this hangs
            assert asyncio.get_running_loop().time() > until
            with pytest.raises(SessionExpired):
                await client.get("/")
            assert client.state is State.EXPIRED
            assert client.alive_until == float("-inf")
            assert gone[0] >= until

    run(scenario())


def test_or_goes_on_in_a_new_one(server: str) -> None:
    states: list[State] = []

    async def scenario() -> None:
        async with (
            Client(server, timeout=0.8, renew=True, on_state=states.append) as client,
            client.watch("/renewed") as watch,
        ):
            watching = await asyncio.to_thread(watched, server, "/renewed", [])
            first = client.session
            await client.create("/renewed", ephemeral=True)
            watching.join()  # this hangs
            await client.sync()
            assert client.session != first
            assert await client.exists("/renewed") is None
            await client.create("/renewed", ephemeral=True)
            while await anext(watch) != Event(Kind.MISSED, "/renewed"):
                pass
            while await anext(watch) != Event(Kind.CREATED, "/renewed"):
                pass

    run(scenario())
    assert states[-3:] == [State.EXPIRED, State.CONNECTED, State.CLOSED]


def test_a_quiet_program_keeps_it(server: str) -> None:
    async def scenario() -> None:
        async with Client(server, timeout=0.8) as client:
            session = client.session
            await asyncio.sleep(1.5)  # by its pings alone
            assert client.alive_until > asyncio.get_running_loop().time()
            await client.get("/")
            assert client.session == session

    run(scenario())
