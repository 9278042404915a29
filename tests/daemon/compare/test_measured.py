"""How latencies, costs and gaps are counted, and lost writes found."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from znoded.daemon.compare.check import verdict
from znoded.daemon.compare.faults import Timeline
from znoded.daemon.compare.generator import Created, Told
from znoded.daemon.compare.latency import Latencies
from znoded.daemon.compare.numbers import Costs, anonymous, cpu, monitored
from znoded.daemon.compare.results import Verdict

MNTR = "zk_version\t3.9.3\nzk_server_state\tleader\nzk_peer_sent_messages\t40\nzk_avg_fsynctime\t0.5\n"


class TestLatencies:
    def test_percentiles_are_right_to_a_few_percent(self) -> None:
        latencies = Latencies()
        for number in range(1, 1001):
            latencies.add(number / 1000, 1)
        for part in (0.1, 0.5, 0.99):
            assert latencies.percentile(part) == pytest.approx(part, rel=0.03)

    def test_those_of_two_loads_can_be_taken_together(self) -> None:
        quick, slow = Latencies([(100, 3)]), Latencies([(100, 1), (300, 4)])
        quick.merge(slow)
        assert quick.items() == [(100, 4), (300, 4)]
        assert [part for _, part in quick.distribution()] == [0.5, 1.0]

    def test_what_took_no_time_counts(self) -> None:
        latencies = Latencies()
        latencies.add(0.0, 2)
        assert latencies.total == 2

    def test_none_at_all_is_zero(self) -> None:
        assert Latencies().percentile(0.5) == 0


class TestCosts:
    def test_of_a_write_since_before(self) -> None:
        before = Costs(100.0, 1000.0, 10.0, None, 1.0)
        after = Costs(300.0, 9000.0, 60.0, None, 3.0)
        assert after.since(before, 100) == Costs(2.0, 80.0, 0.5, None, 0.02)

    def test_mntr_s_numbers_are_found_and_its_words_passed_over(self) -> None:
        assert monitored(MNTR) == {"zk_peer_sent_messages": 40, "zk_avg_fsynctime": 0.5}

    def test_memory_that_maps_no_file(self) -> None:
        assert anonymous("Name:\tpython\nVmRSS:\t 900 kB\nRssAnon:\t 20 kB\n") == 20480

    def test_a_process_s_name_can_hold_what_it_likes(self) -> None:
        fields = " ".join(["S", *("0" for _ in range(10)), "300", "100", "9"])
        assert cpu(f"42 (a) b) {fields}") == 400 / os.sysconf("SC_CLK_TCK")


class Load:
    """Tells of acknowledged writes: all at once, then of no more."""

    def __init__(self, acks: Sequence[tuple[float, float, int]]) -> None:
        self._lines: list[Told] = [{"acks": list(acks)}]

    def heard(self, seconds: float = 0.0) -> Told:
        return self._lines.pop() if self._lines else Told()


def timeline(*acks: tuple[float, float, int]) -> Timeline:
    made = Timeline(Load(acks))
    assert made.until(0.0, float("inf"))
    return made


class TestTimeline:
    def test_the_gap_is_the_longest_pause_after_the_fault(self) -> None:
        made = timeline((1.0, 1.9, 10), (5.0, 5.1, 10), (5.2, 5.4, 1), (6.4, 7.0, 1))
        assert made.gap(5.05, 7.0) == pytest.approx(1.0)

    def test_an_answer_on_its_way_when_the_fault_came_does_not_end_the_gap(self) -> None:
        assert timeline((4.0, 5.01, 1), (7.0, 8.0, 1)).gap(5.0, 8.0) == pytest.approx(1.99)

    def test_silence_at_the_end_counts(self) -> None:
        assert timeline((1.0, 2.0, 1)).gap(1.5, 9.0) == pytest.approx(7.0)

    def test_what_came_later_does_not(self) -> None:
        assert timeline((1.0, 2.0, 1), (2.5, 2.6, 1), (9.0, 9.5, 1)).gap(1.5, 3.0) == pytest.approx(0.5)

    def test_the_series_has_a_point_for_every_while(self) -> None:
        made = timeline((9.91, 9.92, 2), (10.06, 10.07, 5))
        assert made.series(10.0, 9.9, 10.1) == [
            (pytest.approx(-0.1), pytest.approx(40)),
            (pytest.approx(-0.05), 0),
            (0, 0),
            (pytest.approx(0.05), pytest.approx(100)),
        ]
        assert len(made.series(10.0, 9.9, 10.14)) == 4


class TestVerdict:
    """One client sent numbers 0 to 9; 0 to 3 and 6 to 7 were acknowledged."""

    CREATED: Sequence[Created] = [{"sent": 10, "acked": [(0, 3), (6, 7)]}]
    HELD = frozenset({0, 1, 2, 3, 6, 7})

    def judged(self, *servers: frozenset[int]) -> Verdict:
        return verdict(self.CREATED, [[set(server)] for server in servers])

    def test_all_is_well(self) -> None:
        assert self.judged(self.HELD, self.HELD) == Verdict(6, 0, 0, 0)

    def test_what_was_never_acknowledged_may_be_there(self) -> None:
        assert self.judged(self.HELD | {5, 9}, self.HELD | {5, 9}).good

    def test_what_one_server_lacks_is_lost(self) -> None:
        judged = self.judged(self.HELD, self.HELD - {2})
        assert (judged.lost, judged.differing, judged.good) == (1, 1, False)

    def test_what_all_lack_is_lost(self) -> None:
        judged = self.judged(self.HELD - {7}, self.HELD - {7})
        assert (judged.lost, judged.differing, judged.good) == (1, 0, False)

    def test_servers_must_agree_on_what_nobody_was_told_of(self) -> None:
        judged = self.judged(self.HELD | {5}, self.HELD)
        assert (judged.lost, judged.differing, judged.good) == (0, 1, False)

    def test_what_nobody_sent_is_invented(self) -> None:
        judged = self.judged(self.HELD | {10}, self.HELD | {10})
        assert (judged.invented, judged.good) == (1, False)
