"""No power cut takes what a follower acknowledged, or leaves it half a state, while a snapshot takes the
place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest

from znoded.consensus.contract import Record
from znoded.consensus.raft.command import records_of
from znoded.consensus.raft.journal import Journal, command_of
from znoded.consensus.raft.keeper import Keeper as RaftKeeper
from znoded.consensus.transfer import Incoming
from znoded.consensus.zab.driver import lead_up
from znoded.consensus.zab.keeper import Keeper
from znoded.daemon.refill import finish
from znoded.storage.engine import open_engine
from znoded.storage.log import Log
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.state import State

from ..daemons import until
from ..ensemble.ensemble import Ensemble, asked, connected, over, word
from ..ensemble.load import OPEN
from ..zookeeper.raw import Op, blob, int_, text
from .daemon_life import Kept, Records, kept, replay
from .power_cut import Disk, Removed, Renamed, Step, images, read_trace, recorded

SEGMENT = 4096
_SEQUENTIAL = 2
BEFORE = f"""
import sys
from pathlib import Path
from znoded.daemon import config, flusher, refill
from znoded.storage import log
config._MIN_SNAP_RETAIN_COUNT = 0
flusher._TXNS, flusher._SECONDS = 20, 0.05
refill._ROWS = 20
log.Log.__init__.__kwdefaults__["segment_size"] = {SEGMENT}
keeps, drop = Path(sys.argv[-1]).with_name("keeps"), log.Log.drop
log.Log.drop = lambda self, before: None if keeps.exists() else drop(self, before)
"""


@dataclass(slots=True)
class Return:
    """How a server came back. start: its disk before; steps: what it did to it; relied: the last
    transaction that it had acknowledged before; history: what the state was after each, as another server
    kept them; until: the last."""

    backend: str
    start: Disk
    steps: list[Step]
    relied: int
    history: dict[int, Kept]
    until: int


@pytest.fixture(scope="module", params=["zab", "raft"])
def back(
    recorder: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Return]:
    folder, backend = tmp_path_factory.mktemp("back"), request.param
    ensemble = Ensemble(folder, settings=f"{over(backend)}autopurge.snapRetainCount=0\n", before=BEFORE)
    for sid, server in ensemble.servers.items():
        server.environment = recorded(recorder, server.data, folder / f"trace-{sid}-1")
    try:
        ensemble.start()
        leader, (sid, other) = ensemble.leader(), ensemble.followers()
        (ensemble.servers[other].config.with_name("keeps")).touch()
        server = ensemble.servers[sid]
        fill(ensemble, leader, 40)
        until(lambda: zxid(ensemble, sid) == zxid(ensemble, leader), "the follower's catching up")
        relied = zxid(ensemble, sid)
        server.kill()
        while first_segment(ensemble, leader) <= relied:
            fill(ensemble, leader, 20)
        server.environment = recorded(recorder, server.data, folder / f"trace-{sid}-2")
        server.launch()
        ensemble.until_all_serve()
        assert "by a snapshot" in server.log
        fill(ensemble, leader, 20)
        # The other as well: what it has logged is what there was.
        until(
            lambda: len({zxid(ensemble, each) for each in ensemble.servers}) == 1,
            "the followers' catching up",
        )
        ensemble.kill()
        start = Disk()
        for step in read_trace(folder / f"trace-{sid}-1"):
            start.apply(step)
        steps = read_trace(folder / f"trace-{sid}-2")
        log = Log(ensemble.servers[other].data / "log", segment_size=SEGMENT)
        records = dict(transactions(backend, log.read()))
        log.close()
        yield Return(backend, start, steps, relied, history(records), max(records))
    finally:
        ensemble.kill()


def transactions(backend: str, records: Iterator[Record]) -> Iterator[Record]:
    """That are in these records of a log."""
    for key, payload in records:
        yield from records_of(command_of(payload), key) if backend == "raft" else [(key, payload)]


def fill(ensemble: Ensemble, sid: int, count: int) -> None:
    connection = connected(ensemble.servers[sid].address)
    for _ in range(count):
        made = asked(connection, Op.create, text("/n-") + blob(bytes(100)) + OPEN + int_(_SEQUENTIAL))
        assert made.err == 0
    asked(connection, Op.close)
    connection.drop()


def zxid(ensemble: Ensemble, sid: int) -> int:
    told = word(ensemble.servers[sid].address, "srvr")
    return int(told.partition("Zxid: ")[2].split()[0], 16)


def first_segment(ensemble: Ensemble, sid: int) -> int:
    names = (ensemble.servers[sid].data / "log").glob("log.*[0-9a-f]")
    return min(int(path.suffix[1:], 16) for path in names)


def history(records: Records) -> dict[int, Kept]:
    state = State(MemoryEngine(Path()))
    found = {0: kept(state)}
    for record in records.items():
        replay(state, iter([record]))
        found[record[0]] = kept(state)
    return found


def deaf(command: bytes, key: int) -> None:
    """Nobody is told of new entries."""


def start_over(target: Path, back: Return) -> int:
    """Start from these files as the daemon and its backend do; the log's last transaction."""
    engine = open_engine("lmdb", target)
    log = Log(target / "log", segment_size=SEGMENT)
    try:
        incoming = Incoming(target / back.backend)
        promises = incoming.path.with_name("promises")
        finish(engine, incoming.path)
        state = State(engine)
        begins = state.zxid
        if back.backend == "raft":
            journal = Journal(log, RaftKeeper(promises), begins, deaf, restoring=incoming.path.exists())
            begins = journal.place(begins).key
            incoming.done()
        else:
            lead_up(log, begins, incoming)
            Keeper(promises)
        assert kept(state) == back.history[state.zxid]
        tail = [record for record in transactions(back.backend, log.read(begins)) if record[0] > state.zxid]
        replay(state, iter(tail))
        assert kept(state) == back.history[state.zxid]
        return state.zxid
    finally:
        log.close()
        engine.close()


def test_the_way_back_has_all_that_a_cut_may_hit(back: Return) -> None:
    assert f"{back.backend}/incoming" in [step.new for step in back.steps if isinstance(step, Renamed)]
    removed = [step.path for step in back.steps if isinstance(step, Removed)]
    assert f"{back.backend}/incoming" in removed
    assert any(path.startswith("log/log.") for path in removed)


@pytest.mark.parametrize("seed", range(2))
def test_every_step_may_be_the_last(back: Return, tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    target = tmp_path / "disk"
    ways = set()
    for _, image in images(back.steps, lambda done: 1, rng, back.start):
        image.write(target)
        last = start_over(target, back)
        assert last >= back.relied
        assert start_over(target, back) == last
        ways.add(last > back.relied)
        rmtree(target)
    assert ways == {False, True}


def test_a_cut_before_the_spool_has_its_name_leaves_what_was_there(back: Return, tmp_path: Path) -> None:
    disk = deepcopy(back.start)
    for step in back.steps:
        if isinstance(step, Renamed) and step.new == f"{back.backend}/incoming":
            break
        disk.apply(step)
    disk.cut(Random(1)).write(tmp_path / "disk")
    assert start_over(tmp_path / "disk", back) == back.relied
