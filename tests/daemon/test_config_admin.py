"""Configuring who may ask the admin port, and the audit log."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.daemon.config import Loaded, load
from znoded.daemon.listeners import Exposed, keep_private

from ..daemons import Daemon

OPEN = "admin.serverAddress=0.0.0.0\n"
TOKEN = "0123456789abcdef"


def read(folder: Path, text: str) -> Loaded:
    path = folder / "zoo.cfg"
    path.write_text(f"dataDir={folder / 'data'}\n{text}\n")
    return load(path, {})


def token_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


class TestAddress:
    @pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "zk1", "localhost.example.org"])
    def test_an_open_port_without_a_token_is_a_fault(self, tmp_path: Path, address: str) -> None:
        (fault,) = read(tmp_path, f"admin.serverAddress={address}").faults
        assert (fault.line, fault.key) == (2, "admin.serverAddress")
        assert "admin.tokenFile" in fault.message
        assert "admin.allowUnauthenticated=true" in fault.message

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
    def test_loopback_needs_none(self, tmp_path: Path, address: str) -> None:
        assert not read(tmp_path, f"admin.serverAddress={address}").faults

    def test_a_token_opens_it(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, f"{OPEN}admin.tokenFile={token_file(tmp_path, TOKEN.encode())}")
        assert (loaded.faults, loaded.warnings) == ((), ())
        assert loaded.config is not None
        assert loaded.config.admin_token == TOKEN
        assert TOKEN not in repr(loaded)

    def test_so_does_saying_that_anybody_may(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, f"{OPEN}admin.allowUnauthenticated=true")
        assert (loaded.faults, loaded.warnings) == ((), ())

    def test_a_port_that_is_off_needs_nothing(self, tmp_path: Path) -> None:
        assert not read(tmp_path, f"{OPEN}admin.enableServer=false").faults

    def test_the_token_counts_whatever_else_is_said(self, tmp_path: Path) -> None:
        file = token_file(tmp_path, TOKEN.encode())
        (warning,) = read(tmp_path, f"admin.tokenFile={file}\nadmin.allowUnauthenticated=true").warnings
        assert (warning.key, warning.line) == ("admin.allowUnauthenticated", 3)

    def test_the_daemon_does_not_start_and_says_what_to_do(self, tmp_path: Path) -> None:
        status, log = Daemon(tmp_path, OPEN).run()
        assert status == 2
        assert "admin.tokenFile" in log

    def test_localhost_must_lead_to_loopback(self) -> None:
        keep_private(["127.0.0.1", "::1"])
        with pytest.raises(Exposed, match=r"leads to 192\.0\.2\.1.*admin\.tokenFile"):
            keep_private(["127.0.0.1", "192.0.2.1"])


class TestTokenFile:
    def test_space_around_it_is_no_part_of_it(self, tmp_path: Path) -> None:
        file = token_file(tmp_path, b" 0123456789abcdef~!  \n")
        config = read(tmp_path, f"admin.tokenFile={file}").config
        assert config is not None
        assert config.admin_token == "0123456789abcdef~!"

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "holds 0 characters; a secret needs 16 at least"),
            (b"\n \n", "holds 0 characters"),
            (b"hunter2hunter2!\n", "holds 15 characters"),
            (b"hunter2 and hunter3", "one word of printable ASCII"),
            ("hunter2hunter2h\u00fc".encode(), "one word of printable ASCII"),
            (b"hunter2" * 1000, "1024 at the most"),
        ],
    )
    def test_what_is_no_good_secret(self, tmp_path: Path, content: bytes, told: str) -> None:
        (fault,) = read(tmp_path, f"{OPEN}admin.tokenFile={token_file(tmp_path, content)}").faults
        assert fault.key == "admin.tokenFile"
        assert told in fault.message
        assert "hunter" not in fault.message

    @pytest.mark.parametrize("name", ["nowhere", "."])
    def test_a_file_that_can_not_be_read(self, tmp_path: Path, name: str) -> None:
        (fault,) = read(tmp_path, f"{OPEN}admin.tokenFile={tmp_path / name}").faults
        assert fault.key == "admin.tokenFile"
        assert "can't be read" in fault.message

    @pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
    def test_everyone_s_file_is_warned_of(self, tmp_path: Path, mode: int, warned: bool) -> None:
        loaded = read(tmp_path, f"admin.tokenFile={token_file(tmp_path, TOKEN.encode(), mode)}")
        assert ["admin.tokenFile"] * warned == [warning.key for warning in loaded.warnings]
        assert not loaded.faults


class TestAuditFile:
    @pytest.mark.parametrize(
        ("name", "told"),
        [("nowhere/audit.log", "is not a directory"), (".", "is not a file"), ("a\\u0000b", "is not a path")],
    )
    def test_one_that_can_not_be(self, tmp_path: Path, name: str, told: str) -> None:
        (fault,) = read(tmp_path, f"auditlog.file={tmp_path}/{name}").faults
        assert fault.key == "auditlog.file"
        assert told in fault.message
