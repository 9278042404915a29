"""The log's tail, and its delivery to the replica above, as far as it is committed: in slices."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from .contract import Entry, Record, Replica
from .waiters import Waiters

_SLICE: Final = 512 << 10
"""Work until others have their turn: some milliseconds of it, in bytes of transactions."""
_ENTRY: Final = 256
"""What a transaction counts for beyond its bytes."""


class Delivery:
    """Of a log that the replica holds up to its applied_zxid (abdeliver in ZAB's papers).

    reached: all up to that zxid is applied, though there may be no transaction that has it."""

    def __init__(self, replica: Replica, waiters: Waiters) -> None:
        self._replica = replica
        self._waiters = waiters
        self._tail: deque[Record] = deque()
        self.reached = 0
        self._fresh = 0
        """Work that has come since the last slice."""

    @property
    def lag(self) -> int:
        """So many transactions are in the log, and not delivered yet."""
        return len(self._tail)

    def begin(self, records: Iterable[Record]) -> None:
        """The log holds these beyond the replica's state, and no others."""
        self._tail = deque(records)
        self.reached = self._replica.applied_zxid
        self._fresh = 0

    def append(self, records: Sequence[Record]) -> None:
        """Into the log."""
        self._tail.extend(records)
        self._fresh += sum([len(txn) + _ENTRY for _, txn in records])

    def truncate(self, after: int) -> None:
        """Off the log."""
        while self._tail and self._tail[-1][0] > after:
            self._tail.pop()

    def beyond(self, zxid: int) -> list[Record]:
        """What is not delivered yet."""
        return [record for record in self._tail if record[0] > zxid]

    def deliver(self, committed: int) -> bool:
        """Go on up to that zxid, by a slice, and pass the barriers on the way; whether more is left.

        What has come meanwhile is work on top of the slice: so the tail shrinks, however much comes."""
        tail, waiters = self._tail, self._waiters
        work = _SLICE + self._fresh
        self._fresh = 0
        entries: list[Entry] = []
        while tail and tail[0][0] <= committed and work > 0:
            zxid, txn = tail.popleft()
            entries.append((zxid, txn, waiters.of(zxid)))
            work -= len(txn) + _ENTRY
        if entries:
            self._replica.apply(entries)
        left = bool(tail) and tail[0][0] <= committed
        self.reached = self._replica.applied_zxid
        if not left:
            self.reached = max(self.reached, committed)
        passed = waiters.reached(self.reached)
        if passed:
            self._replica.reached(passed)
        return left
