"""One leads at a time, by a token that rises, and others can tell who it is."""

from __future__ import annotations

import asyncio

import pytest

from znoded.client import Client
from znoded.client.recipes import Election, Held, Leader, LockLost

from .scenes import clients, end_session, gathered, play


def test_all_lead_one_after_the_other(server: str) -> None:
    led: list[tuple[str, int]] = []

    async def scene() -> None:
        async with clients(server, 3) as three:

            async def stand(name: str, client: Client) -> str:
                async def lead(held: Held) -> str:
                    led.append((name, held.token))
                    election = Election(client, "/election/all")
                    assert await election.leader() == Leader(name, held.token)
                    return name

                return await Election(client, "/election/all", name).run(lead)

            names = ["a", "b", "c"]
            assert await asyncio.gather(*map(stand, names, three)) == names
            assert await Election(three[0], "/election/all").leader() is None

    play(scene())
    assert sorted(name for name, _ in led) == ["a", "b", "c"]
    assert [token for _, token in led] == sorted(token for _, token in led)


def test_who_loses_the_lead_does_its_work_no_more(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (one, other):
            cancelled = asyncio.Event()

            async def lead(held: Held) -> None:
                try:
                    await end_session(one, server)
                    await held.lost.wait()
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

            leading = asyncio.create_task(Election(one, "/election/lost", "one").run(lead))
            await gathered(other, "/election/lost", 1)
            async with Election(other, "/election/lost", "other"):
                with pytest.raises(LockLost):
                    await leading
                assert cancelled.is_set()

    play(scene())


def test_those_who_watch_are_told_of_each_leader(server: str) -> None:
    async def scene() -> None:
        async with clients(server, 2) as (one, other):
            leaders = Election(other, "/election/watched").leaders()
            assert await anext(leaders) is None
            first, second = Election(one, "/election/watched", "1"), Election(one, "/election/watched", "2")
            async with first as held:
                assert await anext(leaders) == Leader("1", held.token)
                standing = asyncio.create_task(second.__aenter__())
                await gathered(other, "/election/watched", 2)
                assert await second.contenders() == ["1", "2"]
            held = await standing
            assert await anext(leaders) == Leader("2", held.token)
            await second.__aexit__(None, None, None)
            assert await anext(leaders) is None
            await other.close()
            with pytest.raises(StopAsyncIteration):
                await anext(leaders)

    play(scene())
