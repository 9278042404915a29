"""What a server counts of its requests: how long each kind took, by dialect."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.api.admin.metrics import OPERATIONS
from znoded.daemon.server import WRITES
from znoded.daemon.stats import BOUNDS, Histogram, Stats
from znoded.storage import ops
from znoded.storage.jute import pack_buffer
from znoded.storage.reads import Reads

from .core import GET, SET, Core, Ear, patch_clock


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    return Core(tmp_path, patch_clock(monkeypatch), {})


@pytest.fixture
def client(core: Core) -> Ear:
    client = core.client()
    client.create(b"/a")
    core.steps.commit()
    core.server.stats = Stats(1000)
    return client


def taken(core: Core, op: int) -> dict[float, int]:
    """How many requests of an operation were answered, by the bound of their bucket."""
    histogram = core.server.stats.latencies["spoken", op]
    return {bound: count for bound, count in zip(BOUNDS, histogram.counts, strict=False) if count}


class TestHistogram:
    @pytest.mark.parametrize("at", range(len(BOUNDS)))
    def test_a_bucket_reaches_up_to_its_bound(self, at: int) -> None:
        histogram = Histogram()
        histogram.add(BOUNDS[at])
        histogram.add(BOUNDS[at] * 1.001, 2)
        assert histogram.counts[at : at + 2] == [1, 2]
        assert sum(histogram.counts) == 3

    def test_the_total_is_that_of_all(self) -> None:
        histogram = Histogram()
        histogram.add(0.25, 4)
        histogram.add(100.0)
        assert histogram.total == 101.0

    def test_the_bounds_rise(self) -> None:
        assert list(BOUNDS) == sorted(set(BOUNDS))


class TestRequests:
    def test_each_operation_of_one_read_is_counted_for_itself(self, core: Core, client: Ear) -> None:
        client.heard = core.clock()
        for op in (GET, GET, ops.EXISTS, GET):
            client.request(op, pack_buffer(b"/a") + b"\0")
        core.clock.now += 0.002
        core.server.settle(client, 4, 100)
        assert taken(core, GET) == {2.5e-3: 3}
        assert taken(core, ops.EXISTS) == {2.5e-3: 1}
        assert core.server.stats.reads.count == 4

    def test_reads_of_the_next_read_are_not_mixed_with_them(self, core: Core, client: Ear) -> None:
        client.get(b"/a")
        client.ask(ops.EXISTS, pack_buffer(b"/a") + b"\0")
        client.get(b"/a")
        assert (taken(core, GET), taken(core, ops.EXISTS)) == ({50e-6: 2}, {50e-6: 1})

    def test_an_error_is_an_answer_too(self, core: Core, client: Ear) -> None:
        client.get(b"/nothing")
        client.set(b"/nothing", b"")
        core.steps.commit()
        assert (taken(core, GET), taken(core, SET)) == ({50e-6: 1}, {50e-6: 1})

    def test_writes_that_are_applied_together(self, core: Core, client: Ear) -> None:
        other = core.client()
        client.set(b"/a", b"1")
        client.set(b"/a", b"2")
        client.create(b"/b")
        core.clock.now += 0.004
        other.set(b"/a", b"3")
        core.clock.now += 0.004
        core.steps.commit()
        assert taken(core, SET) == {5e-3: 1, 10e-3: 2}
        assert taken(core, ops.CREATE) == {10e-3: 1}
        assert (client.latency_count, other.latency_count) == (4, 1)  # the first made /a

    def test_a_read_behind_a_write_took_as_long_as_both(self, core: Core, client: Ear) -> None:
        client.set(b"/a", b"1")
        core.clock.now += 0.02
        client.get(b"/a")
        client.get(b"/a")
        core.clock.now += 0.02
        core.steps.commit()
        assert taken(core, SET) == {50e-3: 1}
        assert taken(core, GET) == {25e-3: 2}

    def test_a_write_behind_a_sync_is_measured_from_its_arrival(self, core: Core, client: Ear) -> None:
        client.sync()
        core.clock.now += 0.3
        client.set(b"/a", b"1")
        core.clock.now += 0.3
        core.steps.confirm()
        core.steps.commit()
        assert taken(core, ops.SYNC) == {1.0: 1}
        assert taken(core, SET) == {0.5: 1}

    def test_a_refused_write_is_not_answered(self, core: Core, client: Ear) -> None:
        client.set(b"/a", b"1")
        core.steps.drop()
        assert not core.server.stats.latencies

    def test_each_dialect_is_counted_for_itself(self, core: Core, client: Ear) -> None:
        class Other(Ear):
            dialect = "another"

        other = Other(core)
        assert core.server.accept(other) is None
        for ear in (client, other, client):
            ear.get(b"/a")
        latencies = core.server.stats.latencies
        assert {key: sum(histogram.counts) for key, histogram in latencies.items()} == {
            ("spoken", GET): 2,
            ("another", GET): 1,
        }


def test_every_operation_that_is_measured_has_a_name_of_its_own(core: Core) -> None:
    assert OPERATIONS.keys() == {*Reads(core.state, core.server.watches).handlers, *WRITES, ops.SYNC}
    assert len(set(OPERATIONS.values())) == len(OPERATIONS)


def test_a_reset_leaves_histograms_alone() -> None:
    stats = Stats(1000)
    stats.synced(0.003)
    stats.answered("spoken", GET, 0.003, 2)
    stats.reset(())
    assert sum(stats.sync_latency.counts) == 1
    assert sum(stats.latencies["spoken", GET].counts) == 2
    stats.answered("spoken", GET, 0.003, 1)
    assert sum(stats.latencies["spoken", GET].counts) == 3
