"""A torn tail is cut and told, damage before it stops the log: whatever a power cut or a disk left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from znoded.storage.log import Log, LogDamaged
from znoded.storage.segment import START

SEGMENT = 16384
SECTOR = 512
Records = list[tuple[int, bytes]]


class Tail:
    """A segment's bytes, with its last batch taken as not yet synced."""

    def __init__(self, directory: Path, last_batch: int) -> None:
        log = Log(directory, segment_size=SEGMENT)
        rng = Random(3)
        self.path = directory / "log.1"
        self.synced: Records = []
        for zxid in range(1, 21):
            self.synced.append((zxid, rng.randbytes(rng.randrange(90))))
            log.append(*self.synced[-1])
            if zxid % 3 == 0:
                log.sync()
        log.sync()
        self.start = log.size
        self.before = self.path.read_bytes()
        self.last = [(zxid, rng.randbytes(rng.randrange(90))) for zxid in range(21, 21 + last_batch)]
        for record in self.last:
            log.append(*record)
        log.sync()
        self.end = log.size
        self.after = self.path.read_bytes()
        log.close()

    def opens_with_all_that_was_synced(self, data: bytes) -> None:
        """Open a log of these bytes: no record synced is missing, and it goes on and reopens."""
        self.path.write_bytes(data)
        log = Log(self.path.parent)
        found = list(log.read())
        assert found in (self.synced, self.synced + self.last)
        log.append(99, b"next")
        log.sync()
        log.close()
        log = Log(self.path.parent)
        assert (log.cut, list(log.read())) == (0, [*found, (99, b"next")])
        log.close()


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    return Tail(tmp_path, last_batch=4)


@pytest.fixture(scope="module")
def long_tail(tmp_path_factory: pytest.TempPathFactory) -> Tail:
    return Tail(tmp_path_factory.mktemp("log"), last_batch=60)


def test_the_last_batch_may_end_at_any_byte(tail: Tail) -> None:
    for end in range(tail.start, tail.end + 1):
        tail.opens_with_all_that_was_synced(tail.after[:end] + tail.before[end:])


def test_what_is_cut_is_told_and_gone(tail: Tail) -> None:
    torn = bytearray(tail.after)
    torn[tail.start : tail.start + 8] = bytes(8)
    tail.path.write_bytes(torn)
    log = Log(tail.path.parent)
    assert tail.end - 8 <= tail.start + log.cut <= tail.end
    assert log.last_zxid == 20
    assert tail.path.read_bytes() == tail.before


@given(
    kept=st.lists(st.booleans(), min_size=9, max_size=9),
    garbage=st.none() | st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sectors_of_the_last_batch_may_be_missing(
    long_tail: Tail, kept: list[bool], garbage: Random | None
) -> None:
    image = bytearray(long_tail.after)
    for number, keep in enumerate(kept):
        at = max(long_tail.start // SECTOR * SECTOR + number * SECTOR, long_tail.start)
        until = min(at // SECTOR * SECTOR + SECTOR, long_tail.end)
        if not keep and at < until:
            image[at:until] = garbage.randbytes(until - at) if garbage else long_tail.before[at:until]
    long_tail.opens_with_all_that_was_synced(bytes(image))


def test_every_frame_of_a_large_batch_may_be_missing_by_itself(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append(1, b"synced")
    log.sync()
    for zxid in (2, 3, 4):
        log.append(zxid, bytes([zxid]) * (900 << 10))
    log.sync()
    log.close()
    whole = (tmp_path / "log.1").read_bytes()
    for lost in (2, 3, 4):
        image = bytearray(whole)
        image[whole.index(bytes([lost]) * 64) + 5000] ^= 1
        (tmp_path / "log.1").write_bytes(image)
        log = Log(tmp_path)
        assert [zxid for zxid, _ in log.read()] == list(range(1, lost))
        assert log.cut > 800 << 10
        log.close()


def damaged_by(tail: Tail, damage: Callable[[bytearray, int], None], at: int) -> None:
    image = bytearray(tail.after)
    damage(image, at)
    tail.path.write_bytes(image)
    with pytest.raises(LogDamaged, match=r"log\.1: damaged at offset \d+, with records behind it"):
        Log(tail.path.parent)
    assert tail.path.read_bytes() == bytes(image)


def flip(image: bytearray, at: int) -> None:
    image[at] ^= 1 << at % 8


def wipe(image: bytearray, at: int) -> None:
    image[at : at + 40] = bytes(40)


@pytest.mark.parametrize("damage", [flip, wipe])
def test_damage_before_the_last_batch_stops_the_log(
    tail: Tail, damage: Callable[[bytearray, int], None]
) -> None:
    padding = {at for at in range(START, tail.start) if tail.after[at] == 0}
    for at in range(START, tail.start - 40, 7):
        if at not in padding:
            damaged_by(tail, damage, at)


def test_a_damaged_header_stops_the_log(tail: Tail) -> None:
    for at in range(32):
        image = bytearray(tail.after)
        image[at] ^= 4
        tail.path.write_bytes(image)
        with pytest.raises(LogDamaged, match=r"log\.1: "):
            Log(tail.path.parent)


@pytest.mark.parametrize("where", [START, START + 700])
def test_damage_in_an_older_segment_stops_the_reader(tmp_path: Path, where: int) -> None:
    log = Log(tmp_path, segment_size=2048)
    for zxid in range(1, 40):
        log.append(zxid, b"x" * 50)
        log.sync()
    image = bytearray((tmp_path / "log.1").read_bytes())
    flip(image, where)
    (tmp_path / "log.1").write_bytes(image)
    with pytest.raises(LogDamaged, match=r"log\.1: damaged at offset \d+: ends with 0x\d+, not 0x10"):
        list(log.read())
    assert len(list(log.read(20))) == 19


def test_bytes_of_a_client_are_never_taken_for_records(tmp_path: Path) -> None:
    """Payloads full of whole frames, in a torn batch: not a sign of damage, for they bear another mark."""
    (tmp_path / "a").mkdir()
    other = Tail(tmp_path / "a", last_batch=60)
    (tmp_path / "b").mkdir()
    tail = Tail(tmp_path / "b", last_batch=1)
    log = Log(tmp_path / "b")
    for shift in range(8):
        log.append(31 + shift, bytes(shift) + other.after[START : other.start])
    log.sync()
    log.close()
    image = bytearray(tail.path.read_bytes())
    image[tail.end] ^= 1
    tail.path.write_bytes(image)
    log = Log(tmp_path / "b")
    assert log.last_zxid == 21
    assert log.cut > 8000
