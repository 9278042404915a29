"""Bugs to plant around the core, of kinds that real servers had, to see that they are found.

Not into its classes: where those are compiled, nothing can take the place of a method.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final
from unittest import mock

from znoded.consensus.zab.messages import AckEpoch, AckNewLeader, Message, NewLeader, Propose, Record

from ..told import Piece
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
    hear = Node.hear_of_sync

    def alone(self: Node) -> None:
        hear(self)
        if self.core is not None and self.core.leader is not None and self.core.leader.serving:
            self.core.server.commit = max(self.core.server.commit, self.core.server.synced)
            self.work()

    return mock.patch.object(Node, "hear_of_sync", alone)


def _wrong_point() -> AbstractContextManager[object]:
    receive = Node.receive

    def late(self: Node, origin: int, message: Message | Piece) -> None:
        """A learner seems to hold one record more than it does, and takes what does not follow on its log."""
        if isinstance(message, AckEpoch) and message.tails:
            epoch, zxid = message.tails[-1]
            message = replace(message, tails=(*message.tails[:-1], (epoch, zxid + 1)))
        elif isinstance(message, Propose) and self.core is not None and not self.steps:
            message = replace(message, after=self.core.server.history.last)
        receive(self, origin, message)

    return mock.patch.object(Node, "receive", late)


def _early_service() -> AbstractContextManager[object]:
    receive = Node.receive

    def early(self: Node, origin: int, message: Message | Piece) -> None:
        """One learner's acknowledgement of the epoch's beginning counts for all."""
        if isinstance(message, AckNewLeader) and self.core is not None and self.core.leader is not None:
            for sid, learner in list(self.core.leader.learners.items()):
                receive(self, sid, replace(message, link=learner.link))
        receive(self, origin, message)

    return mock.patch.object(Node, "receive", early)


def _epoch_before_log() -> AbstractContextManager[object]:
    receive = Node.receive

    def hasty(self: Node, origin: int, message: Message | Piece) -> None:
        """The current epoch is saved before the log that it claims is on disk (ZOOKEEPER-4643)."""
        if isinstance(message, NewLeader) and not self.steps:
            self.keep(replace(self.disk.promises, current=message.epoch))
        receive(self, origin, message)

    return mock.patch.object(Node, "receive", hasty)


def _stale_sync() -> AbstractContextManager[object]:
    truncate = Node.truncate

    def forgetful(self: Node, after: int) -> None:
        """The core hears that something is on disk after it was cut off again."""
        self.sync()
        stale = self.disk.last
        truncate(self, after)
        self.told_as = stale

    return mock.patch.object(Node, "truncate", forgetful)


FAULTS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "ack-before-sync": _ack_before_sync,
    "no-truncation": _no_truncation,
    "forgotten-promises": _forgotten_promises,
    "no-majority": _no_majority,
    "wrong-point": _wrong_point,
    "early-service": _early_service,
    "epoch-before-log": _epoch_before_log,
    "stale-sync": _stale_sync,
}
"""What makes each: it is there within the context."""

RARE: Final = {"epoch-before-log": 1666}
"""Seeds near which those are found that need several things to go wrong in turn."""

STUCK: Final = frozenset(("forgotten-promises", "stale-sync"))
"""Those which may leave an ensemble that gets nowhere, before they break a law."""
