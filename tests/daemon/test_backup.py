"""Backup and restore as an administrator does them: of a server that serves, into one that goes on."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from znoded.daemon import refill as module
from znoded.daemon.backup import fetch
from znoded.daemon.cli import main
from znoded.daemon.config import load as load_config
from znoded.daemon.restore import restore
from znoded.storage.engine import open_engine
from znoded.storage.log import Log
from znoded.storage.state import META, zxid_in

from ..certificates import Authority
from ..daemons import Daemon, free_port
from ..zookeeper.raw import Acl, Connection, Granted, Op, acls, blob, bool_, int_, text
from .test_process import acknowledged, ask, children, create, load, session

TOKEN: Final = "abcdefgh-0123456789"
NO_ZXID: Final = 0


class House:
    """Servers with data of their own, and a backup between them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")
        self.file = folder / "backup"
        self.made: list[Daemon] = []
        self.admin: dict[Daemon, str] = {}

    def server(self, *settings: str) -> Daemon:
        folder = self._folder / f"server{len(self.made)}"
        folder.mkdir()
        port = free_port()
        admin = (f"admin.serverPort={port}", f"admin.tokenFile={self.token}")
        limits = ("tickTime=100", "minSessionTimeout=200", "maxSessionTimeout=60000", "maxClientCnxns=0")
        daemon = Daemon(folder, "\n".join((*limits, *admin, *settings)))
        self.made.append(daemon)
        self.admin[daemon] = f"http://127.0.0.1:{port}"
        return daemon

    def backup(self, daemon: Daemon, *more: str) -> Result:
        token = ("--token-file", str(self.token))
        return znoded("backup", "--server", self.admin[daemon], *token, *more, str(self.file))

    def restore(self, daemon: Daemon, *more: str) -> Result:
        return znoded("restore", "--config", str(daemon.config), *more, str(self.file))


