"""Servers that were away for long, or have what nobody else has: by a snapshot, or a cut, they come to hold
the same as the others, wherever they are killed on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..daemons import Daemon, until
from ..zookeeper.raw import Connection, Op, blob, int_, text
from .ensemble import Ensemble, asked, connected, over
from .load import OPEN, Load

BEFORE = """
import os, signal, time
from errno import ENOSPC
from pathlib import Path
from znoded.consensus import rebuild, transfer
from znoded.consensus.{backend} import driver
from znoded.daemon import flusher, refill
from znoded.storage import engine, log

here = Path({folder!r})
log.Log.__init__.__kwdefaults__["segment_size"] = 1 << 14
flusher._SECONDS = 0.05
refill._ROWS = 50
transfer._RETRY = driver._RETRY = rebuild._RETRY = 0.2

def at(place):
    if (here / place).exists():
        (here / place).unlink()
        os.kill(os.getpid(), signal.SIGKILL)

def around(owner, name):
    inner = getattr(owner, name)
    def outer(*args):
        at("before " + name)
        result = inner(*args)
        at("after " + name)
        return result
    setattr(owner, name, outer)

for name in ("begin", "add", "finish", "done"):
    around(transfer.Incoming, name)
around(log.Log, "restart")
around(log.Log, "truncate")

clear, transactions = refill.clear, refill.transactions

def clearing(engine):
    for step in clear(engine):
        at("amid clear")
        yield step

def filling(frames):
    for number, rows in enumerate(transactions(frames)):
        if number == 2:
            at("amid refill")
        while (here / "waiting").exists():
            (here / "waits").touch()
            time.sleep(0.01)
        if (here / "full").exists():
            raise engine.EngineFull(ENOSPC, os.strerror(ENOSPC))
        yield rows

