"""The samples that the live page draws: what each interval brought, whatever was reset meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.api.view import Interval
from znoded.daemon.history import KEPT, History

from .core import Clock, Core

NOTHING = Interval(0.0, 0.0, 0, 0)


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
    core.stats.reads.add(500, 1000)
    core.sample()
    core.stats.reads.zeros += 7  # as the core counts most reads
    core.stats.reads.add(3, 2)
    core.stats.reads.add(4)
    core.stats.updates.add(9)
    core.sample()
    last = core.history.samples[-1]
    assert last.reads == Interval(rate=5.0, mean=1.0, p99=4, most=4)
    assert last.writes == Interval(rate=0.5, mean=9.0, p99=9, most=9)
    assert last.syncs == NOTHING


def test_rates_are_by_the_time_that_passed(core: Watched) -> None:
    core.stats.synced(0.005)
    core.sample(4.0)
    (sample,) = core.history.samples
    assert (sample.uptime, sample.syncs) == (4000, Interval(0.25, 5.0, 5, 5))


def test_a_few_slow_ones_among_many_are_beyond_the_99th_percentile(core: Watched) -> None:
    core.stats.reads.add(1, 99)
    core.stats.reads.add(80)
    core.sample()
    assert core.history.samples[-1].reads[2:] == (1, 80)


def test_after_a_reset_all_that_is_counted_is_new(core: Watched) -> None:
    core.stats.reads.add(1, 1000)
    core.stats.updates.add(1, 1000)
    core.sample()
    core.stats.reset(())
    core.stats.reads.add(1, 10)
    core.sample()
    assert core.history.samples[-1].reads == Interval(5.0, 1.0, 1, 1)
    assert core.history.samples[-1].writes == NOTHING


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
