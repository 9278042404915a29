"""A power cut during the very first start leaves what the next start can go on with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from znoded.storage.engine import open_engine

from .power_cut import Disk, Image, Said, Step, Synced, images, read_trace, start_recorded

DATA = "made/data"
SCRIPT = f"""
import os, sys
from pathlib import Path
from znoded.storage.engine import open_engine
engine = open_engine("lmdb", Path(sys.argv[1], {DATA!r}))
engine.commit({{b"key": b"value"}})
os.write(1, b"committed")
"""
COMMITTED = Said(1, b"committed")


def start(recorder: Path, watch: Path) -> list[Step]:
    """What a start does to the files below watch, up to its first commit."""
    trace = watch.with_suffix(".trace")
    command = [sys.executable, "-c", SCRIPT, str(watch)]
    process = start_recorded(command, recorder, watch, trace, stdout=subprocess.PIPE)
    output, _ = process.communicate()
    assert (process.returncode, output) == (0, COMMITTED.data)
    return read_trace(trace)


@pytest.fixture(scope="module")
def steps(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    watch = tmp_path_factory.mktemp("first") / "start"
    watch.mkdir()
    return start(recorder, watch)


def opens(image: Image, target: Path, *, committed: bool) -> None:
    """The store opens from the image, holds what was committed, and takes more."""
    image.write(target)
    with closing(open_engine("lmdb", target / DATA)) as engine:
        found = dict(engine.scan(b""))
        assert found == {b"key": b"value"} or (found == {} and not committed)
        engine.commit({b"key": b"other"})
        engine.refresh()
        assert dict(engine.scan(b"")) == {b"key": b"other"}
    shutil.rmtree(target)


def test_every_step_of_a_first_start_may_be_the_last(steps: list[Step], tmp_path: Path) -> None:
    committed = steps.index(COMMITTED)
    for done, image in images(steps, lambda done: 8, Random(1)):
        opens(image, tmp_path / "cut", committed=done > committed)


@pytest.mark.parametrize("killed", [False, True])
def test_the_next_start_may_be_cut_as_well(
    steps: list[Step], recorder: Path, tmp_path: Path, killed: bool
) -> None:
    rng = Random(2)
    disk = Disk()
    for number, (step, following) in enumerate(pairwise(steps)):
        disk.apply(step)
        if not isinstance(following, Synced):
            continue
        # What a kill leaves is all there, and as far from the disk as before.
        start_from = disk if killed else Disk(disk.cut(rng))
        watch = tmp_path / f"{number}"
        start_from.cut(rng, keep=1.0).write(watch)
        later = start(recorder, watch)
        committed = later.index(COMMITTED)
        cuts = Counter([*range(len(later)), *[len(later)] * 8])
        for done, image in images(later, cuts.__getitem__, rng, start_from):
            opens(image, tmp_path / "cut", committed=done > committed)
