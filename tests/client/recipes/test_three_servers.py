"""Over three servers: what holds over one, and while servers are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from znoded.client import Client
from znoded.client.recipes import Lock

from ...ensemble.ensemble import Ensemble, serving
from .scenes import clients, play
from .test_locks_cut import Scene, a_double_barrier, a_lock, a_semaphore, cut_everywhere


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    with serving(Ensemble(tmp_path_factory.mktemp("recipes"))) as three:
        yield three


@pytest.mark.parametrize("scene", [a_lock, a_semaphore, a_double_barrier], ids=lambda scene: scene.__name__)
def test_cut_at_every_message(ensemble: Ensemble, scene: Scene) -> None:
    play(cut_everywhere(ensemble.addresses, scene, True))


def test_a_lock_is_passed_on_while_servers_are_killed(ensemble: Ensemble) -> None:
    tokens: list[int] = []
    inside: set[int] = set()
    passed, healed = asyncio.Event(), asyncio.Event()

    async def pass_through(client: Client, number: int) -> None:
        last = False
        while not last:
            last = healed.is_set()
            async with Lock(client, "/lock", str(number)) as held:
                assert not inside
                inside.add(number)
                await client.exists("/")
                assert not held.lost
                inside.remove(number)
                tokens.append(held.token)
                passed.set()

    async def kill() -> None:
        for victim in (ensemble.leader, lambda: ensemble.followers()[0]):
            server = ensemble.servers[await asyncio.to_thread(victim)]
            await asyncio.to_thread(server.kill)
            passed.clear()
            await passed.wait()  # the others go on
            await asyncio.to_thread(ensemble.heal)
        healed.set()

    async def scene() -> None:
        async with clients(ensemble.hosts, 3) as three, asyncio.TaskGroup() as group:
            group.create_task(kill())
            for number in range(9):
                group.create_task(pass_through(three[number % 3], number))

    play(scene())
    assert len(tokens) > 9
    assert tokens == sorted(set(tokens))
