"""The log keeps what was synced, in order, and never hands out less without saying so."""

from __future__ import annotations

import os
from fcntl import F_GETFL, fcntl
from pathlib import Path
from threading import Thread

import pytest

from znoded.storage.log import Log, LogDamaged, LogFailed, LogGap

SEGMENT = 4096


def batch(log: Log, first: int, last: int, size: int = 100) -> list[tuple[int, bytes]]:
    """Append these zxids and sync them as one batch."""
    records = [(zxid, bytes([zxid % 256]) * size) for zxid in range(first, last + 1)]
    for zxid, payload in records:
        log.append(zxid, payload)
    assert log.sync() == last
    return records


def reopened(log: Log, directory: Path) -> Log:
    log.close()
    return Log(directory, segment_size=SEGMENT)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(directory: Path) -> Log:
    return Log(directory, segment_size=SEGMENT)


def test_a_new_log_is_empty(log: Log) -> None:
    assert (log.first_zxid, log.last_zxid, log.durable_zxid, log.size, log.cut) == (1, 0, 0, 0, 0)
    assert list(log.read()) == []
    assert log.sync() == 0


def test_what_was_synced_is_there_after_a_restart(log: Log, directory: Path) -> None:
    records = batch(log, 1, 5) + batch(log, 6, 6, size=0) + batch(log, 7, 9, size=3)
    log = reopened(log, directory)
    assert list(log.read()) == records
    assert (log.first_zxid, log.last_zxid, log.durable_zxid, log.cut) == (1, 9, 9, 0)


def test_what_was_not_synced_is_neither_read_nor_kept(log: Log, directory: Path) -> None:
    records = batch(log, 1, 2)
    log.append(3, b"never synced")
    assert (log.last_zxid, log.durable_zxid) == (3, 2)
    assert list(log.read()) == records
    log = reopened(log, directory)
    assert log.last_zxid == 2


def test_a_reader_may_begin_anywhere(log: Log) -> None:
    records = batch(log, 1, 60) + batch(log, 61, 70)
    for after in (0, 1, 35, 60, 61, 69, 70, 99):
        assert list(log.read(after)) == [record for record in records if record[0] > after]


def test_a_reader_ends_with_what_was_durable_when_it_began(log: Log) -> None:
    records = batch(log, 1, 3)
    reader = log.read()
    batch(log, 4, 80)
    assert list(reader) == records


def test_zxids_rise_but_may_skip(log: Log, directory: Path) -> None:
    log.append(1, b"a")
    log.append(1 << 32 | 1, b"b")
    for zxid in (1 << 32 | 1, 7):
        with pytest.raises(ValueError, match="does not come after 0x100000001"):
            log.append(zxid, b"")
    log.sync()
    assert list(reopened(log, directory).read(2)) == [(1 << 32 | 1, b"b")]


def test_a_batch_is_one_write_that_syncs(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(log, 1, 1)
    synced: list[bool] = []
    pwrite = os.pwrite

    def counted(fd: int, data: bytes, at: int) -> int:
        synced.append(bool(fcntl(fd, F_GETFL) & os.O_DSYNC))
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", counted)
    batch(log, 2, 20)
    assert synced == [True]
    log.sync()
    assert synced == [True]


def test_a_short_write_goes_on(log: Log, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:37], at))
        records = batch(log, 1, 5)
    assert list(reopened(log, directory).read()) == records


def test_segments_are_named_for_the_first_zxid_that_they_may_hold(log: Log, directory: Path) -> None:
    records = batch(log, 1, 25) + batch(log, 26, 40) + batch(log, 41, 70)
    assert names(directory) == ["log.1", "log.1a", "log.29"]
    assert {path.stat().st_size for path in directory.iterdir()} == {SEGMENT}
    assert list(log.read()) == records
    assert list(reopened(log, directory).read(30)) == records[30:]


def test_a_batch_larger_than_a_segment_gets_one_of_its_own_size(log: Log, directory: Path) -> None:
    records = batch(log, 1, 1) + batch(log, 2, 4, size=1_500_000) + batch(log, 5, 5)
    assert names(directory) == ["log.1", "log.2", "log.5"]
    log = reopened(log, directory)
    assert list(log.read()) == records
    assert list(log.read(3)) == records[3:]


