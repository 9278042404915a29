"""What a server counts: packets, latencies, response sizes."""

from __future__ import annotations

from collections import Counter


class Summary:
    """A measured quantity in whole units: count, total, extremes, percentiles.

    Values are kept as a histogram, so memory is bounded by the number of different values; those
    beyond the first thousand share the bucket of their power of two.
    """

    __slots__ = ("_values", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As before the first value."""
        self._values: Counter[int] = Counter()
        self.count = self.total = self.minimum = self.maximum = 0

    def add(self, value: int, times: int = 1) -> None:
        """The quantity was measured, so many times with the same value."""
        if not self.count or value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.count += times
        self.total += value * times
        self._values[value if value < 1000 else 1 << (value.bit_length() - 1)] += times

    def percentile(self, fraction: float) -> int:
        """The value that this fraction of all values does not exceed; 0 without any."""
        wanted = fraction * self.count
        for value in sorted(self._values):
            wanted -= self._values[value]
            if wanted <= 0:
                return value
        return 0


class Stats:
    """A server's counters since its start or the last reset."""

    __slots__ = ("auth_failed", "closed", "counters", "reads", "updates")

    def __init__(self) -> None:
        self.auth_failed = 0
        self.reset()

    def reset(self) -> None:
        """Zero everything but what belongs to connections."""
        self.counters: Counter[str] = Counter()
        self.reads = Summary()
        self.updates = Summary()
