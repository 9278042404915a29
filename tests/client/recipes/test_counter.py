"""A counter loses no addition, and kazoo's and Curator's counters are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from kazoo.client import KazooClient

from znoded.client import BlockingClient, Client, Transaction
from znoded.client.recipes import Counter
from znoded.client.recipes.witness import Witnesses

from .scenes import clients


def test_it_counts(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            counter = Counter(client, "/counter/below/it")
            assert await counter.value() == 0
            assert await counter.add(2) == 2
            assert await counter.add(-5) == -3
            assert await counter.value() == -3
            assert (await client.get("/counter/below/it")).data == b"-3"
            half = Counter(client, "/counter/half", 1.5)
            assert await half.add(0.25) == 1.75
            assert (await client.get("/counter/half")).data == b"1.75"

    asyncio.run(scenario())


def test_no_addition_is_lost(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as one, Client(server) as other:
            counters = [Counter(client, "/counter/many") for client in (one, one, other)]
            sums = await asyncio.gather(*(counter.add(1) for counter in counters for _ in range(20)))
            assert sorted(sums) == list(range(1, 61))

    asyncio.run(scenario())


def test_those_who_come_at_once_do_not_all_try_again_at_once(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Witnesses.commit
    tries = 0

    async def counted(self: Witnesses, fill: Callable[[Transaction], object]) -> None:
        nonlocal tries
        tries += 1
        await commit(self, fill)

    async def scenario() -> None:
        async with clients(server, 60) as all_of_them:
            counters = [Counter(client, "/counter/at-once") for client in all_of_them]
            monkeypatch.setattr(Witnesses, "commit", counted)
            sums = await asyncio.gather(*(counter.add(1) for counter in counters))
            assert sorted(sums) == list(range(1, 61))

    asyncio.run(scenario())
    assert tries < 60 * 61 / 2 / 2  # the first of sixty, of fifty-nine, ...


def test_what_is_no_number_is_told(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/counter-wrong", b"many")
            with pytest.raises(ValueError, match="/counter-wrong: b'many' is no number"):
                await Counter(client, "/counter-wrong").add(1)
            assert (await client.get("/counter-wrong")).data == b"many"

    asyncio.run(scenario())


@pytest.mark.parametrize("curator", [False, True])
def test_it_is_kazoo_s(server: str, curator: bool) -> None:
    kazoo = KazooClient(server)
    kazoo.start()
    with BlockingClient(server) as client:
        path = f"/counter/kazoo-{curator}"
        ours = Counter(client.client, path, curator=curator)
        theirs = kazoo.Counter(path, support_curator=curator)
        theirs += 5
        assert client.wait(ours.add(3)) == 8
        theirs -= 10
        assert client.wait(ours.value()) == theirs.value == -2
    kazoo.stop()
    kazoo.close()


def test_curator_s_has_four_bytes(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            counter = Counter(client, "/counter-shared", 7, curator=True)
            assert await counter.add(1) == 8
            assert (await client.get("/counter-shared")).data == b"\0\0\0\x08"
            with pytest.raises(ValueError, match="does not fit"):
                await counter.add(1 << 31)
            with pytest.raises(TypeError, match="whole"):
                Counter(client, "/x", 1.0, curator=True)

    asyncio.run(scenario())
