"""No power cut takes a synced record from the log, whatever it was doing; recovery may be cut too."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random

import pytest

from znoded.storage.log import Log

from .power_cut import (
    Allocated,
    Disk,
    Image,
    MadeDirectory,
    Opened,
    Removed,
    Renamed,
    Step,
    Synced,
    SyncedRange,
    Written,
    images,
)

SEGMENT = 6144
Record = tuple[int, bytes]


@contextmanager
def recorded(root: Path) -> Iterator[list[Step]]:
    """What this process does to files below root, as far as the log does such things. Nothing is synced."""
    steps: list[Step] = []
    real_open, pwrite, allocate = os.open, os.pwrite, os.posix_fallocate
    synced: dict[int, bool] = {}
    rename, unlink, mkdir = os.rename, os.unlink, os.mkdir

    def relative(path: str | Path) -> str:
        return "" if Path(path) == root else str(Path(path).relative_to(root))

    def inode(fd: int) -> int:
        return os.fstat(fd).st_ino

    def recorded_open(path: str | Path, flags: int, mode: int = 0o777) -> int:
        existed = Path(path).exists()
        fd = real_open(path, flags & ~os.O_DSYNC, mode)
        synced[fd] = bool(flags & os.O_DSYNC)
        if Path(path).is_relative_to(root):
            created = bool(flags & os.O_CREAT) and not existed
            steps.append(Opened(relative(path), inode(fd), created, bool(flags & os.O_TRUNC)))
        return fd

    def recorded_pwrite(fd: int, data: bytes, at: int) -> int:
        written = pwrite(fd, data, at)
        steps.append(Written(inode(fd), at, bytes(data[:written])))
        if synced[fd]:
            steps.append(SyncedRange(inode(fd), at, written))
        return written

    def recorded_allocate(fd: int, at: int, length: int) -> None:
        allocate(fd, at, length)
        steps.append(Allocated(inode(fd), at + length))

    def recorded_sync(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_relative_to(root):
            steps.append(Synced(relative(path), inode(fd)))

    def recorded_rename(old: Path, new: Path) -> None:
        rename(old, new)
        steps.append(Renamed(relative(old), relative(new)))

    def recorded_unlink(path: Path) -> None:
        unlink(path)
        steps.append(Removed(relative(path)))

    def recorded_mkdir(path: Path, mode: int = 0o777) -> None:
        mkdir(path, mode)
        steps.append(MadeDirectory(relative(path)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", recorded_open)
        patch.setattr(os, "pwrite", recorded_pwrite)
        patch.setattr(os, "posix_fallocate", recorded_allocate)
        patch.setattr(os, "fsync", recorded_sync)
        patch.setattr(os, "fdatasync", recorded_sync)
        patch.setattr(os, "rename", recorded_rename)
        patch.setattr(os, "unlink", recorded_unlink)
        patch.setattr(os, "mkdir", recorded_mkdir)
        yield steps


class Life:
    """A log used at random; held[i] is what it held for certain after done[i] steps."""

    def __init__(self, root: Path, rng: Random, deeds: int) -> None:
        self.done = [0]
        self.held: list[list[Record]] = [[]]
        with recorded(root) as self.steps:
            log = Log(root / "log", segment_size=SEGMENT)
            for _ in range(deeds):
                log = self._deed(log, root, rng)
            log.close()

    def _deed(self, log: Log, root: Path, rng: Random) -> Log:
        held = self.held[-1]
        match rng.choices(["sync", "truncate", "drop", "reopen", "restart"], [12, 2, 1, 1, 1])[0]:
            case "sync":
                for _ in range(rng.choice((1, 1, 3, 20))):
                    record = (log.last_zxid + rng.choice((1, 1, 9)), rng.randbytes(rng.randrange(200)))
                    log.append(*record)
                    held = [*held, record]
                log.sync()
            case "truncate" if held:
                held = held[: rng.randrange(len(held)) + 1]
                log.truncate(held[-1][0])
            case "drop" if held:
                log.drop(rng.choice(held)[0])
                held = [record for record in held if record[0] >= log.first_zxid]
            case "restart":
                held = []
                log.restart(log.last_zxid + rng.choice((0, 5)))
            case _:
                log.close()
                log = Log(root / "log", segment_size=SEGMENT)
        self.done.append(len(self.steps))
        self.held.append(held)
        return log

    def bounds(self, done: int) -> tuple[list[Record], list[Record]]:
        """What must be there after a cut with so many steps done, and what may be."""
        before = max(i for i, start in enumerate(self.done) if start <= done)
        old, new = self.held[before], self.held[min(before + 1, len(self.held) - 1)]
        longer, shorter = (old, new) if len(old) >= len(new) else (new, old)
        return shorter, longer


def opened(directory: Path) -> tuple[Log, list[Record]]:
    log = Log(directory / "log", segment_size=SEGMENT)
    return log, list(log.read(log.first_zxid - 1))


def within(found: list[Record], bounds: tuple[list[Record], list[Record]]) -> bool:
    """Found is a stretch of what may be there, and all of what must be is in it."""
    must, may = bounds
    if not found:
        return not must
    first = may.index(found[0])
    return may[first : first + len(found)] == found and all(record in found for record in must)


def survives(image: Image, target: Path, bounds: tuple[list[Record], list[Record]]) -> list[Step]:
    """The log opens from the image, holds what it must, goes on, and opens again; what it did meanwhile."""
    image.write(target)
    with recorded(target) as steps:
        log, found = opened(target)
        assert within(found, bounds)
        recovery = len(steps)
        last = (log.last_zxid + 1, b"goes on")
        log.append(*last)
        log.sync()
        log.close()
        log, again = opened(target)
        assert (log.cut, again) == (0, [*found, last])
        log.close()
    return steps[:recovery]


@pytest.mark.parametrize("seed", range(4))
def test_every_step_of_a_log_s_life_may_be_the_last(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    (tmp_path / "life").mkdir()
    life = Life(tmp_path / "life", rng, deeds=40)
    numbers = count()
    for done, image in images(life.steps, lambda done: 2, rng):
        bounds = life.bounds(done)
        recovery = survives(image, tmp_path / f"{next(numbers)}", bounds)
        if done % 10 == 0:
            disk = Disk(image)
            for step in recovery:
                disk.apply(step)
                survives(disk.cut(rng), tmp_path / f"{next(numbers)}", bounds)


def test_a_log_that_began_anew_knows_where(tmp_path: Path) -> None:
    rng = Random(0)
    (tmp_path / "life").mkdir()
    with recorded(tmp_path / "life") as steps:
        log = Log(tmp_path / "life" / "log", segment_size=SEGMENT)
        for zxid in range(1, 50):
            log.append(zxid, bytes(200))
            log.sync()
        log.restart(40)
        restarted = len(steps)
        log.append(41, b"goes on")
        log.sync()
        log.close()
    cuts = [image for done, image in images(steps, lambda done: 4, rng) if done >= restarted]
    assert cuts
    for number, image in enumerate(cuts):
        image.write(tmp_path / f"{number}")
        log, found = opened(tmp_path / f"{number}")
        log.close()
        assert (log.first_zxid, found in ([], [(41, b"goes on")])) == (41, True)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_there_after_a_kill_is_on_disk_once_it_is_opened(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    (tmp_path / "life").mkdir()
    life = Life(tmp_path / "life", rng, deeds=40)
    disk = Disk()
    for done, step in enumerate(life.steps, 1):
        disk.apply(step)
        killed = tmp_path / f"{done}"
        disk.cut(rng, keep=1.0).write(killed)
        with recorded(killed) as steps:
            log, found = opened(killed)
            recovery = len(steps)
            last = (log.last_zxid + 1, b"goes on")
            log.append(*last)
            log.sync()
            log.close()
        # All that the kill left is as far from the disk as before.
        cuts = dict(images(steps, Counter((recovery, len(steps))).__getitem__, rng, disk))
        for number, held in ((recovery, found), (len(steps), [*found, last])):
            target = tmp_path / f"{done}-{number}"
            cuts[number].write(target)
            log, kept = opened(target)
            log.close()
            assert kept == held
