"""No power cut takes what the daemon acknowledged, whenever in its life it comes."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest

from znoded.storage.log import LogDamaged, LogGap
from znoded.storage.state import State
from znoded.storage.znode import data_of, stat_of

from .daemon_life import DATA, TXNS, Life, kept, opened
from .power_cut import Disk, MadeDirectory, Opened, Removed, Renamed, Said, Step, Synced, images

FOUND_OUT = (AssertionError, LogDamaged, LogGap, OSError)
"""How a loss shows."""


@pytest.fixture(scope="module")
def life(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(recorder, tmp_path_factory.mktemp("life"), seed=1, bursts=70)


def drawn(steps: list[Step], rng: Random, count: int) -> Callable[[int], int]:
    """Cuts at every change of a name (a start, a new segment, a dropped one), around it, and all over."""
    changes = [
        done
        for done, step in enumerate(steps, 1)
        if isinstance(step, MadeDirectory | Renamed | Removed) or (isinstance(step, Opened) and step.created)
    ]
    around = [done + rng.randrange(4) for done in changes]
    anywhere = rng.choices(range(1, len(steps) + 1), k=count)
    return Counter([*changes, *around, *anywhere]).__getitem__


def whole(state: State, life: Life, relied: int) -> None:
    """The state is that of some transaction, and of no earlier one than clients rely on."""
    assert state.zxid >= relied
    assert kept(state) == life.history[state.zxid]
    # The same once more by what clients know, without the state machine's help.
    for told in life.told:
        record = state.node(told.path)
        assert record is not None or state.zxid < min(told.sets)
        if record is not None:
            assert stat_of(record).version == bisect_right(told.sets, state.zxid)
    left, right = state.node(b"/left"), state.node(b"/right")
    assert (left and data_of(left)) == (right and data_of(right))


def survive(life: Life, steps: list[Step], target: Path, *, seed: int, cuts: int) -> None:
    """From whatever a cut leaves, a server starts with all that counts, flushes, and starts so again."""
    rng = Random(seed)
    for done, image in images(steps, drawn(steps, rng, cuts), rng, life.start):
        image.write(target)
        with opened(target) as (state, log):
            whole(state, life, life.relied[done])
            assert log.last_zxid == state.zxid
            state.table.engine.commit(state.freeze())
            state.table.flushed()
        with opened(target) as (state, log):
            assert kept(state) == life.history[log.last_zxid]
        rmtree(target)


def test_a_life_has_all_that_a_cut_may_hit(life: Life) -> None:
    made = [step.new for step in life.steps if isinstance(step, Renamed)]
    dropped = [step.path for step in life.steps if isinstance(step, Removed)]
    synced = [step.path for step in life.steps if isinstance(step, Synced)]
    assert len(life.records) > 500
    assert len([path for path in made if path.startswith(f"{TXNS}/log/")]) > 10
    assert len([path for path in dropped if path.startswith(f"{TXNS}/log/")]) > 5
    assert synced.count(f"{DATA}/lmdb/data.mdb") > 5


def test_every_step_of_a_daemon_s_life_may_be_the_last(life: Life, tmp_path: Path) -> None:
    survive(life, life.steps, tmp_path / "cut", seed=1, cuts=250)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("killed", [False, True])
def test_a_daemon_that_starts_after_an_end_by_force_may_be_cut_again(
    life: Life, recorder: Path, tmp_path: Path, killed: bool, seed: int
) -> None:
    rng = Random(seed)
    # At the worst moment: what was just done is not synced yet.
    syncs = [number for number, step in enumerate(life.steps) if isinstance(step, Synced)]
    done = rng.choice(syncs[len(syncs) // 2 :])
    disk = Disk()
    for step in life.steps[:done]:
        disk.apply(step)
    again = Life(
        recorder,
        tmp_path,
        seed=2 + seed,
        bursts=10,
        # What a kill leaves is all there, and as far from the disk as before.
        start=disk if killed else Disk(disk.cut(rng)),
        before=life.records,
        relied=life.relied[done],
    )
    survive(again, again.steps, tmp_path / "cut", seed=seed, cuts=50)


def test_a_log_that_is_not_synced_is_found_out(recorder: Path, tmp_path: Path) -> None:
    life = Life(recorder, tmp_path, seed=5, bursts=10, unsynced=True)
    with pytest.raises(FOUND_OUT):
        survive(life, life.steps, tmp_path / "cut", seed=5, cuts=100)


@pytest.mark.parametrize("path", ["", "srv", "srv/txns", TXNS, f"{TXNS}/log", DATA])
def test_a_directory_that_is_not_synced_is_found_out(life: Life, tmp_path: Path, path: str) -> None:
    steps = [Said(0, b"") if isinstance(step, Synced) and step.path == path else step for step in life.steps]
    with pytest.raises(FOUND_OUT):
        survive(life, steps, tmp_path / "cut", seed=6, cuts=100)
