"""No power cut takes what a whole process acknowledged: from the log, from LMDB, or from between them."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from random import Random

import lmdb
import pytest

from znoded.storage.log import Log

from .log_and_lmdb import KEYS, MAP, value
from .power_cut import Said, Step, images, read_trace, start_recorded

WRITES = 40
SCRIPT = Path(__file__).with_name("log_and_lmdb.py")


@pytest.fixture(scope="module")
def steps(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    directory = tmp_path_factory.mktemp("recorded")
    watch, trace = directory / "data", directory / "trace"
    watch.mkdir()
    process = start_recorded(
        [sys.executable, SCRIPT, watch, str(WRITES)], recorder, watch, trace, stdout=subprocess.PIPE
    )
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.endswith(b"synced %d\n" % WRITES)
    return read_trace(trace)


def acknowledged(steps: list[Step]) -> list[dict[str, int]]:
    """For each number of steps done, the last zxid said of each kind."""
    last: dict[str, int] = {}
    found = [last]
    for step in steps:
        if isinstance(step, Said):
            what, zxid = step.data.decode().split()
            last = last | {what: int(zxid)}
        found.append(last)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_every_step_of_a_process_may_be_the_last(steps: list[Step], tmp_path: Path, seed: int) -> None:
    said = acknowledged(steps)
    numbers = count()
    for done, image in images(steps, lambda done: 1, Random(seed)):
        target = tmp_path / f"{next(numbers)}"
        image.write(target)
        log = Log(target / "log")
        if "flushed" not in said[done]:
            continue
        applied = applied_zxid(target / "lmdb")
        assert applied in (said[done]["flushed"], said[done]["flushed"] + 7)
        records = list(log.read(applied))
        log.close()
        last = max(applied, records[-1][0] if records else 0)
        assert last in (said[done].get("synced", 0), said[done].get("synced", 0) + 1)
        assert records == [(zxid, value(zxid, 0)) for zxid in range(applied + 1, last + 1)]


def applied_zxid(directory: Path) -> int:
    """The last transaction that LMDB holds, the whole of it; and it takes another."""
    env = lmdb.open(str(directory), map_size=MAP)
    with env.begin(write=True) as txn:
        applied = int(txn.get(b"applied", b"-1"))
        assert [txn.get(b"%d" % key) for key in range(KEYS)] == [value(applied, key) for key in range(KEYS)]
        txn.put(b"applied", b"%d" % (applied + 1))
    env.close()
    return applied
