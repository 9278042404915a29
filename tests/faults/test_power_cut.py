"""The model of a power cut itself: what it may lose, and what it must keep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from .power_cut import (
    Disk,
    Image,
    MadeDirectory,
    Opened,
    Removed,
    Renamed,
    Resized,
    Said,
    Step,
    Synced,
    SyncedRange,
    Written,
    read_trace,
    start_recorded,
)

ROOT = Synced("", 0)
MADE: list[Step] = [Opened("f", 1, created=True), Synced("f", 1), ROOT]


def outcomes(*steps: Step, draws: int = 300) -> set[tuple[tuple[str, bytes], ...]]:
    """Every set of files that a cut after these steps was seen to leave."""
    disk = Disk()
    for step in steps:
        disk.apply(step)
    return {contents(disk.cut(Random(seed))) for seed in range(draws)}


def contents(image: Image) -> tuple[tuple[str, bytes], ...]:
    found = []
    for path, (size, sectors) in sorted(image.files.items()):
        last = max(sectors, default=-1) + 1
        data = b"".join(sectors.get(number, bytes(512)) for number in range(last))
        found.append((path, data[:size] + bytes(max(0, size - len(data)))))
    return tuple(found)


def test_what_was_synced_stays() -> None:
    assert outcomes(*MADE, Written(1, 0, b"data"), Synced("f", 1)) == {(("f", b"data"),)}


def test_an_unsynced_write_may_be_lost_or_kept_and_so_may_its_size() -> None:
    seen = outcomes(*MADE, Written(1, 0, b"data"))
    assert seen == {(("f", b""),), (("f", b"data"),), (("f", bytes(4)),)}


def test_sectors_are_kept_each_by_itself() -> None:
    base = [*MADE, Written(1, 0, b"a" * 1536), Synced("f", 1)]
    seen = {files[0][1] for files in outcomes(*base, Written(1, 500, b"b" * 1000))}
    first, second, third = b"a" * 500 + b"b" * 12, b"b" * 512, b"b" * 476 + b"a" * 36
    old = b"a" * 512
    assert seen == {x + y + z for x in (old, first) for y in (old, second) for z in (old, third)}


def test_a_write_with_o_dsync_stays_and_says_nothing_of_others() -> None:
    base = [*MADE, Resized(1, 2048), Synced("f", 1)]
    writes = [Written(1, 0, b"x"), Written(1, 1024, b"y")]
    assert len(outcomes(*base, *writes)) == 4
    seen = {files[0][1] for files in outcomes(*base, *writes, SyncedRange(1, 1024, 1))}
    tail = bytes(1023) + b"y" + bytes(1023)
    assert seen == {b"x" + tail, b"\0" + tail}


def test_a_name_needs_its_directory_synced() -> None:
    made = Opened("f", 1, created=True)
    assert outcomes(made, Synced("f", 1)) == {(), (("f", b""),)}
    assert outcomes(*MADE, Removed("f")) == {(), (("f", b""),)}
    assert outcomes(*MADE, Removed("f"), ROOT) == {()}


def test_a_rename_happens_or_does_not() -> None:
    steps = [*MADE, Written(1, 0, b"x"), Synced("f", 1), Renamed("f", "g")]
    assert outcomes(*steps) == {(("f", b"x"),), (("g", b"x"),)}
    assert outcomes(*steps, ROOT) == {(("g", b"x"),)}


def test_files_of_a_lost_directory_are_lost() -> None:
    steps: list[Step] = [MadeDirectory("d"), Opened("d/f", 1, created=True), Synced("d/f", 1), Synced("d", 2)]
    assert outcomes(*steps) == {(), (("d/f", b""),)}
    assert outcomes(*steps, ROOT) == {(("d/f", b""),)}


def test_what_was_cut_off_does_not_come_back_once_synced() -> None:
    steps = [*MADE, Written(1, 0, b"abcdef"), Synced("f", 1), Resized(1, 2), Resized(1, 6), Synced("f", 1)]
    assert outcomes(*steps) == {(("f", b"ab\0\0\0\0"),)}


SCRIPT = """
import os
fd = os.open("a", os.O_RDWR | os.O_CREAT)
os.write(fd, b"one"); os.write(fd, b"two"); os.pwrite(fd, b"x", 1); os.pwritev(fd, [b"p", b"q"], 100)
os.posix_fallocate(fd, 0, 4096); os.ftruncate(fd, 200); os.fdatasync(fd)
os.close(fd)
os.mkdir("d"); os.rename("a", "d/b")
directory = os.open("d", os.O_RDONLY); os.fsync(directory)
fd = os.open("d/b", os.O_WRONLY | os.O_DSYNC | os.O_APPEND); os.write(fd, b"end"); os.close(fd)
os.write(1, b"done")
with open("c", "w") as file: file.write("python")
os.unlink("c")
"""


def record(script: str, recorder: Path, directory: Path) -> tuple[list[Step], bytes]:
    """What a Python script does in directory / "data", and what it says."""
    watch, trace = directory / "data", directory / "trace"
    watch.mkdir()
    command = [sys.executable, "-c", f"import os; os.chdir({str(watch)!r})\n{script}"]
    process = start_recorded(command, recorder, watch, trace, stdout=subprocess.PIPE)
    output, _ = process.communicate()
    assert process.returncode == 0
    return read_trace(trace), output


def test_a_process_is_recorded_step_by_step(recorder: Path, tmp_path: Path) -> None:
    steps, output = record(SCRIPT, recorder, tmp_path)
    assert output == b"done"
    disk = Disk()
    for step in steps[: steps.index(Said(1, b"done"))]:
        disk.apply(step)
    disk.apply(ROOT)
    real = b"oxetwo" + bytes(94) + b"pq" + bytes(98) + b"end"
    assert {contents(disk.cut(Random(seed))) for seed in range(30)} == {(("d/b", real),)}
    assert (tmp_path / "data/d/b").read_bytes() == real


@pytest.mark.parametrize(
    ("call", "script"),
    [
        ("mmap for writing", "import mmap; f = open('m', 'wb+'); f.truncate(9); mmap.mmap(f.fileno(), 9)"),
        ("link", "open('l', 'w'); os.link('l', 'k')"),
    ],
)
def test_what_cannot_be_followed_is_refused(recorder: Path, tmp_path: Path, call: str, script: str) -> None:
    with pytest.raises(ValueError, match=f"{call} can't be rebuilt"):
        record(script, recorder, tmp_path)
