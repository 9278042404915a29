"""What a simulated server's crash leaves: promises, a state, and a log without what was not synced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random
from typing import Final

from znoded.consensus.raft.command import records_of
from znoded.consensus.raft.keeper import Keeper, Promises
from znoded.storage.log import LogGap

_INDEX: Final = 8
"""Bytes of a record before its command."""
_SEGMENT: Final = 4
"""Records of a segment."""


class SimLog:
    """As storage.log.Log, in memory; segments have few records."""

    def __init__(self) -> None:
        self.begins = 0
        self.needed = sys.maxsize
        self.records: dict[int, bytes] = {}
        self.waiting: dict[int, bytes] = {}
        self.txns: dict[int, tuple[bytes, int]] = {}
        """By zxid, those of records and of what waits: and the key of the record that has it."""

    @property
    def first_zxid(self) -> int:
        return self.begins + 1

    @property
    def durable_zxid(self) -> int:
        return next(reversed(self.records), self.begins)

    @property
    def last_zxid(self) -> int:
        return next(reversed(self.waiting), self.durable_zxid)

    @property
    def starts(self) -> list[int]:
        return [self.begins + 1, *[key + 1 for key in [*self.records][_SEGMENT - 1 : -1 : _SEGMENT]]]

    def append(self, zxid: int, payload: bytes) -> None:
        assert zxid > self.last_zxid
        self.waiting[zxid] = payload
        for at, txn in _txns(zxid, payload):
            self.txns[at] = txn, zxid

    def sync(self) -> None:
        self.records |= self.waiting
        self.waiting.clear()

    def crash(self, random: Random) -> None:
        kept = random.randrange(len(self.waiting) + 1)
        self.records |= list(self.waiting.items())[:kept]
        self.waiting.clear()
        self._index()

    def read(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        if after < self.begins:
            raise LogGap(f"the log begins after {self.begins:#x}, not {after:#x}")
        return iter([(key, payload) for key, payload in self.records.items() if key > after])

    def truncate(self, after: int) -> None:
        assert after >= self.begins
        self.sync()
        self.records = {key: payload for key, payload in self.records.items() if key <= after}
        self._index()

    def restart(self, after: int) -> None:
        self.records.clear()
        self.waiting.clear()
        self.txns.clear()
        self.begins = after

    def drop(self, before: int) -> None:
        while len(starts := self.starts) > 1 and starts[1] - 1 < min(before, self.needed + 1):
            self.begins = starts[1] - 1
            self.records = {key: payload for key, payload in self.records.items() if key > self.begins}
        self._index()

    def _index(self) -> None:
        every = {**self.records, **self.waiting}.items()
        self.txns = {at: (txn, key) for key, payload in every for at, txn in _txns(key, payload)}


def _txns(key: int, payload: bytes) -> list[tuple[int, bytes]]:
    return records_of(payload[_INDEX:], key)


class SimKeeper(Keeper):
    """As Keeper, in memory."""

    def __init__(self, cluster: bytes) -> None:
        self.promises = Promises(cluster=cluster)

    @property
    def fresh(self) -> bool:  # type: ignore[override]
        return self.promises.term == 0 and not self.promises.bases

    def save(self, promises: Promises) -> None:
        self.promises = promises


class Disk:
    """flushed: the engine's state: every transaction in it, in order. restoring: it is a snapshot's, and the
    log may not be behind it yet."""

    def __init__(self, sid: int) -> None:
        self.log = SimLog()
        self.keeper = SimKeeper(sid.to_bytes(16))
        self.flushed: dict[int, bytes] = {}
        self.restoring = False
