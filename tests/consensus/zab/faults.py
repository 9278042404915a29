"""Bugs to plant into the core or its disk, of kinds that real servers had, to see that they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final
from unittest import mock

from znoded.consensus.zab.history import History, epoch_of
from znoded.consensus.zab.leader import Leader
from znoded.consensus.zab.messages import Record, Tail
from znoded.consensus.zab.server import Phase

from .node import Node


def _ack_before_sync() -> AbstractContextManager[object]:
    append = Node.append

    def hasty(self: Node, records: list[Record]) -> None:
        append(self, records)
        if records and self.core is not None:
            self.core.synced(records[-1][0])

    return mock.patch.object(Node, "append", hasty)


def _no_truncation() -> AbstractContextManager[object]:
    return mock.patch.object(Node, "truncate", lambda self, after: None)


def _forgotten_promises() -> AbstractContextManager[object]:
    return mock.patch.object(Node, "keep", lambda self, promises: None)


def _no_majority() -> AbstractContextManager[object]:
    def commit(self: Leader) -> None:
        server = self._server
        if self.phase is Phase.BROADCAST:
            server.commit = max(server.commit, server.synced)

    return mock.patch.object(Leader, "_commit", commit)


def _wrong_point() -> AbstractContextManager[object]:
    common = History.common

    def late(self: History, other: Iterable[Tail]) -> int:
        zxid = common(self, other)
        return zxid + 1 if zxid and epoch_of(self.last) == epoch_of(zxid) and zxid < self.last else zxid

    return mock.patch.object(History, "common", late)


FAULTS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "ack-before-sync": _ack_before_sync,
    "no-truncation": _no_truncation,
    "forgotten-promises": _forgotten_promises,
    "no-majority": _no_majority,
    "wrong-point": _wrong_point,
}
"""What makes each: it is there within the context."""
