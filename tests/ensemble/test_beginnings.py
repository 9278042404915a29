"""Whose data an ensemble begins with: a former standalone server's, a backup's; and never two servers'."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from znoded.storage.backup import BackupWriter
from znoded.storage.engine import open_engine

from ..daemons import Daemon, until
from ..zookeeper.raw import Op, blob, bool_, int_, text
from .ensemble import Ensemble, asked, connected, over
from .load import OPEN

EPHEMERAL = int_(1)


@pytest.fixture
def ensemble(tmp_path: Path, backend: str) -> Iterator[Ensemble]:
    """Three servers, none of which runs."""
    made = Ensemble(tmp_path, settings=over(backend))
    yield made
    made.kill()


@contextmanager
def alone(server: Daemon) -> Iterator[None]:
    """Its configuration names no others."""
    configured = server.config.read_text()
    lines = [line for line in configured.splitlines() if not line.startswith(("server.", "consensus="))]
    server.config.write_text("\n".join(lines) + "\n")
    try:
        yield
    finally:
        server.config.write_text(configured)


def znoded(*arguments: str) -> None:
    """Run one of its commands."""
    main = "from znoded.daemon.cli import main; main()"
    subprocess.run([sys.executable, "-c", main, *arguments], check=True, timeout=20)


def make(server: Daemon, path: str, flags: bytes = int_(0)) -> None:
    """Make a znode, in a session of its own that is left to itself."""
    connection = connected(server.address, 1000)
    assert asked(connection, Op.create, text(path) + blob(b"") + OPEN + flags).err == 0
    connection.drop()


def begin(ensemble: Ensemble, first: int) -> None:
    """With that server's data: the third comes when two agree on them."""
    second, third = sorted(ensemble.servers.keys() - {first})
    for sid in (first, second):
        ensemble.servers[sid].launch()
    ensemble.until_all_serve((first, second))
    ensemble.servers[third].launch()
    ensemble.until_all_serve()


def stop(ensemble: Ensemble) -> None:
    for server in ensemble.servers.values():
        if server.running:
            server.stop()


def test_a_server_that_stood_alone_brings_its_data(ensemble: Ensemble, backend: str) -> None:
    first = ensemble.servers[1]
    with alone(first):
        first.start()
        make(first, "/before")
        make(first, "/session-of-then", EPHEMERAL)
        assert first.stop() == 0
    if backend == "raft":  # ZAB takes such a log as it is
        znoded("convert", "--config", str(first.config), "--to", backend)
    # Those without data started before it came: they are an ensemble of their own, and it is none of theirs.
    for sid in (2, 3):
        ensemble.servers[sid].launch()
    ensemble.until_all_serve((2, 3))
    until(lambda: ensemble.epoch(2) and ensemble.epoch(3), "a beginning")
    first.launch()
    for sid, told in ((1, "server 3, is refused: its data"), (3, "server 1, is refused: its data")):
        server = ensemble.servers[sid]
        until(lambda: told in server.log and "are given these" in server.log, "the reason")  # noqa: B023
    ensemble.until_it_serves_no_more(1)  # it listens for peers before it does for clients
    assert first.log.count("is refused") <= 2
    # What the log said to do.
    stop(ensemble)
    for sid in (2, 3):
        ensemble.wipe(sid)
    begin(ensemble, 1)
    third = connected(ensemble.servers[3].address)
    until(
        lambda: asked(third, Op.exists, text("/session-of-then") + bool_(False)).err,
        "an old session's expiry",
    )
    third.drop()
    assert "/before" in ensemble.assert_same_trees()  # now that no session ends meanwhile
    # And it is theirs from now on.
    stop(ensemble)
    with alone(first):
        status, told = first.run()
    assert status == 1
    assert "holds an ensemble's data" in told
    # Nor does a server go on that can't know what it has promised.
    (first.data / backend / "promises").write_bytes(b"what a disk made of it")
    status, told = first.run()
    assert status == 1
    assert "promises is damaged: empty this server's directories" in told
    assert "Traceback" not in told


def test_a_backup_is_the_beginning_of_another_ensemble(ensemble: Ensemble, tmp_path: Path) -> None:
    ensemble.start()
    make(ensemble.servers[1], "/first")
    leader = ensemble.leader()
    ensemble.servers[leader].stop()  # another epoch than a new ensemble's first
    ensemble.servers[leader].launch()
    ensemble.until_all_serve()
    make(ensemble.servers[1], "/second")
    before = ensemble.assert_same_trees()
    stop(ensemble)
    file = tmp_path / "backup"
    with (
        closing(open_engine("lmdb", ensemble.servers[1].data)) as engine,
        closing(BackupWriter(engine.snapshot(), 0)) as backup,
    ):
        file.write_bytes(b"".join(backup))
    for sid in ensemble.servers:
        ensemble.wipe(sid)
    znoded("restore", "--config", str(ensemble.servers[2].config), str(file))
    begin(ensemble, 2)
    assert ensemble.assert_same_trees() == before
    make(ensemble.servers[3], "/after")
    assert "/after" in ensemble.assert_same_trees()
