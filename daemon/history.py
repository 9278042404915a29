"""Samples of the last minutes, for who looks at the server only when something is wrong already."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from time import monotonic
from typing import Final, TypeAlias

from ..api.admin.view import Interval, Sample
from .server import WRITES, Server
from .stats import BOUNDS, Histogram

PERIOD: Final = 2.0
"""Seconds between two samples."""
KEPT: Final = 300
"""Samples: ten minutes."""

_Counted: TypeAlias = tuple[Sequence[int], float]
"""A histogram's counts by bucket, and its seconds."""
_NONE: Final = [0] * (len(BOUNDS) + 1)


class History:
    """The last samples of a server, oldest first, bounded."""

    def __init__(self, server: Server, clock: Callable[[], float] = monotonic) -> None:
        """clock: seconds, as stats.started has them."""
        self._server = server
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._taken = clock()
        self._counts = self._now()

    @property
    def samples(self) -> Sequence[Sample]:
        """Oldest first."""
        return self._samples

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await asyncio.sleep(PERIOD)
            self.sample()

    def sample(self) -> None:
        """Note how it is now, and what came since the last time."""
        server, before, now = self._server, self._counts, self._clock()
        seconds = max(now - self._taken, 0.001)
        self._taken, self._counts = now, self._now()
        reads, writes, syncs = map(_between, before, self._counts, repeat(seconds))
        self._samples.append(
            Sample(
                uptime=int((now - server.stats.started) * 1000),
                reads=reads,
                writes=writes,
                syncs=syncs,
                outstanding=server.outstanding,
                connections=len(server.connections),
                sessions=len(server.state.sessions),
                watches=server.watches.count,
                znodes=server.state.node_count + 1,  # as ZooKeeper counts: it has the root under two names
            )
        )

    def _now(self) -> tuple[_Counted, ...]:
        stats = self._server.stats
        reads = [histogram for (_, op), histogram in stats.latencies.items() if op not in WRITES]
        writes = [histogram for (_, op), histogram in stats.latencies.items() if op in WRITES]
        return _sum(reads), _sum(writes), _sum([stats.sync_latency])


def _sum(histograms: Sequence[Histogram]) -> _Counted:
    counts = [sum(column) for column in zip(_NONE, *(each.counts for each in histograms), strict=True)]
    return counts, sum(each.total for each in histograms)


def _between(before: _Counted, now: _Counted, seconds: float) -> Interval:
    gained = [more - less for more, less in zip(now[0], before[0], strict=True)]
    count = sum(gained)
    if not count:
        return Interval(0.0, 0.0, 0.0)
    mean = (now[1] - before[1]) / count
    return Interval(round(count / seconds, 2), round(1000 * mean, 3), round(1000 * _p99(gained), 3))


def _p99(counts: Sequence[int]) -> float:
    """Within a bucket, as if its values lay evenly: Prometheus' histogram_quantile."""
    wanted = 0.99 * sum(counts)
    low = 0.0
    for count, high in zip(counts, BOUNDS, strict=False):
        if count >= wanted:
            return low + (high - low) * wanted / count
        wanted -= count
        low = high
    return low