def znoded(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for daemon in house.made:
        if daemon.launched:
            daemon.kill()
            assert "Traceback" not in daemon.log


def rows(folder: Path) -> dict[bytes, bytes]:
    """Everything that a data directory's engine holds."""
    with closing(open_engine("lmdb", folder)) as engine:
        return dict(engine.scan(b""))


def fill(server: tuple[str, int]) -> tuple[Connection, list[str]]:
    """Some of everything, and the session that owns the ephemerals among it; it is left open."""
    connection = session(server, 60_000)
    closed = acls([Acl(1, "world", "anyone"), Acl(31, "digest", "me:hash")])
    long = "/" + "x" * 600
    paths = ["/plain", "/plain/child", "/mine", "/guarded", long, f"{long}/below", "/large"]
    for path in paths:
        data = bytes(900_000) if path == "/large" else path.encode()[:9]
        acl = closed if path == "/guarded" else acls([Acl(31, "world", "anyone")])
        body = text(path) + blob(data) + acl + int_(1 if path == "/mine" else 0)
        assert ask(connection, Op.create, body).err == 0
    return connection, paths


def seen(connection: Connection, paths: list[str]) -> list[bytes]:
    """What a client reads of these znodes: data, Stat, ACL."""
    bodies = [ask(connection, Op.getData, text(path) + bool_(False)).body for path in paths]
    return bodies + [ask(connection, Op.getACL, text(path)).body for path in paths]


class TestBothWays:
    def test_everything_comes_back(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        owner, paths = fill(old.address)
        before = seen(owner, paths)
        assert house.backup(old).exit_code == 0
        old.kill()
        assert house.restore(new).exit_code == 0
        assert rows(new.data) == rows(old.data)

        new.start()
        taken_up = Connection.open(new.address)
        granted = taken_up.connect(60_000, owner.session, owner.password, NO_ZXID)
        assert isinstance(granted, Granted)
        assert granted.session == owner.session
        assert seen(taken_up, paths) == before
        assert stat.S_IMODE(house.file.stat().st_mode) == 0o600

    def test_under_load_all_that_was_acknowledged_before_is_in_it(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        writers = load(old, "abc", 3000)
        before = {writer.name: writer.acknowledged for writer in writers}
        result = house.backup(old, "--json")
        after = acknowledged(writers)
        old.kill()
        told = json.loads(result.stdout)
        assert house.restore(new, "--json").exit_code == 0
        new.start()
        there = children(new, "/load")
        for name, count in before.items():
            numbers = sorted(int(child.partition("-")[2]) for child in there if child.startswith(name))
            assert numbers == list(range(len(numbers))), "a state that never was"
            assert len(numbers) >= count
        assert len(there) <= len(after) + 150  # what was on its way
        assert told["znodes"] == len(there) + 5
        assert "snapshot for 127.0.0.1: " in old.log

    def test_the_server_goes_on_behind_it_and_again_after_a_restart(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        fill(old.address)
        told = json.loads(house.backup(old, "--json").stdout)
        house.restore(new)
        new.start()
        made = ask(session(new.address), Op.create, create("/after"))
        assert made.zxid == told["zxid"] + 2  # the session's beginning comes first
        new.restart()
        assert "after" in children(new, "/")
        new.stop()
        with closing(Log(new.data / "log")) as log:
            assert log.first_zxid == told["zxid"] + 1

    def test_over_tls(self, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ca = Authority(tmp_path)
        daemon = house.server("admin.forceHttps=true", f"ssl.keyStore.location={ca.issue('127.0.0.1')}")
        house.admin[daemon] = house.admin[daemon].replace("http:", "https:")
        daemon.start()
        fill(daemon.address)
        assert "certificate verify failed" in house.backup(daemon).stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(ca.trusted))
        assert house.backup(daemon).exit_code == 0

    def test_a_client_that_has_seen_more_is_turned_away(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        house.backup(old)
        owner, _ = fill(old.address)
        house.restore(new)
        new.start()
        connection = Connection.open(new.address)
        assert not isinstance(connection.connect(4000, owner.session, owner.password, 5), Granted)

    def test_both_say_what_they_did(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        backup = house.backup(old, "--json")
        restored = house.restore(new, "--json")
        assert (backup.exit_code, restored.exit_code) == (0, 0)
        one, other = json.loads(backup.stdout), json.loads(restored.stdout)
        assert {key: one[key] for key in ("ok", "zxid", "znodes")} == {"ok": True, "zxid": 0, "znodes": 4}
        assert one["bytes"] == house.file.stat().st_size
        del one["seconds"], other["seconds"]
        assert one == other
        assert house.backup(old).stdout.startswith(f"{house.file}: 4 znodes up to zxid 0x0, ")

    def test_both_show_how_far_they_are(self, house: House) -> None:
        old, new = house.server(), house.server()
        old.start()
        fill(old.address)
        shown: list[tuple[int, int]] = []

        @contextmanager
        def progress(length: int) -> Iterator[Callable[[int], object]]:
            steps: list[int] = []
            yield steps.append
            shown.append((length, sum(steps)))

        fetch(house.admin[old], house.token, house.file, progress)
        config = load_config(new.config, {}).config
        assert config is not None
        restore(config, house.file, progress)
        size = house.file.stat().st_size
        assert shown == [(11, 11), (size, size)]


KILL: Final = """
import os, signal
from znoded.daemon import restore
from znoded.storage import lmdb_engine, log
restore._ROWS = 1
commit, restart, commits = lmdb_engine.LmdbEngine.commit, log.Log.restart, []

def dying_commit(self, changes):
    commits.append(changes)
    if {where!r} == "rows" and len(commits) == 2 or {where!r} == "the last row" and b"m" in changes:
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, changes)

def dying_restart(self, after):
    if {where!r} == "log":
        os.kill(os.getpid(), signal.SIGKILL)
    restart(self, after)

lmdb_engine.LmdbEngine.commit, log.Log.restart = dying_commit, dying_restart
from znoded.daemon.cli import main
main()
"""


class TestInterrupted:
    @pytest.mark.parametrize("where", ["rows", "log", "the last row"])
    def test_a_killed_restore_is_refused_by_start_and_can_be_done_over(
        self, house: House, where: str
    ) -> None:
        old, new = house.server(), house.server()
        old.start()
        fill(old.address)
        house.backup(old)
        old.kill()
        command = [sys.executable, "-c", KILL.format(where=where)]
        arguments = ["restore", "--config", str(new.config), str(house.file)]
        killed = subprocess.run([*command, *arguments], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        status, said = new.run()
        assert status == 1
        assert f"{new.data}: a restore was not finished: run `znoded restore` again" in said
        assert house.restore(new).exit_code == 0
        assert rows(new.data) == rows(old.data)
        new.start()

    def test_a_damaged_backup_leaves_nothing_behind(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_ROWS", 1)
        old, new = house.server(), house.server()
        old.start()
        fill(old.address)
        house.backup(old)
        whole = house.file.read_bytes()
        for damaged in (whole[:-1], whole[:-30] + b"x" + whole[-29:], whole + b"x", b"", whole[:700_000]):
            house.file.write_bytes(damaged)
            result = house.restore(new)
            assert result.exit_code == 1
            assert f"nothing restored: {house.file}: " in result.stderr
            assert " at offset " in result.stderr
            assert not new.data.exists() or rows(new.data) == {}
        house.file.write_bytes(whole)
        assert house.restore(new).exit_code == 0

    def test_a_full_disk_leaves_nothing_behind(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        old, new = house.server(), house.server()
        old.start()
        house.backup(old)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Log, "restart", full)
            assert "No space left" in json.loads(house.restore(new, "--json").stdout)["error"]
        assert rows(new.data) == {}
        new.start()


class TestRefused:
    @pytest.fixture
    def old(self, house: House) -> Daemon:
        daemon = house.server()
        daemon.start()
        house.backup(daemon)
        return daemon

    def test_a_directory_in_use(self, house: House, old: Daemon) -> None:
        result = house.restore(old)
        assert result.exit_code == 1
        assert f"is in use by the znoded with process id {old.pid}" in result.stderr

    def test_a_directory_that_holds_data(self, house: House, old: Daemon) -> None:
        fill(old.address)
        old.stop()
        before = rows(old.data)
        result = house.restore(old)
        assert (result.exit_code, rows(old.data)) == (1, before)
        assert f"{old.data} holds data up to zxid 0x8: restore into an empty directory" in result.stderr

    def test_a_directory_whose_data_are_in_the_log_alone(self, house: House, old: Daemon) -> None:
        new = house.server()
        with closing(Log(new.data / "log")) as log:
            log.append(1, b"a transaction")
            log.sync()
        result = house.restore(new)
        assert result.exit_code == 1
        assert f"{new.data}/log holds a log up to zxid 0x1" in result.stderr

    def test_an_engine_that_keeps_nothing(self, house: House, old: Daemon) -> None:
        result = house.restore(house.server(), "--storage", "memory")
        assert "storage=memory keeps nothing" in result.stderr

    def test_a_faulty_configuration(self, house: House, old: Daemon) -> None:
        result = house.restore(house.server(), "--storage", "papyrus")
        assert result.exit_code == 2
        assert "--storage" in result.stderr

    def test_data_whose_log_was_taken_away(self, house: House, old: Daemon) -> None:
        fill(old.address)
        old.stop()
        for segment in (old.data / "log").iterdir():
            segment.unlink()
        status, said = old.run()
        assert status == 1
        assert "the log ends with zxid 0x0, not 0x8, where the data in" in said


@pytest.mark.parametrize("engine", ["lmdb", "sqlite"])
def test_a_backup_of_one_engine_can_be_restored_into_another(house: House, engine: str) -> None:
    old, new = house.server(), house.server()
    old.start()
    fill(old.address)
    house.backup(old)
    assert house.restore(new, "--storage", engine).exit_code == 0
    with closing(open_engine(engine, new.data)) as restored:
        assert dict(restored.scan(b"")) == rows(old.data)
        assert zxid_in(restored) == 8
        assert restored.get(META) is not None


class TestNoBackup:
    """Whatever goes wrong, what was in the file is still there, and nothing else is left."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "backups"
        folder.mkdir()
        (folder / "last").write_bytes(b"yesterday's")
        return folder

    def refused(self, folder: Path, server: str, *more: str) -> str:
        result = znoded("backup", "--server", server, *more, str(folder / "last"))
        assert result.exit_code == 1
        assert [path.name for path in folder.iterdir()] == ["last"]
        assert (folder / "last").read_bytes() == b"yesterday's"
        assert result.stderr.startswith("no backup: ")
        return result.stderr

    def test_nobody_listens(self, folder: Path) -> None:
        server = f"http://127.0.0.1:{free_port()}"
        assert server in self.refused(folder, server)

    @pytest.mark.parametrize("server", ["127.0.0.1:8080", "file:///etc/passwd", "http://", "http://x:port"])
    def test_no_url(self, folder: Path, server: str) -> None:
        assert "is not a server's URL" in self.refused(folder, server)

    def test_a_wrong_token(self, house: House, folder: Path, tmp_path: Path) -> None:
        daemon = house.server()
        daemon.start()
        (wrong := tmp_path / "wrong").write_text("another-token-entirely")
        for token in ((), ("--token-file", str(wrong))):
            assert "name a file with it by --token-file" in self.refused(folder, house.admin[daemon], *token)
        wrong.write_bytes(b"\xff\x00")
        assert "holds no token" in self.refused(folder, house.admin[daemon], "--token-file", str(wrong))
        assert "No such file" in self.refused(folder, house.admin[daemon], "--token-file", f"{wrong}er")

    def test_an_answer_that_ends_early(self, house: House, folder: Path, tmp_path: Path) -> None:
        daemon = house.server()
        daemon.start()
        house.backup(daemon)
        whole = house.file.read_bytes()
        with answering(b"HTTP/1.1 200 OK\r\n\r\n" + whole[:60]) as server:
            assert "ends at offset 60" in self.refused(folder, server)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"
        with answering(chunked + whole[:60]) as server:
            assert "ended its answer early" in self.refused(folder, server)

    def test_another_server(self, folder: Path) -> None:
        with answering(b"HTTP/1.1 200 OK\r\n\r\n<html><title>It works!</title></html>" + bytes(99)) as server:
            assert "not a backup of znoded" in self.refused(folder, server)
        with answering(b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n\r\n") as server:
            assert "says 302" in self.refused(folder, server)
        with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as server:
            self.refused(folder, server)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a server that gives this answer once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
