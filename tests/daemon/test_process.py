"""A server's life as its host sees it: ends, restarts and kills; disks that are full or fail."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from znoded.storage.log import Log

from ..daemons import LINE, Daemon, free_port, until
from ..zookeeper.raw import (
    Acl,
    Closed,
    Connection,
    Granted,
    Op,
    Reader,
    Reply,
    acls,
    blob,
    bool_,
    int_,
    text,
)

SETTINGS = "tickTime=100\nminSessionTimeout=200\nmaxSessionTimeout=60000\nmaxClientCnxns=0"
OPEN = acls([Acl(31, "world", "anyone")])
SYSTEM_ERROR = -1
NO_NODE = -101

FAULTS = """
import errno, os, pathlib
from znoded.daemon import flusher
from znoded.storage import engine, lmdb_engine

here = pathlib.Path({folder!r})
pwrite, commit = os.pwrite, lmdb_engine.LmdbEngine.commit
halves = []

def disk(fd, data, at):
    if (here / "full").exists() and any(data):  # zeros go where there is space already
        if halves:
            halves.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        halves.append(data)
        data = data[:(len(data) + 1) // 2]
    count = pwrite(fd, data, at)
    if (here / "failing").exists():
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return count

def cramped(self, changes):
    if (here / "cramped").exists():
        raise engine.EngineFull(errno.ENOSPC, os.strerror(errno.ENOSPC))
    commit(self, changes)

os.pwrite, lmdb_engine.LmdbEngine.commit = disk, cramped
flusher._SECONDS = flusher._RETRY = 0.05
"""
"""Disks that are as the files beside the data say: full, failing, cramped (for the engine alone)."""


class Writer(threading.Thread):
    """A client that creates one znode after the other, many at a time, until it is told to stop or fails."""

    def __init__(self, server: tuple[str, int], name: str) -> None:
        super().__init__(daemon=True)
        self.name = name
        self.acknowledged = 0
        self.stopped = False
        self._connection = session(server)

    def run(self) -> None:
        sent = 0
        while not self.stopped:
            for _ in range(50):
                self._connection.send(Op.create, create(f"/load/{self.name}-{sent}"))
                sent += 1
            while self.acknowledged < sent:
                answer = self._connection.read()
                if not isinstance(answer, Reply) or answer.err:
                    return
                self.acknowledged += 1
        self._connection.drop()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons, each in a folder of its own, with these settings."""
    made: list[Daemon] = []

    def make(settings: str = SETTINGS, before: str = "") -> Daemon:
        folder = tmp_path / f"daemon{len(made)}"
        folder.mkdir()
        made.append(Daemon(folder, settings, before))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.launched:
            daemon.kill()
            assert "Traceback" not in daemon.log
            assert all(LINE.match(line) for line in daemon.log.splitlines())


@pytest.fixture
def daemon(make: Callable[..., Daemon]) -> Daemon:
    """One that serves."""
    made = make()
    made.start()
    return made


def session(server: tuple[str, int], timeout: int = 30_000) -> Connection:
    connection = Connection.open(server)
    assert isinstance(connection.connect(timeout, 0, bytes(16), 0), Granted)
    return connection


def ask(connection: Connection, op: int, body: bytes = b"") -> Reply:
    xid = connection.send(op, body)
    answer = connection.read()
    assert isinstance(answer, Reply), answer
    assert answer.xid == xid
    return answer


def create(path: str, flags: int = 0) -> bytes:
    return text(path) + blob(b"") + OPEN + int_(flags)


def error(connection: Connection, op: int, path: str) -> int:
    """The code of the answer to a create, or to a question with no watch."""
    return ask(connection, op, create(path) if op == Op.create else text(path) + bool_(False)).err


def children(daemon: Daemon, path: str) -> set[str]:
    connection = session(daemon.address)
    found = Reader(ask(connection, Op.getChildren, text(path) + bool_(False)).body).texts()
    connection.drop()
    return set(found)


def load(daemon: Daemon, names: str, more: int) -> list[Writer]:
    """Writers that have had so many writes acknowledged together, and go on."""
    connection = session(daemon.address)
    ask(connection, Op.create, create("/load"))
    connection.drop()
    writers = [Writer(daemon.address, name) for name in names]
    for writer in writers:
        writer.start()
    until(lambda: sum(writer.acknowledged for writer in writers) >= more, "the load")
    return writers


def acknowledged(writers: list[Writer]) -> set[str]:
    """What they have had acknowledged, once they have ended."""
    for writer in writers:
        writer.stopped = True
    for writer in writers:
        writer.join()
    return {f"{writer.name}-{number}" for writer in writers for number in range(writer.acknowledged)}


def errors(daemon: Daemon) -> list[str]:
    return [line for line in daemon.log.splitlines() if " ERROR " in line]


class TestEnds:
    @pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_cleanly_with_writes_in_flight(
        self, daemon: Daemon, name: signal.Signals
    ) -> None:
        writers = load(daemon, "abc", 1000)
        daemon.signal(name)
        assert daemon.wait() == 0
        there = acknowledged(writers)
        assert not errors(daemon)
        daemon.start()
        assert there <= children(daemon, "/load")

    def test_kills_under_load_lose_nothing_acknowledged(self, daemon: Daemon) -> None:
        there: set[str] = set()
        for names in ("abc", "def", "ghi"):
            writers = load(daemon, names, 1500)
            daemon.restart()
            there |= acknowledged(writers)
            assert there <= children(daemon, "/load")

    def test_sessions_outlive_a_kill_and_ephemerals_their_session(self, daemon: Daemon) -> None:
        back, away = session(daemon.address, 20_000), session(daemon.address, 1000)
        for connection, path in ((back, "/back"), (away, "/away")):
            assert ask(connection, Op.create, create(path, flags=1)).err == 0
        daemon.restart()
        again = Connection.open(daemon.address)
        granted = again.connect(20_000, back.session, back.password, 0)
        assert isinstance(granted, Granted)
        assert granted[1:4] == (20_000, back.session, back.password)
        until(lambda: error(again, Op.exists, "/away") == NO_NODE, "the expiry")
        assert error(again, Op.exists, "/back") == 0
        times = [
            datetime.fromisoformat(line.split()[0])
            for line in daemon.log.splitlines()
            if "serving clients" in line or f"session {away.session:#x}" in line
        ]
        assert times[2] - times[1] >= timedelta(milliseconds=900)
        assert ask(again, Op.close).err == 0
        assert isinstance(again.read(), Closed)
        assert not children(daemon, "/") & {"back", "away"}


class TestStarts:
    def test_a_second_one_on_the_same_data_is_refused_by_name(
        self, make: Callable[..., Daemon], daemon: Daemon
    ) -> None:
        second = make()
        second.data.symlink_to(daemon.data)
        status, told = second.run()
        assert status == 1
        assert f"in use by the znoded with process id {daemon.pid}" in told
        assert str(second.data) in told
        assert error(session(daemon.address), Op.exists, "/") == 0

    def test_a_client_port_in_use(self, make: Callable[..., Daemon], daemon: Daemon) -> None:
        second = make(f"{SETTINGS}\nclientPort={daemon.address[1]}")
        status, told = second.run()
        assert status == 1
        assert "address already in use" in told
        assert str(daemon.address[1]) in told

    def test_an_admin_port_in_use(self, make: Callable[..., Daemon], daemon: Daemon) -> None:
        second = make(f"{SETTINGS}\nadmin.serverPort={daemon.address[1]}")
        status, told = second.run()
        assert status == 1
        assert "address already in use" in told
        assert "serving clients" not in told

    def test_the_default_admin_port_in_use(self, make: Callable[..., Daemon]) -> None:
        """As when several servers run on one machine, by ZooKeeper's own configurations."""
        made = make(f"{SETTINGS}\nadmin.enableServer=true")
        with ExitStack() as stack:
            with suppress(OSError):  # somebody else has it
                stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
            made.start()
        assert "no admin port, admin.serverPort can name another" in made.log

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            ("data/lmdb", b"a file"),
            ("data/lmdb/data.mdb", None),
            ("data/lmdb/data.mdb", b"no data of LMDB's" * 1000),
            ("data/log", b"a file"),
            ("data/log/log.1", b"no segment"),
            ("data/log/log.1", None),
            ("data/znoded.lock", None),
        ],
    )
    def test_data_that_it_cannot_use(
        self, make: Callable[..., Daemon], path: str, content: bytes | None
    ) -> None:
        made = make()
        place = made.config.parent / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
        status, told = made.run()
        assert status == 1
        assert str(place if path != "data/lmdb/data.mdb" else place.parent) in told
        assert len(told.splitlines()) == 1

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may do everything")
    def test_data_that_it_may_not_touch(self, make: Callable[..., Daemon]) -> None:
        made = make()
        made.data.mkdir(mode=0)
        status, told = made.run()
        assert status == 1
        assert "Permission denied" in told
        assert str(made.data) in told

    def test_a_log_that_begins_after_the_data_ends(self, make: Callable[..., Daemon]) -> None:
        """As when the engine's files were deleted and only the log's latest segments are there."""
        made = make()
        made.data.mkdir()
        log = Log(made.data / "log", segment_size=4096)
        for zxid in range(1, 20):
            log.append(zxid, bytes(2000))
            log.sync()
        log.drop(10)
        log.close()
        status, told = made.run()
        assert status == 1
        assert str(made.data) in told
        assert len(told.splitlines()) == 1

    def test_data_without_its_engine_is_made_anew_from_a_whole_log(self, daemon: Daemon) -> None:
        assert error(session(daemon.address), Op.create, "/kept") == 0
        assert daemon.stop() == 0
        for file in (daemon.data / "lmdb").iterdir():
            file.unlink()
        daemon.start()
        assert "kept" in children(daemon, "/")