def test_size_counts_full_segments_and_the_last_one_s_part(log: Log, directory: Path) -> None:
    batch(log, 1, 1)
    small = log.size
    assert 600 < small < 700
    batch(log, 2, 40)
    assert log.size > SEGMENT
    assert reopened(log, directory).size == log.size


class TestDrop:
    def test_only_whole_segments_go_and_never_the_last(self, log: Log, directory: Path) -> None:
        records = batch(log, 1, 25) + batch(log, 26, 40) + batch(log, 41, 70)
        log.drop(25)
        assert log.first_zxid == 1
        log.drop(26)
        assert (log.first_zxid, names(directory)) == (26, ["log.1a", "log.29"])
        log.drop(1000)
        assert (log.first_zxid, names(directory)) == (41, ["log.29"])
        log = reopened(log, directory)
        assert (log.first_zxid, list(log.read(40))) == (41, records[40:])

    def test_a_reader_of_what_is_gone_is_told(self, log: Log) -> None:
        batch(log, 1, 30)
        batch(log, 31, 60)
        early = log.read()
        log.drop(31)
        with pytest.raises(LogGap, match=r"begins after zxid 0x1e, not 0x1d"):
            log.read(29)
        assert next(log.read(30))[0] == 31
        with pytest.raises(LogGap, match=r"log\.1 was dropped"):
            list(early)


class TestTruncate:
    @pytest.mark.parametrize("after", [70, 69, 55, 41, 40, 39, 26, 25, 24, 1, 0])
    def test_records_beyond_go_and_their_zxids_come_again(
        self, log: Log, directory: Path, after: int
    ) -> None:
        records = (batch(log, 1, 25) + batch(log, 26, 40) + batch(log, 41, 70))[:after]
        log.truncate(after)
        assert (log.last_zxid, log.durable_zxid, list(log.read())) == (after, after, records)
        records += batch(log, after + 1, after + 50, size=7)
        assert list(log.read()) == records
        log = reopened(log, directory)
        assert (log.cut, list(log.read())) == (0, records)

    def test_nothing_of_them_stays_in_any_file(self, log: Log, directory: Path) -> None:
        for zxid in range(1, 30):
            log.append(zxid, b"keep" * 20)
        log.append(30, b"SECRET")
        log.sync()
        log.truncate(29)
        assert b"SECRET" not in b"".join(path.read_bytes() for path in directory.iterdir())

    def test_the_last_zxid_is_that_of_a_record(self, log: Log, directory: Path) -> None:
        for zxid in (1, 5, 9):
            log.append(zxid, b"")
        log.truncate(7)
        assert log.last_zxid == 5
        log.append(6, b"x")
        log.sync()
        assert [zxid for zxid, _ in reopened(log, directory).read()] == [1, 5, 6]

    def test_all_may_go_and_the_log_still_knows_where_it_begins(self, log: Log, directory: Path) -> None:
        batch(log, 1, 25)
        batch(log, 26, 50)
        log.drop(26)
        with pytest.raises(LogGap, match="begins at zxid 0x1a: no cut at 0x18"):
            log.truncate(24)
        log.truncate(25)
        log = reopened(log, directory)
        assert (log.first_zxid, log.last_zxid, list(log.read(25))) == (26, 25, [])
        records = batch(log, 26, 90)  # too large for the empty segment, whose name the new one takes
        assert names(directory) == ["log.1a"]
        assert list(reopened(log, directory).read(25)) == records

    def test_beyond_the_end_it_does_nothing(self, log: Log) -> None:
        records = batch(log, 1, 3)
        log.truncate(3)
        log.truncate(99)
        assert (log.last_zxid, list(log.read())) == (3, records)


