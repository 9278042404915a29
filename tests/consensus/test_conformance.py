"""What every consensus backend promises its replica (consensus.contract), on one server."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event
from typing import TypeAlias

import pytest

from znoded.consensus.contract import Consensus, NotServing, Role
from znoded.storage.log import LogGap

from ..daemons import free_port
from .recording import KINDS, Kind, Recording, open_log

Scene: TypeAlias = Callable[[Consensus, Recording], Coroutine[None, None, None]]


class House:
    """One implementation, with logs that outlive its runs."""

    def __init__(self, directory: Path, kind: Kind) -> None:
        self._kind = kind
        self._homes = {sid: directory / str(sid) for sid in range(1, kind.servers + 1)}
        for home in self._homes.values():
            home.mkdir()

    def play(self, scene: Scene, applied_zxid: int = 0) -> Recording:
        """Start over a replica that holds everything up to applied_zxid, play once clients are served,
        stop; what was recorded."""

        async def run() -> Recording:
            ports = [free_port() for _ in self._homes]
            logs = {sid: open_log(home) for sid, home in self._homes.items()}
            replicas = {sid: Recording(log) for sid, log in logs.items()}
            servers = {sid: self._kind.make(sid, ports, log, self._homes[sid]) for sid, log in logs.items()}
            mine = replicas[self._kind.me]
            mine.applied_zxid = applied_zxid
            for sid, server in servers.items():
                await server.start(replicas[sid])
            await mine.until(lambda: mine.serves == [True])
            await scene(servers[self._kind.me], mine)
            for server in servers.values():
                await server.stop()
            for log in logs.values():
                log.close()
            assert mine.too_early == [], "applied before it was durable"
            return mine

        return asyncio.run(asyncio.wait_for(run(), 30))

    def logged(self) -> list[bytes]:
        """The transactions that a restart would find."""
        log = open_log(self._homes[self._kind.me])
        txns = [txn for _, txn in log.read()]
        log.close()
        return txns


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path, KINDS[request.param])


alone = pytest.mark.parametrize("house", ["standalone", "zab alone", "raft alone"], indirect=True)
"""A promise that nobody else has a part in."""
standalone = pytest.mark.parametrize("house", ["standalone"], indirect=True)
"""More than the contract asks for: in an ensemble the others decide, or go on."""


async def nothing(consensus: Consensus, replica: Recording) -> None:
    pass


def proposals(count: int, start: int = 0) -> list[tuple[bytes, object]]:
    return [(b"txn %d" % number, object()) for number in range(start, start + count)]


def propose_all(consensus: Consensus, wanted: list[tuple[bytes, object]]) -> None:
    for txn, waiter in wanted:
        consensus.propose(txn, waiter)


class SlowDisk:
    """Syncs wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = Event(), Event()
        self.error: OSError | None = None
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self._write)

    def _write(self, fd: int, data: bytes, at: int) -> int:
        self.begun.set()
        assert self.go_on.wait(20)
        count = self._pwrite(fd, data, at)
        if self.error is not None:
            raise self.error
        return count

    async def busy(self) -> None:
        """A sync has begun."""
        await asyncio.to_thread(self.begun.wait, 20)


# order


def test_what_is_proposed_is_applied_once_in_order_with_its_waiter(house: House) -> None:
    wanted = proposals(500)

    async def scene(consensus: Consensus, replica: Recording) -> None:
        propose_all(consensus, wanted)
        await replica.until_applied(500)

    replica = house.play(scene)
    assert [(txn, waiter) for _, txn, waiter in replica.applied] == wanted
    assert replica.zxids == sorted(set(replica.zxids))
    assert replica.drops == []


def test_order_is_kept_however_proposals_meet_syncs(house: House) -> None:
    wanted = proposals(300)

    async def scene(consensus: Consensus, replica: Recording) -> None:
        rest = iter(wanted)
        for size in (1, 7, 0, 50, 2, 100, 40, 100):
            for _, (txn, waiter) in zip(range(size), rest, strict=False):
                consensus.propose(txn, waiter)
            await asyncio.sleep(0)
        await replica.until_applied(len(wanted))

    replica = house.play(scene)
    assert [(txn, waiter) for _, txn, waiter in replica.applied] == wanted


