"""What a server counts: packets, latencies, response sizes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Final

from ..api.connection import NO_SIZE, Connection

log = logging.getLogger(__name__)


class Summary:
    """A measured quantity in whole units: count, total, extremes, percentiles.

    Values are kept as a histogram, so memory is bounded by the number of different values; those
    beyond the first thousand share the bucket of their power of two.
    """

    __slots__ = ("_least", "_values", "maximum", "total", "zeros")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As before the first value."""
        self._values: Counter[int] = Counter()
        self.zeros = self._least = self.total = self.maximum = 0

    def add(self, value: int, times: int = 1) -> None:
        """The quantity was measured, so many times with the same value."""
        if not value:
            self.zeros += times  # nearly always: milliseconds of what took less than one
            return
        if not self._least or value < self._least:
            self._least = value
        if value > self.maximum:
            self.maximum = value
        self.total += value * times
        self._values[value if value < 1000 else 1 << (value.bit_length() - 1)] += times

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.zeros + self._values.total()

    @property
    def minimum(self) -> int:
        """The least value; 0 without any."""
        return 0 if self.zeros else self._least

    def percentile(self, fraction: float) -> int:
        """The value that this fraction of all values does not exceed; 0 without any."""
        wanted = fraction * self.count - self.zeros
        if wanted <= 0:
            return 0
        for value in sorted(self._values):
            wanted -= self._values[value]
            if wanted <= 0:
                return value
        return self.maximum


BOUNDS: Final[tuple[float, ...]] = (
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Seconds, up to which the buckets of a Histogram reach."""


class Histogram:
    """How long things took, in buckets that never change: what Prometheus adds up over servers and time."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        """By bucket, each without those below it; the last is for what took longer than all bounds."""
        self.total = 0.0
        """Seconds."""

    @property
    def bounds(self) -> Sequence[float]:
        """Seconds: the most that counts into each bucket but the last."""
        return BOUNDS

    def add(self, seconds: float, times: int = 1) -> None:
        """It took so long, so many times."""
        at = 0
        for bound in BOUNDS:  # nearly always among the first: quicker than to call bisect
            if seconds <= bound:
                break
            at += 1
        self.counts[at] += times
        self.total += seconds * times


class Stats:
    """A server's counters since its start or the last reset; histograms are never reset.

    Packets are counted by each connection; here is what connections that are gone had counted.
    """

    def __init__(self, slow_sync: int) -> None:
        """slow_sync: milliseconds from which a sync of the log is worth a warning."""
        self._slow_sync = slow_sync
        self.started = monotonic()
        self.auth_failed = 0
        self.latencies: dict[tuple[str, int], Histogram] = {}
        """By dialect and operation (storage.ops): from a request's arrival to its answer."""
        self.sync_latency = Histogram()
        self.quorum_latency = Histogram()
        """Of batches, from the leader's proposal until a majority has them."""
        self.proposal_latency = Histogram()
        """Of batches proposed on this server, from then until they are applied here."""
        self._latency, self._op, self._dialect = Histogram(), 0, ""
        self._reply_sizes: tuple[int, int, int] = (NO_SIZE, NO_SIZE, NO_SIZE)
        self.reset(())

    def reset(self, connections: Iterable[Connection]) -> None:
        """Zero everything, without touching what the connections count for themselves."""
        self.counters: Counter[str] = Counter()
        self.quotas_exceeded: Counter[str] = Counter()
        self.reads = Summary()
        self.updates = Summary()
        self.syncs = Summary()
        self.elections = Summary()
        self.agreements = Summary()
        self.proposals = Summary()
        self.proposal_sizes: tuple[int, int, int] = (NO_SIZE, NO_SIZE, NO_SIZE)
        """The last, smallest and largest transaction's bytes while this server led; NO_SIZE before."""
        self.slow_syncs = 0
        self._received = -sum(connection.packets_received for connection in connections)
        self._sent = -sum(connection.packets_sent for connection in connections)
        self._reply_sizes = (NO_SIZE, NO_SIZE, NO_SIZE)

    def synced(self, seconds: float) -> None:
        """A sync of the log took so long."""
        self.sync_latency.add(seconds)
        taken = int(seconds * 1000)
        self.syncs.add(taken)
        if taken > self._slow_sync:
            self.slow_syncs += 1
            log.warning("syncing the log took %d ms: the disk decides how quick writes are", taken)

    def looking(self) -> None:
        """This server has no leader any more."""
        self.counters["looking_count"] += 1

    def elected(self, seconds: float) -> None:
        """It has one, after so long without."""
        self.elections.add(int(seconds * 1000))

    def proposed(self, sizes: Sequence[int]) -> None:
        """As the leader, it has put transactions of so many bytes into their order."""
        self.counters["proposal_count"] += len(sizes)
        self.proposal_sizes = _both(self.proposal_sizes, (sizes[-1], min(sizes), max(sizes)))

    def agreed(self, seconds: float) -> None:
        """A majority had a batch of them after so long."""
        self.quorum_latency.add(seconds)
        self.agreements.add(int(seconds * 1000))

    def passed(self, seconds: float) -> None:
        """A batch of this server's clients was applied after so long."""
        self.proposal_latency.add(seconds)
        self.proposals.add(int(seconds * 1000))

    def answered(self, dialect: str, op: int, seconds: float, times: int) -> None:
        """So many requests of an operation, of one connection, took so long."""
        if op != self._op or dialect is not self._dialect:  # most often it is as the last
            self._op, self._dialect = op, dialect
            histogram = self.latencies.get((dialect, op))
            if histogram is None:
                histogram = self.latencies[dialect, op] = Histogram()
            self._latency = histogram
        self._latency.add(seconds, times)

    def left(self, connection: Connection) -> None:
        """A connection is gone, or about to forget what it counted."""
        self._received += connection.packets_received
        self._sent += connection.packets_sent
        self._reply_sizes = _both(self._reply_sizes, connection.reply_sizes)

    def packets(self, connections: Iterable[Connection]) -> tuple[int, int]:
        """Received and sent, with those of the connections that are there."""
        received, sent = self._received, self._sent
        for connection in connections:
            received += connection.packets_received
            sent += connection.packets_sent
        return received, sent

    def reply_sizes(self, connections: Iterable[Connection]) -> tuple[int, int, int]:
        """The last, smallest and largest answer's bytes; -1 before the first."""
        sizes = self._reply_sizes
        for connection in connections:
            sizes = _both(sizes, connection.reply_sizes)
        return sizes


def _both(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    if one[0] == NO_SIZE or other[0] == NO_SIZE:
        return max(one, other)
    return other[0], min(one[1], other[1]), max(one[2], other[2])