class TestRestart:
    def test_a_new_log_may_begin_behind_a_snapshot(self, log: Log, directory: Path) -> None:
        log.restart(40)
        log = reopened(log, directory)
        assert (log.first_zxid, log.last_zxid, log.durable_zxid, log.cut) == (41, 40, 40, 0)
        assert list(log.read(40)) == []
        with pytest.raises(LogGap, match="begins after zxid 0x28, not 0x0"):
            log.read()
        records = batch(log, 41, 90)
        assert list(reopened(log, directory).read(40)) == records

    @pytest.mark.parametrize("after", [0, 26, 50, 51, 1 << 40])
    def test_what_was_there_is_gone(self, log: Log, directory: Path, after: int) -> None:
        for first in (1, 26):
            batch(log, first, first + 24)
        log.append(51, b"not synced")
        log.restart(after)
        assert (log.last_zxid, list(log.read(after)), names(directory)) == (after, [], [f"log.{after + 1:x}"])
        records = batch(log, after + 1, after + 30)
        assert list(reopened(log, directory).read(after)) == records

    def test_a_full_disk_says_so(self, log: Log, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", full)
            with pytest.raises(OSError, match="No space left"):
                log.restart(7)
        with pytest.raises(LogFailed, match="must be reopened"):
            log.sync()
        log = reopened(log, directory)
        log.restart(7)
        assert log.last_zxid == 7


def test_a_foreign_file_is_refused_by_name(directory: Path) -> None:
    directory.mkdir()
    (directory / "log.1f").write_bytes(b"ZKLG\0\0\0\2" + bytes(100))
    with pytest.raises(LogDamaged, match=r"log\.1f: not a segment of this log \(offset 0 holds b'ZKLG"):
        Log(directory)


def test_files_of_other_names_are_let_be(directory: Path) -> None:
    directory.mkdir()
    for name in ("snapshot.5", "log.txt", "mylog.1", "log.1.bak"):
        (directory / name).write_bytes(b"other")
    batch(Log(directory), 1, 1)
    assert len(names(directory)) == 5


def test_a_segment_under_another_s_name_is_refused(log: Log, directory: Path) -> None:
    batch(log, 1, 1)
    log.close()
    (directory / "log.1").rename(directory / "log.2")
    with pytest.raises(LogDamaged, match=r"log\.2: offset 16 says that it was log\.1"):
        Log(directory)


def test_a_missing_segment_is_noticed(log: Log, directory: Path) -> None:
    for first in (1, 26, 51):
        batch(log, first, first + 24)
    log.close()
    (directory / "log.1a").unlink()
    log = Log(directory)
    with pytest.raises(LogDamaged, match=r"log\.1: damaged at offset \d+: ends with 0x19, not 0x32"):
        list(log.read())


def test_a_segment_that_never_got_its_name_is_swept_away(log: Log, directory: Path) -> None:
    records = batch(log, 1, 1)
    log.close()
    (directory / "log.2.new").write_bytes(b"half")
    assert list(Log(directory).read()) == records
    assert names(directory) == ["log.1"]


def test_a_closed_log_takes_nothing(log: Log) -> None:
    log.append(1, b"")
    log.close()
    with pytest.raises(LogFailed, match="is closed"):
        log.sync()
    log.close()


def test_appends_may_go_on_while_a_sync_runs(directory: Path) -> None:
    log = Log(directory, segment_size=1 << 20)
    running = True

    def sync() -> None:
        while running:
            log.sync()

    thread = Thread(target=sync)
    thread.start()
    for zxid in range(1, 20_001):
        log.append(zxid, b"%d" % zxid)
    running = False
    thread.join()
    log.sync()
    assert list(log.read()) == [(zxid, b"%d" % zxid) for zxid in range(1, 20_001)]


def test_reach_goes_by_whole_segments_and_at_least_two(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_size=4096)
    assert log.reach(1 << 30) == 0
    for zxid in range(1, 41):
        log.append(zxid, bytes(1000))
        log.sync()
    bases = [first - 1 for first in log.starts]
    assert len(bases) > 5
    assert log.reach(1 << 30) == 0
    assert log.reach(0) == bases[-2]
    for base in bases[:-2]:
        beyond = log.size - bases.index(base) * 4096
        assert log.reach(beyond) == base
        assert log.reach(beyond - 1) > base
    log.close()
