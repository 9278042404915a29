"""What a leader keeps for the streams to its learners: how far each has come, and the latest records."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from .messages import Record, Tail

_KEPT: Final = 8 << 20
"""Bytes of records that are kept in memory; older ones are read from the log."""
_BATCH: Final = 256 << 10


@dataclass(slots=True)
class Learner:
    """A follower or observer, as its leader sees it."""

    link: int
    accepted: int
    heard: int
    """Ticks since it was."""
    promised: bool = False
    answered: int = 0
    """The epoch of its last ACKEPOCH."""
    last: int = 0
    tails: tuple[Tail, ...] = ()
    cluster: bytes = b""
    streaming: bool = False
    """next is known: the stream runs."""
    awaiting: bool = False
    """A snapshot comes before it."""
    fetching: bool = False
    next: int = 0
    """The last zxid sent."""
    acked: int = 0
    told: int = 0
    """The commit that it was told last."""
    announced: bool = False
    """NEWLEADER is sent."""
    joined: bool = False
    """And acknowledged."""
    serving: bool = False
    """UPTODATE is sent."""
    sent: deque[tuple[int, int]] = field(default_factory=deque)
    """(zxid, bytes) under way."""
    under_way: int = 0
    own: deque[tuple[int, int]] = field(default_factory=deque)
    """(zxid, number) of its own transactions that are not sent yet."""
    ponged: int = 0


class Recent:
    """The latest records that the leader has proposed: all beyond the zxid after."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._records: deque[Record] = deque()
        self._size = 0

    def add(self, records: list[Record]) -> None:
        """They follow on those there are; the oldest may have to make room."""
        for record in records:
            self._records.append(record)
            self._size += len(record[1])
        while self._size > _KEPT:
            self.after, txn = self._records.popleft()
            self._size -= len(txn)

    def beyond(self, zxid: int) -> list[Record]:
        """Those that follow zxid, which is not before after: a batch of them."""
        beyond: list[Record] = []
        for record in reversed(self._records):
            if record[0] <= zxid:
                break
            beyond.append(record)
        beyond.reverse()
        size = 0
        for at, record in enumerate(beyond):
            size += len(record[1])
            if size > _BATCH:
                return beyond[: at + 1]
        return beyond
