"""The log's tail is delivered in slices, however long: others have their turn, nobody is served too early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias

import pytest

from znoded.consensus.contract import Consensus, Record
from znoded.consensus.delivery import Delivery
from znoded.consensus.waiters import Waiters
from znoded.storage.log import Log

from ..daemons import free_port
from .recording import KINDS, Deaf, Recording, open_log

Look: TypeAlias = Callable[[], None]
SLICE = 2048
"""So many of the smallest transactions are one."""
MANY = 5 * SLICE


def records(count: int, after: int = 0, size: int = 0) -> list[Record]:
    return [(zxid, bytes(size)) for zxid in range(after + 1, after + count + 1)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return open_log(tmp_path)


@pytest.fixture
def replica(log: Log) -> Recording:
    return Recording(log)


@pytest.fixture
def delivery(replica: Recording) -> Delivery:
    return Delivery(replica, Waiters(Deaf()))


def test_a_long_tail_is_delivered_in_slices(delivery: Delivery, replica: Recording) -> None:
    delivery.begin(records(MANY))
    while delivery.deliver(MANY):
        pass
    assert replica.zxids == list(range(1, MANY + 1))
    assert replica.batches == [SLICE] * 5


def test_a_slice_of_large_ones_has_fewer(delivery: Delivery, replica: Recording) -> None:
    delivery.begin(records(20, size=100 << 10))
    while delivery.deliver(20):
        pass
    assert replica.batches == [6, 6, 6, 2]


def test_what_is_not_committed_waits(delivery: Delivery, replica: Recording) -> None:
    delivery.append(records(10))
    assert not delivery.deliver(4)
    assert replica.zxids == [1, 2, 3, 4]
    assert delivery.lag == 6
    assert not delivery.deliver(4)
    assert replica.batches == [4]


def test_the_tail_shrinks_however_much_comes(delivery: Delivery) -> None:
    delivery.begin(records(MANY))
    last, lags = MANY, [MANY]
    while delivery.deliver(last):
        delivery.append(records(3 * SLICE, last))
        last += 3 * SLICE
        lags.append(delivery.lag - 3 * SLICE)
    assert lags == [5 * SLICE, 4 * SLICE, 3 * SLICE, 2 * SLICE, SLICE]


class Watched(Recording):
    """steps: how much was applied between two turns of the loop. served_with: how much when it served."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.size = 1 << 40  # of no use to anybody in place of the log
        self.steps: list[int] = []
        self.served_with: list[int] = []

    def serve(self, serving: bool) -> None:
        super().serve(serving)
        self.served_with.append(len(self.applied))

    async def watch(self) -> None:
        while True:
            before = len(self.applied)
            await asyncio.sleep(0)
            self.steps.append(len(self.applied) - before)


def run(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_server_that_starts_lets_others_have_their_turn(
    log: Log, replica: Recording, tmp_path: Path
) -> None:
    for zxid, txn in records(MANY):
        log.append(zxid, txn)
    log.sync()

    async def scene() -> None:
        watched = Watched(log)
        server = KINDS["zab alone"].make(1, [free_port()], log, tmp_path)
        watching = asyncio.create_task(watched.watch())
        await server.start(watched)
        await watched.until(lambda: watched.serves == [True])
        watching.cancel()
        await server.stop()
        assert max(watched.steps) <= SLICE
        assert watched.served_with[0] == MANY
        assert watched.leads[0] is not None

    run(scene)


def test_a_learner_that_catches_up_does_so_too(tmp_path: Path) -> None:
    count, size = 20_000, 200
    most = (512 << 10) // (256 + size) + 1
    come = (512 << 10) // size
    """In a turn, at the most: what is read from a connection."""

    async def scene() -> None:
        ports = [free_port() for _ in range(3)]
        homes = {sid: tmp_path / str(sid) for sid in (1, 2, 3)}
        for home in homes.values():
            home.mkdir()
        logs = {sid: open_log(home) for sid, home in homes.items()}
        replicas = {sid: Watched(log) for sid, log in logs.items()}
        servers: dict[int, Consensus] = {
            sid: KINDS["zab leader"].make(sid, ports, log, homes[sid]) for sid, log in logs.items()
        }
        late, leader = replicas[1], replicas[3]
        for sid in (2, 3):
            await servers[sid].start(replicas[sid])
        await leader.until(lambda: leader.serves == [True])
        for _ in range(count):
            servers[3].propose(bytes(size), None)
        await leader.until_applied(count)
        watching = asyncio.create_task(late.watch())
        await servers[1].start(late)
        await late.until(lambda: late.serves == [True])
        watching.cancel()
        assert late.served_with == [count]
        assert max(late.steps) <= most + come
        for sid, server in servers.items():
            await server.stop()
            logs[sid].close()

    run(scene)