class TestLoad:
    def test_the_admin_port_answers_while_clients_load(self, make: Callable[..., Daemon]) -> None:
        port = free_port()
        daemon = make(f"{SETTINGS}\nadmin.serverPort={port}")
        daemon.start()
        writers = load(daemon, "abc", 100)
        for word in (b"ruok", b"stat", b"mntr", b"cons", b"dump", b"wchs") * 5:
            with socket.create_connection(("127.0.0.1", port), 10) as sock:
                sock.sendall(word)
                assert b"".join(iter(lambda: sock.recv(1 << 16), b""))
        assert acknowledged(writers) <= children(daemon, "/load")

    def test_a_flood_beyond_the_limit_of_files_disturbs_no_client(self, make: Callable[..., Daemon]) -> None:
        daemon = make(before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))")
        daemon.start()
        writers = load(daemon, "abc", 100)
        flood = [Connection.open(daemon.address) for _ in range(300)]
        more = sum(writer.acknowledged for writer in writers) + 500
        until(lambda: sum(writer.acknowledged for writer in writers) > more, "a write under the flood")
        for connection in flood:
            connection.drop()
        assert acknowledged(writers) <= children(daemon, "/load")
        assert not errors(daemon)
        assert len(daemon.log.splitlines()) < 20


class TestDisks:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        """Files in here break the disk."""
        path = tmp_path / "disk"
        path.mkdir()
        return path

    @pytest.fixture
    def server(self, make: Callable[..., Daemon], disk: Path) -> Daemon:
        daemon = make(before=FAULTS.format(folder=str(disk)))
        daemon.start()
        return daemon

    def test_a_full_disk_refuses_writes_until_there_is_room(self, server: Daemon, disk: Path) -> None:
        client = session(server.address)
        brief = session(server.address, 200)
        assert error(client, Op.create, "/before") == 0
        (disk / "full").touch()
        for path in ("/full1", "/full2"):
            assert error(client, Op.create, path) == SYSTEM_ERROR
            assert error(client, Op.exists, path) == NO_NODE
            assert error(client, Op.exists, "/before") == 0
        for number in range(100):
            client.send(Op.create, create(f"/full-{number}"))
            client.send(Op.exists, text("/before") + bool_(False))
        answers = [client.read() for _ in range(200)]
        assert {answer.err for answer in answers[::2] if isinstance(answer, Reply)} == {SYSTEM_ERROR}
        assert {answer.err for answer in answers[1::2] if isinstance(answer, Reply)} == {0}
        assert isinstance(Connection.open(server.address).connect(4000, 0, bytes(16), 0), Closed)
        (disk / "full").unlink()
        assert error(client, Op.create, "/after") == 0
        assert len(errors(server)) == 1
        assert "make room" in errors(server)[0]
        assert "writes are taken again" in server.log
        until(lambda: f"session {brief.session:#x}" in server.log, "the expiry")
        server.restart()
        there = children(server, "/")
        assert there >= {"before", "after"}
        assert not [path for path in there if path.startswith("full")]

    def test_an_expiry_waits_for_room_without_a_word(self, server: Daemon, disk: Path) -> None:
        client, brief = session(server.address), session(server.address, 200)
        (disk / "full").touch()
        until(lambda: errors(server), "the refusal of the expiry")
        for _ in range(3):
            assert error(client, Op.create, "/full") == SYSTEM_ERROR
        (disk / "full").unlink()
        assert isinstance(brief.read(), Closed)
        assert len(errors(server)) == 1
        assert server.log.count(f"session {brief.session:#x}") == 1

    def test_a_failed_sync_refuses_writes_until_a_restart(self, server: Daemon, disk: Path) -> None:
        reader, writers = session(server.address), load(server, "abc", 200)
        assert error(reader, Op.create, "/before") == 0
        (disk / "failing").touch()
        until(lambda: errors(server), "the failure")
        there = acknowledged(writers)
        assert error(reader, Op.create, "/failed") == SYSTEM_ERROR
        assert error(reader, Op.exists, "/before") == 0
        (disk / "failing").unlink()
        assert error(reader, Op.create, "/failed") == SYSTEM_ERROR
        assert error(reader, Op.exists, "/failed") == NO_NODE
        assert len(errors(server)) == 1
        assert "restart the server" in errors(server)[0]
        assert server.stop() == 0
        server.start()
        assert there <= children(server, "/load")
        assert children(server, "/") >= {"before"}
        assert error(session(server.address), Op.create, "/after") == 0

    def test_who_has_a_write_in_flight_when_a_sync_fails_is_not_left_in_doubt(
        self, server: Daemon, disk: Path
    ) -> None:
        client = session(server.address)
        (disk / "failing").touch()
        client.send(Op.create, create("/unknown"))
        assert isinstance(client.read(), Closed)

    def test_no_room_for_the_engine_alone_stops_nobody(self, server: Daemon, disk: Path) -> None:
        client = session(server.address)
        (disk / "cramped").touch()
        for number in range(20):
            assert error(client, Op.create, f"/cramped{number}") == 0
        until(lambda: errors(server), "the failing flush")
        for number in range(20, 40):
            assert error(client, Op.create, f"/cramped{number}") == 0
            assert error(client, Op.exists, f"/cramped{number}") == 0
        assert len(errors(server)) == 1
        server.restart()
        assert children(server, "/") >= {f"cramped{number}" for number in range(40)}
        until(lambda: len(errors(server)) == 2, "the failing flush after the restart")
        (disk / "cramped").unlink()
        until(lambda: "flush works again" in server.log, "the flush")
        server.restart()
        assert children(server, "/") >= {f"cramped{number}" for number in range(40)}
        assert re.search(r"\d+ znodes", server.log.splitlines()[-1])
