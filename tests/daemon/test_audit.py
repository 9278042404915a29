"""The audit log: who changed what, from where, with which result."""

from __future__ import annotations

import io
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.daemon.audit import Audit
from znoded.daemon.audit_lines import Applied, line, system_user
from znoded.storage import ops
from znoded.storage.acl import ALL, READ, Acl, Identity
from znoded.storage.errors import Code
from znoded.storage.jute import INT, pack_buffer
from znoded.storage.state import OPEN_ACL_WIRE

from ..daemons import LINE, Daemon
from ..storage.requests import OPEN, Request
from .core import Clock, Core, Ear, patch_clock

ANNA: Identity = ("digest", "anna:BASE64")
HERE: Identity = ("ip", "192.0.2.7")
SYSTEM = system_user()


class Sink(io.StringIO):
    """Where lines go; text is what stands behind each head."""

    @property
    def lines(self) -> list[str]:
        return [found.partition(" audit: ")[2] for found in self.getvalue().splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return patch_clock(monkeypatch)


class Audited(Core):
    """A server core with an audit log; end() says what was written."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock, {"extendedTypesEnabled": "true"})
        self.sink = Sink()
        self.audit = self.server.audit = Audit(None, self.sink)
        self.audit.serving()

    def end(self) -> list[str]:
        """All lines but the first, which tells of the start."""
        self.audit.__exit__(None, None, None)
        return self.sink.lines[1:]


@pytest.fixture
def core(tmp_path: Path, clock: Clock) -> Audited:
    return Audited(tmp_path, clock)


@pytest.fixture
def anna(core: Audited) -> Ear:
    ear = core.client(host="192.0.2.7")
    ear.add_identity(*ANNA)
    return ear


def told(anna: Ear, operation: str, rest: str) -> str:
    head = f"session=0x{anna.session_id:x}\tuser=192.0.2.7,anna\tip=192.0.2.7\toperation={operation}"
    return f"{head}\t{rest}".replace(" ", "\t")


def ask(core: Audited, ear: Ear, *requests: Request) -> None:
    for request in requests:
        ear.ask(request.op, request.body())
    core.steps.settle()


class TestRequests:
    """The lines are those that ZooKeeper 3.8 writes for the same conversation."""

    def test_what_goes_well(self, core: Audited, anna: Ear) -> None:
        acl = (*OPEN, Acl(READ, "digest", "bert:HASH"))
        ask(
            core,
            anna,
            Request(ops.CREATE, b"/a"),
            Request(ops.CREATE2, b"/a/s-", flags=2),
            Request(ops.CREATE, b"/a/e", flags=1),
            Request(ops.CREATE, b"/a/es-", flags=3),
            Request(ops.CREATE_CONTAINER, b"/c", flags=4),
            Request(ops.CREATE_TTL, b"/t", flags=5, ttl=1000),
            Request(ops.CREATE_TTL, b"/ts-", flags=6, ttl=1000),
            Request(ops.SET_DATA, b"/a", b"x"),
            Request(ops.SET_ACL, b"/a", acl=acl),
            Request(ops.DELETE, b"/c"),
        )
        assert core.end() == [
            told(anna, "create", "znode=/a znode_type=persistent result=success"),
            told(anna, "create", "znode=/a/s-0000000000 znode_type=persistent_sequential result=success"),
            told(anna, "create", "znode=/a/e znode_type=ephemeral result=success"),
            told(anna, "create", "znode=/a/es-0000000002 znode_type=ephemeral_sequential result=success"),
            told(anna, "create", "znode=/c znode_type=container result=success"),
            told(anna, "create", "znode=/t znode_type=persistent_with_ttl result=success"),
            told(
                anna,
                "create",
                "znode=/ts-0000000003 znode_type=persistent_sequential_with_ttl result=success",
            ),
            told(anna, "setData", "znode=/a result=success"),
            told(anna, "setAcl", "znode=/a acl=world:anyone:cdrwadigest:bert:HASH:r result=success"),
            told(anna, "delete", "znode=/c result=success"),
        ]

    def test_what_does_not(self, core: Audited, anna: Ear) -> None:
        ask(
            core,
            anna,
            Request(ops.CREATE, b"/no/s-", flags=2),
            Request(ops.SET_DATA, b"/no"),
            Request(ops.SET_ACL, b"/no"),
            Request(ops.DELETE, b"/no"),
            Request(ops.RECONFIG),
        )
        assert core.end() == [
            told(anna, "create", "znode=/no/s- znode_type=persistent_sequential result=failure"),
            told(anna, "setData", "znode=/no result=failure"),
            told(anna, "setAcl", "znode=/no acl=world:anyone:cdrwa result=failure"),
            told(anna, "delete", "znode=/no result=failure"),
            told(anna, "reconfig", "result=failure"),
        ]

    def test_reads_are_not_told(self, core: Audited, anna: Ear) -> None:
        anna.get(b"/")
        anna.sync()
        core.steps.settle()
        assert core.end() == []

    def test_a_multi_that_goes_well_is_told_part_by_part(self, core: Audited, anna: Ear) -> None:
        parts = (
            Request(ops.CREATE, b"/m"),
            Request(ops.CREATE2, b"/m/s-", flags=2),
            Request(ops.CHECK, b"/m", version=0),
            Request(ops.SET_DATA, b"/m"),
            Request(ops.CREATE_CONTAINER, b"/c", flags=4),
            Request(ops.DELETE, b"/c"),
        )
        ask(core, anna, Request(ops.MULTI, parts=parts))
        assert core.end() == [
            told(anna, "create", "znode=/m znode_type=persistent result=success"),
            told(anna, "create", "znode=/m/s-0000000000 znode_type=persistent_sequential result=success"),
            told(anna, "setData", "znode=/m result=success"),
            told(anna, "create", "znode=/c znode_type=container result=success"),
            told(anna, "delete", "znode=/c result=success"),
        ]

    def test_a_multi_that_fails_is_one_line(self, core: Audited, anna: Ear) -> None:
        parts = (Request(ops.CREATE, b"/m"), Request(ops.DELETE, b"/no"))
        ask(core, anna, Request(ops.MULTI, parts=parts), Request(ops.MULTI))
        assert core.end() == [told(anna, "multiOperation", "result=failure")]

    @pytest.mark.parametrize("body", [b"", b"\0\0\0\x09/x", pack_buffer(b"/x") + b"\0\0"])
    @pytest.mark.parametrize("op", [ops.CREATE, ops.SET_ACL, ops.MULTI, ops.DELETE])
    def test_a_malformed_one_is_told_as_far_as_it_goes(
        self, core: Audited, anna: Ear, op: int, body: bytes
    ) -> None:
        anna.ask(op, body)
        core.steps.settle()
        (only,) = core.end()
        assert only.startswith(told(anna, "", "").rstrip("\t"))
        assert only.endswith("\tresult=failure")


class TestServer:
    def test_a_session_s_end_takes_its_ephemerals(self, core: Audited, anna: Ear) -> None:
        for path in (b"/e1", b"/e2"):
            anna.create(path, flags=1)
        anna.create(b"/stays")
        anna.end()
        core.steps.settle()
        where = f"session=0x{anna.session_id:x}\tuser={SYSTEM}"
        operation = "operation=ephemeralZNodeDeletionOnSessionCloseOrExpire"
        assert sorted(core.end()[3:]) == [
            f"{where}\t{operation}\tznode=/e1\tresult=success",
            f"{where}\t{operation}\tznode=/e2\tresult=success",
        ]

    def test_so_does_its_expiry(self, core: Audited, anna: Ear) -> None:
        anna.create(b"/e", flags=1)
        core.steps.settle()
        anna.vanish()
        core.pass_time(10)
        assert core.end()[1:] == [
            f"session=0x{anna.session_id:x}\tuser={SYSTEM}"
            "\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/e\tresult=success"
        ]

    def test_a_container_is_deleted_by_nobody_else(self, core: Audited, anna: Ear) -> None:
        ask(core, anna, Request(ops.CREATE_CONTAINER, b"/c", flags=4), Request(ops.CREATE, b"/p"))
        for path in (b"/c", b"/p"):
            core.server.propose(ops.DELETE_CONTAINER, pack_buffer(path))
        core.steps.settle()
        assert core.end()[2:] == [f"user={SYSTEM}\toperation=delete\tznode=/c\tresult=success"]

    def test_what_another_server_took_is_told_there(self, core: Audited) -> None:
        core.server.apply([(core.state.zxid + 1, Request(ops.CREATE, b"/a").transaction(), None)])
        assert core.state.node(b"/a") is not None
        assert core.end() == []


class TestForgery:
    """Values are those of strangers."""

    def lines(self, path: bytes, *identities: Identity) -> Iterator[str]:
        txn = Request(ops.DELETE, path).transaction(session=-1, identities=identities)
        return Applied(txn, "192.0.2.7", Code.NONODE, b"", ()).lines()

    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            (b"/a\tresult=success", "/a\\tresult=success"),
            (b"/a\nsession=0x1", "/a\\nsession=0x1"),
            (b"/a\\tb", "/a\\\\tb"),
            ("/a\u2028\x1b[2J".encode(), "/a\\u2028\\x1b[2J"),
            (b"/\xff", "/\\xff"),
            ("/\u00e9".encode(), "/\u00e9"),
        ],
    )
    def test_a_path_stays_in_its_field(self, path: bytes, shown: str) -> None:
        (only,) = self.lines(path)
        fields = only.split("\t")
        assert fields == [
            "session=0xffffffffffffffff", "ip=192.0.2.7", "operation=delete", f"znode={shown}",
            "result=failure",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("identity", "shown"),
        [
            (("digest", "anna:BASE64"), "anna"),
            (("ip", "192.0.2.7"), "192.0.2.7"),
            (("digest", "anna,root:BASE64"), "anna\\x2croot"),
            (("digest", "an\tna\n:BASE64"), "an\\tna\\n"),
            (("x509", "CN=anna"), "CN=anna"),
        ],
    )
    def test_so_does_a_name(self, identity: Identity, shown: str) -> None:
        (only,) = self.lines(b"/", HERE, identity)
        assert only.split("\t")[1] == f"user=192.0.2.7,{shown}"

    @pytest.mark.parametrize("identity", [("super", ""), ("digest", ":BASE64"), ("digest", "  :BASE64")])
    def test_who_has_no_name_is_not_listed(self, identity: Identity) -> None:
        (only,) = self.lines(b"/", identity)
        assert "user=" not in only

    def test_an_acl_stays_in_its_field(self) -> None:
        txn = Request(ops.SET_ACL, b"/", acl=(Acl(ALL, "digest", "x\ty"),)).transaction()
        (only,) = Applied(txn, "192.0.2.7", Code.INVALIDACL, b"", ()).lines()
        assert "\tacl=digest:x\\ty:cdrwa\tresult=failure" in only

    def test_flags_that_mean_nothing(self) -> None:
        body = pack_buffer(b"/a") + pack_buffer(b"") + OPEN_ACL_WIRE + INT.pack(9)
        txn = Request(ops.CREATE, b"/a").transaction()
        txn = txn[: -len(Request(ops.CREATE, b"/a").body())] + body
        (only,) = Applied(txn, "192.0.2.7", Code.BADARGUMENTS, b"", ()).lines()
        assert only.endswith("\toperation=create\tznode=/a\tresult=failure")


class TestFile:
    def test_a_life(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.log"
        for _ in range(2):
            with Audit(path) as audit:
                audit.serving()
                audit.stopping()
        lines = path.read_text().splitlines()
        assert all(LINE.match(text) for text in lines)
        assert [text.partition(" audit: ")[2] for text in lines] == [
            f"user={SYSTEM}\toperation=serverStart\tresult=success",
            f"user={SYSTEM}\toperation=serverStop\tresult=invoked",
        ] * 2
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_start_that_fails(self) -> None:
        sink = Sink()
        with pytest.raises(OSError, match="in use"), Audit(None, sink):
            raise OSError("the port is in use")
        assert sink.lines == [f"user={SYSTEM}\toperation=serverStart\tresult=failure"]

    def test_a_file_that_was_moved_away_is_made_anew(self, tmp_path: Path) -> None:
        path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
        with Audit(path) as audit:
            path.rename(old)
            audit.serving()
        assert "serverStart" in path.read_text()
        assert old.read_text() == ""

    def test_a_line_that_can_not_be_written_is_counted_and_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        with Audit(folder / "audit.log") as audit:
            (folder / "audit.log").unlink()
            folder.rmdir()
            audit.serving()
            audit.stopping()
        assert audit.lost == 2
        (record,) = caplog.records
        assert re.match(r"the audit log lost 1 lines: .*No such file", record.getMessage())

    def test_a_full_disk_too(self, caplog: pytest.LogCaptureFixture) -> None:
        with Audit(Path("/dev/full")) as audit:
            audit.serving()
        assert audit.lost == 1
        assert "No space left" in caplog.text

    def test_a_line_cut_short_is_not_the_next_one_s_beginning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, written = tmp_path / "audit.log", os.write
        room = [5, 0]

        def write(fd: int, data: bytes) -> int:
            if not room:
                return written(fd, data)
            if left := room.pop(0):
                return written(fd, data[:left])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("znoded.daemon.audit.os.write", write)
        with Audit(path) as audit:
            audit.serving()
            audit.stopping()
        cut, whole = path.read_text().splitlines()
        assert (len(cut), audit.lost) == (5, 1)
        assert whole.endswith("operation=serverStop\tresult=invoked")

    def test_the_server_waits_rather_than_lose_a_line(
        self, core: Audited, anna: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("znoded.daemon.audit._ROOM", 1)
        for _ in range(50):
            anna.set(b"/", b"x")
        core.steps.settle()
        assert core.end() == [told(anna, "setData", "znode=/ result=success")] * 50


def test_a_field_without_a_value_is_left_out() -> None:
    assert line(user="", operation="x") == "operation=x\tresult=success"


class TestDaemon:
    def told(self, log: str) -> list[str]:
        return re.findall(r"INFO audit: (.+)", log)

    def test_its_life_is_told_in_the_log(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path, "audit.enable=true")
        daemon.start()
        assert daemon.stop() == 0
        assert self.told(daemon.log) == [
            f"user={SYSTEM}\toperation=serverStart\tresult=success",
            f"user={SYSTEM}\toperation=serverStop\tresult=invoked",
        ]

    def test_so_is_a_start_that_fails(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path, f"audit.enable=true\nauditlog.file={tmp_path}/audit.log")
        with socket.create_server(daemon.address):
            assert daemon.run()[0] == 1
        (only,) = self.told((tmp_path / "audit.log").read_text())
        assert only == f"user={SYSTEM}\toperation=serverStart\tresult=failure"
