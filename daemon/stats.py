"""What a server counts: packets, latencies, response sizes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from time import monotonic

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


class Stats:
    """A server's counters since its start or the last reset.

    Packets are counted by each connection; here is what connections that are gone had counted.
    """

    def __init__(self, slow_sync: int) -> None:
        """slow_sync: milliseconds from which a sync of the log is worth a warning."""
        self._slow_sync = slow_sync
        self.started = monotonic()
        self.auth_failed = 0
        self._reply_sizes: tuple[int, int, int] = (NO_SIZE, NO_SIZE, NO_SIZE)
        self.reset(())

    def reset(self, connections: Iterable[Connection]) -> None:
        """Zero everything, without touching what the connections count for themselves."""
        self.counters: Counter[str] = Counter()
        self.quotas_exceeded: Counter[str] = Counter()
        self.reads = Summary()
        self.updates = Summary()
        self.syncs = Summary()
        self.slow_syncs = 0
        self._received = -sum(connection.packets_received for connection in connections)
        self._sent = -sum(connection.packets_sent for connection in connections)
        self._reply_sizes = (NO_SIZE, NO_SIZE, NO_SIZE)

    def synced(self, seconds: float) -> None:
        """A sync of the log took so long."""
        taken = int(seconds * 1000)
        self.syncs.add(taken)
        if taken > self._slow_sync:
            self.slow_syncs += 1
            log.warning("syncing the log took %d ms: the disk decides how quick writes are", taken)

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
