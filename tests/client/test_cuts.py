"""Connections are cut at every message of an exchange: what a client is told agrees with the tree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from znoded.client import Client

from ..ensemble.ensemble import Ensemble, serving
from .cutting import Address, Scissors, Way
from .follower import Follower
from .possible import Change, Possible, Step, tree_below

LINES: list[list[Step]] = [
    [Change("create", "/a", b"0"), Change("create", "/n")],
    [Change("set", "/a", b"1", 0), "/a", Change("numbered", "/n/"), Change("create", "/a")],
    [(Change("set", "/a", b"2", 1), Change("create", "/b")), Change("set", "/a", b"3", 1)],
    [
        Change("delete", "/b"),
        "/b",
        # So large that each goes in a message of its own.
        Change("create", "/large", b"*70000"),
        Change("set", "/large", b"*70001", 0),
        Change("numbered", "/n/"),
        "/a",
    ],
]


async def exchange(servers: list[Address], base: str, scissors: Scissors) -> None:
    direct = ",".join("{}:{}".format(*server) for server in servers)
    async with Client(direct) as other:
        await other.create(base)
        async with Way(servers, scissors) as way, Client(way.hosts) as client, Follower(client, base) as copy:
            session = client.session
            possible = Possible()
            for line in LINES:
                await possible.take(client, base, line)
            await client.sync(base)
            found = await tree_below(client, base)
            possible.check(found)
            assert client.session == session
            if scissors.cut:
                await other.create(f"{base}/late")
                found["/late"] = (b"", 0)
            await copy.until(found)
        await other.sync(base)
        assert await tree_below(other, base) == found


async def cut_everywhere(servers: list[Address], *, passed: bool) -> None:
    whole = Scissors(1_000_000, passed=passed)
    await exchange(servers, f"/whole-{passed}", whole)
    at_once = asyncio.Semaphore(10)

    async def cut(number: int) -> None:
        scissors = Scissors(number, passed=passed)
        try:
            async with at_once, asyncio.timeout(20):
                await exchange(servers, f"/cut-{passed}-{number}", scissors)
        except Exception as error:
            raise AssertionError(f"cut at message {number}, passed: {passed}") from error
        assert scissors.cut

    assert whole.count > 20
    await asyncio.gather(*map(cut, range(whole.count - 5)))  # events come more or less together


@pytest.mark.parametrize("passed", [False, True])
def test_one_server(server: str, passed: bool) -> None:
    host, _, port = server.partition(":")
    asyncio.run(cut_everywhere([(host, int(port))], passed=passed))


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    with serving(Ensemble(tmp_path_factory.mktemp("cuts"))) as three:
        yield three


@pytest.mark.parametrize("passed", [False, True])
def test_three_servers(ensemble: Ensemble, passed: bool) -> None:
    asyncio.run(cut_everywhere(ensemble.addresses, passed=passed))
