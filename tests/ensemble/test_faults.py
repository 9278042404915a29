"""Servers die, freeze and lose their disks under load: nothing that a client was told becomes untrue."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..daemons import until
from ..zookeeper.raw import Closed, Op, Reader, Reply, blob, bool_, int_, text
from .ensemble import SYNC_LIMIT, Ensemble, asked, connected, over, serving, word
from .load import OPEN, Load

CLIENTS = 5
HASTY = """
import asyncio
from znoded.daemon import process

class Hasty:
    def __init__(self, *given):
        self._real = ordered_by(*given)

    def __getattr__(self, name):
        return getattr(self._real, name)

    async def start(self, replica):
        self._reached = replica.reached
        await self._real.start(replica)

    def barrier(self, waiter):
        asyncio.get_running_loop().call_soon(self._reached, [waiter])

ordered_by, process.ordered_by = process.ordered_by, Hasty
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Ensemble]:
    with serving(Ensemble(tmp_path_factory.mktemp("ensemble"), settings=over(backend))) as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(shared: Ensemble) -> Ensemble:
    """Three servers, all of which serve, whatever a test did to them before."""
    shared.heal()
    return shared


@pytest.fixture
def under_load(ensemble: Ensemble, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Clients that are at it during the test; then all servers run, and all that was told must hold."""
    load = Load(f"/{request.node.name}", ensemble, CLIENTS)
    try:
        load.progress()
        yield load
        ensemble.heal()
        load.progress()
    finally:
        load.stop()
    load.assert_kept(ensemble.assert_same_trees())


def test_a_follower_is_killed(ensemble: Ensemble, under_load: Load) -> None:
    server = ensemble.servers[ensemble.followers()[0]]
    server.kill()
    under_load.progress()
    server.launch()
    under_load.progress()


def test_the_leader_is_killed(ensemble: Ensemble, under_load: Load) -> None:
    server = ensemble.servers[ensemble.leader()]
    server.kill()
    under_load.progress()
    server.launch()
    under_load.progress()


def test_all_are_killed_and_come_back_in_any_order(ensemble: Ensemble, under_load: Load) -> None:
    ensemble.kill()
    ensemble.start(random.Random(4).sample(sorted(ensemble.servers), 3))
    under_load.progress()


def test_a_follower_freezes(ensemble: Ensemble, under_load: Load) -> None:
    server = ensemble.servers[ensemble.followers()[0]]
    server.signal(signal.SIGSTOP)
    time.sleep(1.5 * SYNC_LIMIT)
    under_load.progress()
    server.signal(signal.SIGCONT)
    under_load.progress()


def test_the_leader_freezes(ensemble: Ensemble, under_load: Load) -> None:
    frozen = ensemble.leader()
    ensemble.servers[frozen].signal(signal.SIGSTOP)
    under_load.progress()
    ensemble.servers[frozen].signal(signal.SIGCONT)
    under_load.progress()


def test_servers_are_restarted_one_by_one(ensemble: Ensemble, under_load: Load) -> None:
    for server in ensemble.servers.values():
        assert server.stop() == 0
        server.launch()
        ensemble.until_all_serve()
    under_load.progress()


def test_a_disk_is_lost(ensemble: Ensemble, under_load: Load) -> None:
    lost = ensemble.followers()[0]
    ensemble.servers[lost].kill()
    ensemble.wipe(lost)
    under_load.progress()
    ensemble.servers[lost].launch()
    under_load.progress()


class TestTheLeaderAlone:
    def test_it_serves_no_more_and_its_clients_are_told(self, ensemble: Ensemble) -> None:
        leader = ensemble.leader()
        client = connected(ensemble.servers[leader].address)
        for follower in ensemble.followers():
            ensemble.servers[follower].signal(signal.SIGSTOP)
        client.send(Op.create, text("/alone") + blob(b"") + OPEN + int_(0))
        assert client.read() == Closed()
        assert "not currently serving" in word(ensemble.servers[leader].address, "srvr")
        ensemble.heal()
        ensemble.assert_same_trees()

    def test_its_reads_behind_a_sync_are_never_old(self, ensemble: Ensemble) -> None:
        """What was asked of it while it was frozen is still in its socket when it wakes."""
        old = ensemble.leader()
        frozen, free = (connected(ensemble.servers[sid].address) for sid in (old, ensemble.followers()[0]))
        assert asked(free, Op.create, text("/awake") + blob(b"old") + OPEN + int_(0)).err == 0
        ensemble.servers[old].signal(signal.SIGSTOP)
        assert free.read() == Closed()
        other = next(sid for sid in ensemble.servers if sid != old)
        until(lambda: ensemble.mode(other), "the election of another leader")
        free = connected(ensemble.servers[other].address)
        assert asked(free, Op.setData, text("/awake") + blob(b"new") + int_(-1)).err == 0
        for op, body in ((Op.sync, b""), (Op.getData, bool_(False))):
            frozen.send(op, text("/awake") + body)
        frozen.send(Op.setData, text("/awake") + blob(b"late") + int_(-1))
        ensemble.servers[old].signal(signal.SIGCONT)
        synced = frozen.read()
        assert synced == Closed() or isinstance(synced, Reply)
        if isinstance(synced, Reply):
            read = frozen.read()
            assert isinstance(read, Reply) and Reader(read.body).blob() == b"new"
        ensemble.heal()
        ensemble.assert_same_trees()


def test_a_sync_that_waits_for_nobody_would_be_found(tmp_path: Path) -> None:
    with serving(Ensemble(tmp_path, before=HASTY)) as ensemble:
        for attempt in range(10):  # a busy machine may happen to be in order
            load = Load(f"/hasty{attempt}", ensemble, CLIENTS)
            load.progress(1500)
            load.stop()
            try:
                load.assert_kept(ensemble.assert_same_trees())
            except AssertionError as error:
                assert "not linearizable" in str(error)
                return
        pytest.fail("nobody read what was out of date")