refill.clear, refill.transactions = clearing, filling
"""
"""Small log segments, so that log is dropped soon; and a server dies where a file in folder says."""

ROWS = 200
MOMENTS = (
    "after begin",
    "after add",
    "before finish",
    "after finish",
    "amid clear",
    "amid refill",
    "before restart",
    "after restart",
    "after done",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Path:
    """Where a file says that a server shall die."""
    return tmp_path_factory.mktemp("lagging")


@pytest.fixture(scope="module")
def shared(folder: Path, backend: str) -> Iterator[Ensemble]:
    with running(folder, backend) as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(shared: Ensemble) -> Ensemble:
    """Three servers, all of which serve, whatever a test did to them before."""
    shared.heal()
    return shared


@contextmanager
def running(folder: Path, backend: str, observers: int = 0, settings: str = "") -> Iterator[Ensemble]:
    before = BEFORE.format(folder=str(folder), backend=backend)
    ensemble = Ensemble(folder, 3, observers, over(backend) + settings, before)
    try:
        ensemble.start()
        furnish(ensemble.servers[1])
        yield ensemble
    finally:
        ensemble.kill()


def furnish(server: Daemon) -> None:
    """Make what a snapshot of several frames holds, and a znode that is written again and again."""
    connection = connected(server.address)
    for name in ("filler", *map(str, range(ROWS))):
        connection.send(Op.create, text(f"/{name}") + blob(bytes(1000)) + OPEN + int_(0))
    expect(connection, 1 + ROWS)


def fill(server: Daemon, count: int) -> None:
    """Write a kilobyte so many times: a segment of log holds fifteen, and the state does not grow."""
    connection = connected(server.address)
    for _ in range(count):
        connection.send(Op.setData, text("/filler") + blob(bytes(1000)) + int_(-1))
    expect(connection, count)


def expect(connection: Connection, count: int) -> None:
    """So many good answers; then end the session."""
    for _ in range(count):
        assert getattr(connection.read(), "err", None) == 0
    asked(connection, Op.close)
    connection.drop()


def left_behind(ensemble: Ensemble) -> int:
    """A follower that does not run; what the others have logged since, they have dropped."""
    leader, follower = ensemble.servers[ensemble.leader()], ensemble.followers()[0]
    fill(leader, 10)
    ensemble.servers[follower].kill()
    last = max(segments(leader))
    while min(segments(leader)) <= last:
        fill(leader, 100)
    return follower


def segments(server: Daemon) -> list[int]:
    """The first zxid of each segment of its log."""
    return [int(path.suffix[1:], 16) for path in (server.data / "log").glob("log.*[0-9a-f]")]


def assert_joined(ensemble: Ensemble, server: Daemon) -> None:
    """It holds what the others hold, and nothing is left of the way there."""
    ensemble.until_all_serve()
    ensemble.assert_same_trees()
    assert not list(server.data.glob("*/incoming*"))
    assert "Traceback" not in server.log


@pytest.mark.parametrize("engine", ["lmdb", "sqlite"])
def test_a_server_that_was_away_for_long_is_sent_a_snapshot(
    tmp_path: Path, backend: str, engine: str
) -> None:
    with running(tmp_path, backend, settings=f"storage={engine}") as ensemble:
        server = ensemble.servers[left_behind(ensemble)]
        server.launch()
        assert_joined(ensemble, server)
        assert "by a snapshot" in server.log
        # And has it for good.
        ensemble.kill()
        ensemble.start()
        ensemble.assert_same_trees()
        assert server.log.count("by a snapshot") == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_that_is_killed_meanwhile_starts_and_joins(ensemble: Ensemble, folder: Path, moment: str) -> None:
    server = ensemble.servers[left_behind(ensemble)]
    (folder / moment).touch()
    server.launch()
    assert server.wait() == -signal.SIGKILL
    server.launch()
    assert_joined(ensemble, server)


@pytest.mark.parametrize("moment", ["after add", "after finish", "amid refill", "before restart"])
def test_one_with_a_new_disk_that_is_killed_meanwhile_starts_and_joins(
    ensemble: Ensemble, folder: Path, moment: str
) -> None:
    sid = left_behind(ensemble)
    server = ensemble.servers[sid]
    ensemble.wipe(sid)
    (folder / moment).touch()
    server.launch()
    assert server.wait() == -signal.SIGKILL
    server.launch()
    assert_joined(ensemble, server)


def test_several_at_once_under_load(tmp_path: Path, backend: str) -> None:
    with running(tmp_path, backend, observers=2) as ensemble:
        load = Load("/load", ensemble, 3)
        try:
            left_behind(ensemble)
            epoch = ensemble.epoch(ensemble.leader())
            for sid in (4, 5):
                ensemble.servers[sid].kill()
                ensemble.wipe(sid)
            load.progress()
            ensemble.heal()
            load.progress()
        finally:
            load.stop()
        load.assert_kept(ensemble.assert_same_trees())
        # Who loses its leader on the way, on a busy machine, may get another one's, too.
        leaders = 1 + ensemble.epoch(ensemble.leader()) - epoch
        for sid in (4, 5):
            assert 1 <= ensemble.servers[sid].log.count("by a snapshot") <= leaders


def test_one_without_room_for_the_snapshot_joins_once_there_is_some(ensemble: Ensemble, folder: Path) -> None:
    server = ensemble.servers[left_behind(ensemble)]
    (folder / "full").touch()
    server.launch()
    until(lambda: "No space left" in server.log, "trouble")
    (folder / "full").unlink()
    assert_joined(ensemble, server)


def test_one_is_stopped_meanwhile(ensemble: Ensemble, folder: Path) -> None:
    server = ensemble.servers[left_behind(ensemble)]
    (folder / "waiting").touch()
    server.launch()
    until(lambda: (folder / "waits").exists(), "the refill")
    server.signal(signal.SIGTERM)
    until(lambda: "daemon.process: stopping" in server.log, "the stop")
    (folder / "waiting").unlink()
    assert server.wait() == 0
    server.launch()
    assert_joined(ensemble, server)


@pytest.mark.parametrize("moment", ["before truncate", "after truncate", ""])
def test_what_was_never_committed_is_cut_off(ensemble: Ensemble, folder: Path, moment: str) -> None:
    leader, followers = ensemble.leader(), ensemble.followers()
    server = ensemble.servers[leader]
    connection = connected(server.address)
    for sid in followers:
        ensemble.servers[sid].signal(signal.SIGSTOP)
    connection.send(Op.create, text("/nobody-else-has-it") + blob(b"") + OPEN + int_(0))
    ensemble.until_it_serves_no_more(leader)
    connection.drop()
    server.kill()
    for sid in followers:
        ensemble.servers[sid].kill()  # with all that waits to be read
    for sid in followers:
        ensemble.servers[sid].launch()
    ensemble.until_all_serve(followers)
    fill(ensemble.servers[followers[0]], 5)
    cut = server.log.count("the log is cut")
    if moment:
        (folder / moment).touch()
        server.launch()
        assert server.wait() == -signal.SIGKILL
    server.launch()
    assert_joined(ensemble, server)
    assert "/nobody-else-has-it" not in ensemble.assert_same_trees()
    assert moment == "after truncate" or server.log.count("the log is cut") == cut + 1
