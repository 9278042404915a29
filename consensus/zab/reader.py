"""Reads the log for learners that lag, a piece at a time; each is read on from where it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from ...storage.log import Log, LogDamaged, LogGap
from .messages import Record

_PIECE: Final = 256 << 10
"""Bytes that are read at a time."""

log = logging.getLogger(__name__)


class Reader:
    """Of what is on disk."""

    def __init__(self, txn_log: Log) -> None:
        self._log = txn_log
        self._readers: dict[int, tuple[int, Iterator[Record]]] = {}
        """By learner: (the zxid of the last record read, those that follow)."""

    def read(self, learner: int, after: int) -> list[Record] | None:
        """The next records beyond after; none, if none is on disk; None, if they are there no longer."""
        at, records = self._readers.pop(learner, (-1, iter(())))
        found: list[Record] = []
        size = 0
        for again in (False, True):
            if again or at != after:
                if after < self._log.first_zxid - 1:
                    return None
                records = self._log.read(after)
            try:
                for record in records:
                    found.append(record)
                    size += len(record[1])
                    if size >= _PIECE:
                        break
            except LogGap:
                return None
            except (LogDamaged, OSError) as error:
                log.error("server %d needs a snapshot, because the log can't be read: %s", learner, error)
                return None
            if found:
                self._readers[learner] = found[-1][0], records
                break
        return found

    def forget(self, learner: int) -> None:
        """It is gone."""
        self._readers.pop(learner, None)

    def forget_all(self) -> None:
        """The log is to be another one."""
        self._readers.clear()
