"""The log's tail, and its delivery to the replica above, as far as it is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from ..contract import Entry, Replica
from .messages import Record
from .waiters import Waiters

_STEP: Final = 1000
"""Entries that are applied at a time."""


class Delivery:
    """Of a log that the replica holds up to its applied_zxid (abdeliver in ZAB's papers)."""

    def __init__(self, replica: Replica, waiters: Waiters) -> None:
        self._replica = replica
        self._waiters = waiters
        self._tail: deque[Record] = deque()

    @property
    def lag(self) -> int:
        """So many transactions are in the log, and not delivered yet."""
        return len(self._tail)

    def append(self, records: Iterable[Record]) -> None:
        """Into the log."""
        self._tail.extend(records)

    def truncate(self, after: int) -> None:
        """Off the log."""
        while self._tail and self._tail[-1][0] > after:
            self._tail.pop()

    def clear(self) -> None:
        """The replica has another state, with a log of its own."""
        self._tail.clear()

    def beyond(self, zxid: int) -> list[Record]:
        """What is not delivered yet."""
        return [record for record in self._tail if record[0] > zxid]

    def deliver(self, committed: int) -> None:
        """Go on up to that zxid, and pass the barriers on the way."""
        tail, waiters = self._tail, self._waiters
        while tail and tail[0][0] <= committed:
            entries: list[Entry] = []
            while tail and tail[0][0] <= committed and len(entries) < _STEP:
                zxid, txn = tail.popleft()
                entries.append((zxid, txn, waiters.of(zxid)))
            self._replica.apply(entries)
        passed = waiters.reached(self._replica.applied_zxid)
        if passed:
            self._replica.reached(passed)
