"""What one server of an ensemble holds in every role: its log's shape, its promises, what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ..ensemble import TICK, Ensemble
from .history import History, epoch_of
from .messages import Message, Record, Tail
from .ready import Promises, Ready

_SETTLE: Final = 3
"""Ticks to wait for better votes: what a majority knows by then is what a later vote could add to."""
_REACH: Final = 75
"""Ticks until a new leader must be connected: longer than the channel's pause between two tries."""


class Phase(Enum):
    """How far a leadership has come."""

    DISCOVERY = "discovery"
    SYNCHRONIZATION = "synchronization"
    BROADCAST = "broadcast"


@dataclass(frozen=True, slots=True)
class Limits:
    """In ticks of the core."""

    init: int
    """For a learner to be brought up to date, and for a leader to get a majority (initLimit)."""
    sync: int
    """For a sign of life (syncLimit)."""
    reach: int
    """For a connection to a new leader to stand."""
    ping: int
    """Between a leader's pings."""
    settle: int
    """For better votes, once a majority agrees (finalizeWait)."""
    zxids: int = (1 << 32) - 1
    """So many an epoch has, not in ticks."""

    @classmethod
    def of(cls, ensemble: Ensemble) -> Limits:
        """Those that its configuration means."""
        return cls(
            init=round(ensemble.init_limit / TICK),
            sync=round(ensemble.sync_limit / TICK),
            ping=max(1, round(min(0.5, ensemble.sync_limit / 8) / TICK)),
            reach=_REACH,
            settle=_SETTLE,
        )


def majority(count: int, voters: frozenset[int]) -> bool:
    """Whether so many of the voters are more than half."""
    return 2 * count > len(voters)


class Server:
    """synced: the last zxid on this disk. commit: the last known to be committed; applied up to
    committed. log_begins: a learner is brought up to date by what the log holds beyond this zxid, or else
    by a snapshot."""

    def __init__(
        self,
        me: int,
        voters: frozenset[int],
        limits: Limits,
        promises: Promises,
        *,
        begins: int,
        last: int,
        applied: int,
    ) -> None:
        """last: the log's last zxid, begins: the one behind which it begins; both on disk. applied: in
        the state already."""
        self.me = me
        self.voters = voters
        self.limits = limits
        # A backup has the records of an epoch, but not the promise that came before them.
        self.promises = replace(promises, accepted=max(promises.accepted, epoch_of(last)))
        self.log_begins = begins
        self.synced = last
        self.commit = applied
        self.ready = Ready()
        self.history = History(promises.tails)
        self.history.truncate(last)
        if last > self.history.last:
            self.history.append(last)

    @property
    def committed(self) -> int:
        """So far the log may be applied: committed, and on this disk."""
        return min(self.commit, self.synced)

    def send(self, to: int, message: Message) -> None:
        """Behind what is promised so far."""
        self.ready.messages.append((to, message))

    def note(self, what: str) -> None:
        """For whoever runs the server."""
        self.ready.notes.append(what)

    def promise(
        self, *, accepted: int | None = None, current: int | None = None, cluster: bytes | None = None
    ) -> None:
        """To be on disk before any message that follows leaves."""
        self.promises = replace(
            self.promises,
            accepted=self.promises.accepted if accepted is None else accepted,
            current=self.promises.current if current is None else current,
            tails=self.history.tails,
            cluster=self.promises.cluster if cluster is None else cluster,
        )
        self.ready.promises = self.promises

    def append(self, records: list[Record]) -> None:
        """Into the log, behind its last record."""
        for zxid, _ in records:
            if self.history.append(zxid):
                self.promise()
        self.ready.append.extend(records)

    def truncate(self, after: int) -> None:
        """Drop the log's records beyond after."""
        assert after >= self.commit, f"what is committed up to {self.commit:#x} can't be cut at {after:#x}"
        self.history.truncate(after)
        self.synced = min(self.synced, after)
        self.ready.truncate = after
        self.ready.append = [record for record in self.ready.append if record[0] <= after]

    def restore(self, zxid: int, tails: tuple[Tail, ...]) -> None:
        """A snapshot replaces log and state."""
        self.history = History(tails)
        self.history.truncate(zxid)
        self.log_begins = self.synced = zxid
        self.commit = max(self.commit, zxid)
        self.ready.restore = zxid
        self.ready.append.clear()
        self.promise()
