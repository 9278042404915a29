"""The latest records that a leader has sent, in memory; older ones are read from the log."""

from __future__ import annotations

from collections import deque
from typing import Final

from .messages import Record

_KEPT: Final = 8 << 20
"""Bytes of records that are kept."""
_BATCH: Final = 256 << 10


class Recent:
    """All beyond the zxid after."""

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

    def beyond(self, zxid: int) -> tuple[Record, ...]:
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
                return tuple(beyond[: at + 1])
        return tuple(beyond)
