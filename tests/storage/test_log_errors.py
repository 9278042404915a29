"""A full disk refuses and goes on later; a failed write or sync stops the log until it is opened anew."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from znoded.storage.log import Log, LogFailed, LogFull

SEGMENT = 8192
ROOM = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path, segment_size=SEGMENT)
    log.append(1, b"first")
    log.sync()
    return log


def fail(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def holds(log: Log, directory: Path, zxids: list[int]) -> None:
    """These records, now and after a restart."""
    assert [zxid for zxid, _ in log.read()] == zxids
    log.close()
    log = Log(directory, segment_size=SEGMENT)
    assert [zxid for zxid, _ in log.read()] == zxids
    assert log.cut == 0
    log.close()


@ROOM
@pytest.mark.parametrize("written", [0, 1, 40, 300, 5000, 1 << 20])
def test_what_did_not_fit_is_refused_as_a_whole(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, written: int
) -> None:
    before = (tmp_path / "log.1").read_bytes()
    pwrite = os.pwrite
    room = written

    def short(fd: int, data: bytes, at: int) -> int:
        nonlocal room
        if not any(data):  # the rollback: what is allocated already can be written
            return pwrite(fd, data, at)
        if not room:
            raise fail(code)
        count = pwrite(fd, data[:room], at)
        if count == len(data):
            raise fail(code)  # all of it is written, and there is no room when it is synced
        room -= count
        return count

    for zxid in range(2, 60):
        log.append(zxid, b"x" * 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", short)
        with pytest.raises(LogFull, match=r"no room in .*log\.1"):
            log.sync()
    assert (tmp_path / "log.1").read_bytes() == before
    log.rollback()
    log.append(2, b"second")
    log.sync()
    holds(log, tmp_path, [1, 2])


@ROOM
@pytest.mark.parametrize("call", ["open", "posix_fallocate", "fsync", "rename"])
def test_no_room_for_a_segment_leaves_none_behind(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def none(*args: object, **options: object) -> int:
        raise fail(code)

    for zxid in range(2, 100):
        log.append(zxid, b"x" * 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, none)
        with pytest.raises(LogFull, match="no new segment in "):
            log.sync()
    assert [path.name for path in tmp_path.iterdir()] == ["log.1"]
    log.rollback()
    log.append(2, b"small enough")
    log.sync()
    for zxid in range(3, 100):
        log.append(zxid, b"x" * 100)
    log.sync()
    holds(log, tmp_path, list(range(1, 100)))


def test_refused_records_and_those_behind_them_go_together(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their zxids are taken until rollback(): nothing slips in between the refusal and its news."""

    def full(fd: int, data: bytes, at: int) -> int:
        raise fail(errno.ENOSPC)

    log.append(2, b"refused")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(LogFull):
            log.sync()
    log.append(3, b"came before the news")
    with pytest.raises(LogFull):
        log.sync()
    assert (log.last_zxid, log.durable_zxid) == (3, 1)
    log.rollback()
    assert (log.last_zxid, log.sync()) == (1, 1)
    log.append(2, b"again")
    assert log.sync() == 2
    holds(log, tmp_path, [1, 2])


@pytest.mark.parametrize("written", [False, True])
def test_a_failed_write_or_sync_is_for_good(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    pwrite = os.pwrite

    def broken(fd: int, data: bytes, at: int) -> int:
        if written:
            pwrite(fd, data, at)
        raise fail(errno.EIO)

    log.append(2, b"unknown")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        with pytest.raises(LogFailed, match=f"must be reopened: .*{os.strerror(errno.EIO)}"):
            log.sync()
    log.rollback()
    log.append(2, b"never taken")
    for _ in range(2):
        with pytest.raises(LogFailed):
            log.sync()
    assert [zxid for zxid, _ in log.read()] == [1]
    log.close()
    assert [payload for _, payload in Log(tmp_path).read()] in ([b"first"], [b"first", b"unknown"])


def test_a_rollback_that_fails_is_for_good(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refused records may be on disk then: nobody may say that they are not."""
    pwrite = os.pwrite

    def short(fd: int, data: bytes, at: int) -> int:
        monkeypatch.setattr(os, "pwrite", full)
        return pwrite(fd, data[:60], at)

    def full(fd: int, data: bytes, at: int) -> int:
        raise fail(errno.ENOSPC)

    log.append(2, b"x" * 50)
    log.append(3, b"x" * 50)
    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(LogFailed, match="must be reopened"):
        log.sync()


def test_a_directory_that_cannot_be_synced_is_for_good(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new segment's name may be lost, and with it all that would be written there."""
    fsync = os.fsync
    directory = tmp_path.stat().st_ino

    def broken(fd: int) -> None:
        if os.fstat(fd).st_ino == directory:
            raise fail(errno.EIO)
        fsync(fd)

    for zxid in range(2, 100):
        log.append(zxid, b"x" * 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(LogFailed):
            log.sync()
    log.close()
    log = Log(tmp_path)
    assert log.last_zxid == 1
    holds(log, tmp_path, [1])


def test_a_truncation_that_fails_is_for_good(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: object) -> None:
        raise fail(errno.ENOSPC)

    for zxid in range(2, 5):
        log.append(zxid, b"x")
    log.sync()
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", none)
        with pytest.raises(OSError, match="No space left"):
            log.truncate(2)
    log.append(5, b"never taken")
    with pytest.raises(LogFailed):
        log.sync()
    log.close()
    holds(Log(tmp_path), tmp_path, [1, 2, 3, 4])


def test_what_a_failed_sync_left_in_the_page_cache_is_written_again(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says once that a page was lost; later syncs succeed and leave it lost."""
    log.append(2, b"in memory alone")
    log.sync()
    end = log.size
    log.close()
    spans: list[tuple[int, int] | str] = []
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def seen(fd: int, data: bytes, at: int) -> int:
        spans.append((at, at + len(data)))
        return pwrite(fd, data, at)

    def synced(fd: int) -> None:
        spans.append("sync")
        fdatasync(fd)

    monkeypatch.setattr(os, "pwrite", seen)
    monkeypatch.setattr(os, "fdatasync", synced)
    assert Log(tmp_path).last_zxid == 2
    written, sync = spans
    assert isinstance(written, tuple)
    assert (written[1], sync) == (end, "sync")
