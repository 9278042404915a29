"""What the core wants done: handed to its driver after every input."""

from __future__ import annotations

from dataclasses import dataclass, field

from .messages import Message, Record, Tail


@dataclass(frozen=True, slots=True)
class Promises:
    """What must survive a crash besides the log (ZooKeeper's acceptedEpoch and currentEpoch)."""

    accepted: int = 0
    """The highest epoch promised to a leader."""
    current: int = 0
    """The epoch whose beginning the log holds."""
    tails: tuple[Tail, ...] = ()
    """Of the log, as History has them."""
    cluster: bytes = bytes(16)
    """Whose data these are. A server without data makes one up, and takes that of its first leader."""


@dataclass(slots=True)
class Ready:
    """To be done in the order of the fields; each is done before the next one begins, but the records
    appended are on disk only when the core is told so."""

    notes: list[str] = field(default_factory=list)
    """What whoever runs the server should know."""
    truncate: int | None = None
    """Drop the log's records beyond this zxid, durably."""
    restore: int | None = None
    """The snapshot that came aside, as of this zxid, replaces state and log, durably."""
    promises: Promises | None = None
    """To be made durable at once; not earlier: they tell what is in the log."""
    append: list[Record] = field(default_factory=list)
    """Into the log. Tell synced() when they are on disk."""
    messages: list[tuple[int, Message]] = field(default_factory=list)
    """(to, message), to be sent in this order; lost where there is no connection."""
    read: list[tuple[int, int]] = field(default_factory=list)
    """(learner, after): tell records() what the log holds beyond after."""
    snapshots: list[int] = field(default_factory=list)
    """Learners that need a snapshot sent aside, in place of one that is under way to them. Tell
    snapshot_sent() when that is done."""
    own: list[tuple[int, int]] = field(default_factory=list)
    """(zxid, number) of transactions that this server's clients proposed."""
    refused: list[int] = field(default_factory=list)
    """Numbers of those that were not taken and never will be."""
    barriers: list[tuple[int, int]] = field(default_factory=list)
    """(number, zxid): a barrier is passed once this zxid is applied; zxid -1: it can't be had."""
    drop: list[int] = field(default_factory=list)
    """Peers whose connection is to be closed."""

    def __bool__(self) -> bool:
        return bool(
            self.append
            or self.notes
            or self.messages
            or self.own
            or self.promises is not None
            or self.truncate is not None
            or self.restore is not None
            or self.read
            or self.snapshots
            or self.refused
            or self.barriers
            or self.drop
        )
