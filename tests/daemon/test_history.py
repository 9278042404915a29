"""The samples that the live page draws: what each interval brought, whatever was reset meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.api.admin.view import Interval
from znoded.daemon.history import KEPT, History
from znoded.storage import ops

from .core import Clock, Core

NOTHING = Interval(0.0, 0.0, 0.0)


class Watched(Core):
    """A server with a history, sampled by hand."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Clock(), {})
        self.stats = self.server.stats
        self.stats.started = self.clock()
        self.history = History(self.server, self.clock)

    def sample(self, seconds: float = 2.0) -> None:
        self.clock.now += seconds
        self.history.sample()


@pytest.fixture
def core(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_nothing_is_known_before_the_first_interval_ends(core: Watched) -> None:
    assert list(core.history.samples) == []


def test_a_sample_has_what_came_since_the_one_before(core: Watched) -> None:
    core.stats.answered("zookeeper", ops.GET_DATA, 5.0, 1000)
    core.sample()
    core.stats.answered("zookeeper", ops.GET_DATA, 0.001, 7)
    core.stats.answered("http", ops.EXISTS, 0.002, 3)
    core.stats.answered("http", ops.SET_DATA, 0.004, 1)
    core.sample()
    last = core.history.samples[-1]
    assert last.reads[:2] == (5.0, 1.3)
    assert last.writes[:2] == (0.5, 4.0)
    assert last.syncs == NOTHING


def test_rates_are_by_the_time_that_passed(core: Watched) -> None:
    core.stats.synced(0.005)
    core.sample(4.0)
    (sample,) = core.history.samples
    assert (sample.uptime, sample.syncs[:2]) == (4000, (0.25, 5.0))


@pytest.mark.parametrize(
    ("slow", "p99"),
    [(0, 0.0495), (1, 0.05), (2, 75.0), (100, 99.5)],
)
def test_the_99th_percentile_is_found_in_its_bucket(core: Watched, slow: int, p99: float) -> None:
    core.stats.answered("zookeeper", ops.GET_DATA, 40e-6, 100 - slow)
    core.stats.answered("zookeeper", ops.GET_DATA, 80e-3, slow)
    core.sample()
    assert core.history.samples[-1].reads.p99 == pytest.approx(p99, abs=0.001)


def test_what_takes_longer_than_any_bucket_is_the_last_bound(core: Watched) -> None:
    core.stats.answered("zookeeper", ops.SET_DATA, 60.0, 1)
    core.sample()
    assert core.history.samples[-1].writes == Interval(0.5, 60_000.0, 10_000.0)


def test_a_reset_takes_nothing_away(core: Watched) -> None:
    core.stats.answered("zookeeper", ops.GET_DATA, 0.001, 1000)
    core.sample()
    core.stats.reset(())
    core.stats.answered("zookeeper", ops.GET_DATA, 0.001, 10)
    core.sample()
    assert core.history.samples[-1].reads[:2] == (5.0, 1.0)


def test_the_oldest_samples_go(core: Watched) -> None:
    for _ in range(KEPT + 3):
        core.sample()
    uptimes = [sample.uptime for sample in core.history.samples]
    assert (len(uptimes), uptimes[0], uptimes[-1]) == (KEPT, 4 * 2000, (KEPT + 3) * 2000)


def test_a_sample_tells_how_it_is(core: Watched) -> None:
    ear = core.client()
    ear.get(b"/", watch=True)
    core.sample()
    sample = core.history.samples[-1]
    assert (sample.sessions, sample.connections, sample.watches, sample.outstanding) == (1, 1, 1, 0)
    assert sample.znodes == core.state.node_count + 1
