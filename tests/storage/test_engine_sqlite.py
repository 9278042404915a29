"""What only the sqlite engine promises: a full disk told plainly, and a log that is used again."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from znoded.storage import sqlite_engine
from znoded.storage.engine import EngineFull
from znoded.storage.sqlite_engine import SqliteEngine


def test_a_full_disk_leaves_the_state_before_and_commits_work_when_there_is_room(tmp_path: Path) -> None:
    more: dict[bytes, bytes | None] = {b"%d" % number: bytes(1 << 16) for number in range(100)}
    with closing(SqliteEngine(tmp_path)) as engine:
        engine.commit({b"a": b"1"})
        engine.refresh()
        engine._writer.execute("PRAGMA max_page_count = 100")
        for _ in range(2):
            with pytest.raises(EngineFull):
                engine.commit(more)
            engine.refresh()
            assert dict(engine.scan(b"")) == {b"a": b"1"}
        engine._writer.execute("PRAGMA max_page_count = 100000")
        engine.commit(more)
        engine.refresh()
        assert dict(engine.scan(b"")) == {b"a": b"1"} | more


def test_a_log_that_can_not_be_copied_back_now_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sqlite_engine, "WAL_SIZE", 0)
    rows = {b"%d" % number: bytes(1000) for number in range(1000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(SqliteEngine(tmp_path)) as engine:
        engine.commit(rows)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            engine.refresh()
            assert dict(engine.scan(b"")) == rows
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_device_that_fails_is_an_os_error() -> None:
    error = sqlite_engine._as_os_error(sqlite3.OperationalError("disk I/O error"), Path("x"))
    assert not isinstance(error, EngineFull)


def test_an_unreadable_store_is_an_os_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "znodes.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(OSError, match="sqlite"):
        SqliteEngine(tmp_path)


def test_the_log_is_used_again_while_a_reader_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sqlite_engine, "WAL_SIZE", 1 << 20)
    with closing(SqliteEngine(tmp_path)) as engine:
        for number in range(30):
            engine.commit({b"%d" % key: bytes((number,)) * 1000 for key in range(200)})
            engine.refresh()
        assert (tmp_path / "znodes.sqlite-wal").stat().st_size < 4 << 20


def test_what_is_kept_is_the_owners_alone(tmp_path: Path) -> None:
    with closing(SqliteEngine(tmp_path)):
        for path in tmp_path.iterdir():
            assert path.stat().st_mode & 0o077 == 0
