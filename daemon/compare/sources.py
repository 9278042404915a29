"""Where a client's requests come from: sets and reads that are timed, creates that are kept count of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import wire
from .latency import Latencies

_GRAIN: Final = 0.01
"""Seconds whose acknowledgements are told as one."""


class Measured:
    """Requests that repeat themselves, and how long their answers took, while they are counted."""

    def __init__(self, frames: list[bytes], latencies: Latencies) -> None:
        self._frames = frames * 2
        self._period = len(frames)
        self._at = 0
        self._latencies = latencies
        self.counting = False
        self.all = 0
        self.errors = 0

    def take(self, count: int) -> bytes:
        at = self._at
        self._at = (at + count) % self._period
        return b"".join(self._frames[at : at + count])

    def answered(self, count: int, failed: int, sent: float, now: float) -> None:
        self.all += count
        self.errors += failed
        if self.counting:
            self._latencies.add(now - sent, count)

    def lost(self, count: int) -> None:
        self.errors += count


class Creator:
    """Znodes with numbers for names, below a parent of the client's own; which are acknowledged."""

    def __init__(self, parent: bytes, size: int, acknowledged: Callable[[int, float], None]) -> None:
        self.parent = parent
        self.next = 0
        self.acked: list[list[int]] = []
        """[first, last] of each stretch of them."""
        self._value = bytes(size)
        self._oldest = 0
        self._acknowledged = acknowledged

    def take(self, count: int) -> bytes:
        first, self.next = self.next, self.next + count
        create, parent, value = wire.create, self.parent, self._value
        return b"".join([create(b"%b/%d" % (parent, number), value) for number in range(first, self.next)])

    def answered(self, count: int, failed: int, sent: float, now: float) -> None:
        first, self._oldest = self._oldest, self._oldest + count
        if good := count - failed:
            if self.acked and self.acked[-1][1] == first - 1:
                self.acked[-1][1] = first + good - 1
            else:
                self.acked.append([first, first + good - 1])
            self._acknowledged(good, now)

    def lost(self, count: int) -> None:
        self._oldest += count


class Timeline:
    """When writes were acknowledged: [first, last, writes] of each short while."""

    def __init__(self) -> None:
        self._spans: list[list[float]] = []

    def acknowledged(self, count: int, now: float) -> None:
        spans = self._spans
        if spans and now - spans[-1][0] < _GRAIN:
            spans[-1][1] = now
            spans[-1][2] += count
        else:
            spans.append([now, now, count])

    def taken(self) -> list[list[float]]:
        """What is new."""
        spans, self._spans = self._spans, []
        return spans
