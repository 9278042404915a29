"""Samples of the last minutes, for who looks at the server only when something is wrong already."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from ..api.view import Interval, Sample
from .server import Server

PERIOD: Final = 2.0
"""Seconds between two samples."""
KEPT: Final = 300
"""Samples: ten minutes."""


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
        reads, writes, syncs = (_between(*both, seconds) for both in zip(before, self._counts, strict=True))
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

    def _now(self) -> tuple[Mapping[int, int], ...]:
        stats = self._server.stats
        return stats.reads.counts(), stats.updates.counts(), stats.syncs.counts()


def _between(before: Mapping[int, int], now: Mapping[int, int], seconds: float) -> Interval:
    """What (value → how often) gained. Where anything got less, it was reset: then all of it is new."""
    if any(now.get(value, 0) < times for value, times in before.items()):
        before = {}
    gained = {value: more for value, times in now.items() if (more := times - before.get(value, 0))}
    count = sum(gained.values())
    if not count:
        return Interval(0.0, 0.0, 0, 0)
    mean = sum(value * times for value, times in gained.items()) / count
    return Interval(round(count / seconds, 2), round(mean, 3), _percentile(gained, 0.99 * count), max(gained))


def _percentile(counts: Mapping[int, int], wanted: float) -> int:
    for value in sorted(counts):
        wanted -= counts[value]
        if wanted <= 0:
            return value
    return max(counts)