def test_a_replica_may_propose_while_it_applies(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        def again(entry: tuple[int, bytes, object]) -> None:
            if len(entry[1]) < 10:
                consensus.propose(entry[1] + b"!", entry[2])

        replica.on_apply = again
        consensus.propose(b"", "waiter")
        await replica.until_applied(11)

    replica = house.play(scene)
    assert [(txn, waiter) for _, txn, waiter in replica.applied] == [(b"!" * n, "waiter") for n in range(11)]


def test_any_bytes_are_a_transaction(house: House) -> None:
    txns = [b"", bytes(3), b"\xff" * 70_000, b"x"]

    async def scene(consensus: Consensus, replica: Recording) -> None:
        propose_all(consensus, [(txn, None) for txn in txns])
        await replica.until_applied(len(txns))

    assert house.play(scene).txns == txns
    assert house.play(nothing).txns == txns


# durability


def test_nothing_is_applied_before_it_is_durable(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        disk = SlowDisk(monkeypatch)
        consensus.propose(b"slow", "waiter")
        await disk.busy()
        consensus.propose(b"meanwhile", "waiter")
        for _ in range(10):
            await asyncio.sleep(0)
        assert replica.applied == []
        disk.go_on.set()
        await replica.until_applied(2)

    assert house.play(scene).txns == [b"slow", b"meanwhile"]


@alone
def test_what_arrives_during_a_sync_shares_the_next_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        disk = SlowDisk(monkeypatch)
        propose_all(consensus, proposals(1))
        await disk.busy()
        propose_all(consensus, proposals(100, 1))
        disk.go_on.set()
        await replica.until_applied(101)

    assert house.play(scene).batches == [1, 100]


# restarts


def test_a_restart_replays_what_the_replica_does_not_hold(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        propose_all(consensus, proposals(2500))
        await replica.until_applied(2500)

    first = house.play(scene)
    entries = [(zxid, txn, None) for zxid, txn, _ in first.applied]
    assert house.play(nothing).applied == entries
    assert house.play(nothing, first.zxids[1699]).applied == entries[1700:]
    assert house.play(nothing, first.zxids[-1]).applied == []


def test_after_a_restart_it_goes_on(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        already = len(replica.applied)
        propose_all(consensus, proposals(3))
        await replica.until_applied(already + 3)

    first = house.play(scene)
    second = house.play(scene, first.zxids[1])
    assert second.txns == [b"txn 2", b"txn 0", b"txn 1", b"txn 2"]
    assert second.zxids[0] == first.zxids[2]
    assert second.zxids == sorted(set(second.zxids))
    assert house.play(nothing).txns == [b"txn 0", b"txn 1", b"txn 2"] * 2


def test_a_log_that_does_not_reach_the_state_is_refused(house: House) -> None:
    """Nobody knows what else it lacks."""
    with pytest.raises(LogGap, match="the log ends with zxid 0x0, not 0x7"):
        house.play(nothing, 7)


@alone
def test_it_leads_once_all_is_replayed(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        consensus.propose(b"txn", None)
        await replica.until_applied(1)

    house.play(scene)

    async def look(consensus: Consensus, replica: Recording) -> None:
        assert replica.txns == [b"txn"]
        assert len(replica.leads) == 1
        assert replica.leads[0] is not None
        assert consensus.status.role in (Role.STANDALONE, Role.LEADER)
        assert consensus.status.lag == 0

    house.play(look)


# barriers


def test_a_barrier_comes_after_all_that_was_applied_when_it_was_asked_for(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        for number in range(20):
            consensus.propose(b"txn", None)
            await replica.until_applied(number + 1)
            consensus.barrier(number)
        await replica.until(lambda: len(replica.barriers) == 20)

    replica = house.play(scene)
    assert [waiter for waiter, _ in replica.barriers] == list(range(20))
    assert all(seen >= zxid for (_, seen), zxid in zip(replica.barriers, replica.zxids, strict=True))


def test_a_barrier_never_calls_back_at_once(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        consensus.barrier("waiter")
        assert replica.barriers == []
        await replica.until(lambda: len(replica.barriers) == 1)

    house.play(scene)


# stopping


def test_stop_leaves_nobody_waiting(house: House) -> None:
    wanted = proposals(200)

    async def scene(consensus: Consensus, replica: Recording) -> None:
        propose_all(consensus, wanted)

    replica = house.play(scene)
    answered = [waiter for _, _, waiter in replica.applied if waiter is not None]
    assert answered + [waiter for waiter, _, _ in replica.drops] == [waiter for _, waiter in wanted]


@standalone
def test_stop_finishes_what_was_proposed(house: House) -> None:
    wanted = proposals(200)

    async def scene(consensus: Consensus, replica: Recording) -> None:
        propose_all(consensus, wanted)

    replica = house.play(scene)
    assert [(txn, waiter) for _, txn, waiter in replica.applied] == wanted


@standalone
def test_stop_finishes_what_comes_of_that_too(house: House) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        def again(entry: tuple[int, bytes, object]) -> None:
            if len(entry[1]) < 3:
                consensus.propose(entry[1] + b"!", None)

        replica.on_apply = again
        consensus.propose(b"", None)

    assert house.play(scene).txns == [b"", b"!", b"!!", b"!!!"]


def test_stop_without_any_proposal(house: House) -> None:
    assert house.play(nothing).applied == []


# a full disk


def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on nothing fits, until the returned function makes room."""
    pwrite = os.pwrite
    room = False

    def write(fd: int, data: bytes, at: int) -> int:
        if any(data) and not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(fd, data, at)

    def make_room() -> None:
        nonlocal room
        room = True

    monkeypatch.setattr(os, "pwrite", write)
    return make_room


@standalone
def test_what_does_not_fit_is_refused_for_certain_and_later_writes_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, later = proposals(5), proposals(5, 100)

    async def scene(consensus: Consensus, replica: Recording) -> None:
        consensus.propose(b"before", None)
        await replica.until_applied(1)
        make_room = full(monkeypatch)
        propose_all(consensus, refused)
        await replica.until(lambda: len(replica.drops) == 5)
        make_room()
        propose_all(consensus, later)
        await replica.until_applied(6)

    replica = house.play(scene)
    assert [(waiter, unknown) for waiter, _, unknown in replica.drops] == [
        (waiter, False) for _, waiter in refused
    ]
    assert all("room" in reason for _, reason, _ in replica.drops)
    assert replica.txns == [b"before", *(txn for txn, _ in later)]
    assert house.logged() == replica.txns


@standalone
def test_a_replica_may_propose_while_it_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        consensus.propose(b"before", None)
        await replica.until_applied(1)
        make_room = full(monkeypatch)

        def again(waiter: object) -> None:
            make_room()
            consensus.propose(b"again", waiter)

        replica.on_dropped = again
        consensus.propose(b"refused", "waiter")
        await replica.until_applied(2)

    replica = house.play(scene)
    assert replica.txns == [b"before", b"again"] == house.logged()


# a failing disk


@standalone
def test_after_a_failed_sync_nobody_knows_and_nothing_more_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        consensus.propose(b"before", None)
        await replica.until_applied(1)
        disk = SlowDisk(monkeypatch)
        consensus.propose(b"in flight", "a")
        await disk.busy()
        consensus.propose(b"behind it", "b")
        disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
        disk.go_on.set()
        await replica.until(lambda: len(replica.drops) == 2)
        with pytest.raises(NotServing, match="restart"):
            consensus.propose(b"later", "c")

    replica = house.play(scene)
    assert [(waiter, unknown) for waiter, _, unknown in replica.drops] == [("a", True), ("b", True)]
    assert replica.txns == [b"before"]
    monkeypatch.undo()
    assert house.play(nothing).txns[:1] == [b"before"]


@standalone
def test_reads_go_on_after_a_failed_sync(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(consensus: Consensus, replica: Recording) -> None:
        disk = SlowDisk(monkeypatch)
        disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
        disk.go_on.set()
        consensus.propose(b"in flight", "a")
        await replica.until(lambda: len(replica.drops) == 1)
        consensus.barrier("b")
        await replica.until(lambda: len(replica.barriers) == 1)

    house.play(scene)
