"""Servers are killed under a client's changes: what it is told agrees with the tree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

from znoded.client import Client, State

from ..daemons import Daemon
from ..ensemble.ensemble import Ensemble, serving
from .conftest import SETTINGS
from .follower import Follower
from .possible import Change, Possible, Step, tree_below
from .running import run


async def changes_meanwhile(hosts: str, breaking: Callable[[], Coroutine[object, object, None]]) -> None:
    """Change in lines until all was broken; then one client, and another, finds what may be."""
    states: list[State] = []
    async with (
        Client(hosts, on_state=states.append) as client,
        Client(hosts) as other,
    ):
        session = client.session
        await client.create("/base")
        possible = Possible()
        await possible.take(client, "/base", [Change("create", "/a"), Change("create", "/n")])
        async with Follower(client, "/base") as copy:
            broken = asyncio.create_task(breaking())
            number = 0
            while not broken.done() or client.state is not State.CONNECTED:
                line: list[Step] = []
                for _ in range(10):
                    number += 1
                    line += [Change("set", "/a", b"%d" % number), "/a"]
                line += [Change("numbered", "/n/") for _ in range(3)]
                await possible.take(client, "/base", line)
                await client.sync()
                # What was lost is known now; else there would be ever more that may be.
                found = await tree_below(client, "/base")
                possible.check(found)
                possible.trees = [found]
            await broken
            await other.create("/base/late")
            await client.sync()
            found = await tree_below(client, "/base")
            await copy.until(found)
        assert client.session == session
        assert states.count(State.SUSPENDED) > 0
        await other.sync()
        assert await tree_below(other, "/base") == found


def test_one_server(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, SETTINGS)
    daemon.start()

    async def breaking() -> None:
        await asyncio.to_thread(daemon.restart)

    try:
        run(changes_meanwhile("{}:{}".format(*daemon.address), breaking), within=60)
    finally:
        daemon.kill()


def test_three_servers(tmp_path: Path) -> None:
    with serving(Ensemble(tmp_path)) as three:

        async def breaking() -> None:
            await asyncio.to_thread(three.servers[three.leader()].kill)
            await asyncio.to_thread(three.leader)
            await asyncio.to_thread(three.heal)

        run(changes_meanwhile(three.hosts, breaking), within=60)
