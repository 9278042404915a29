"""What the servers of a Raft ensemble say to each other, as values.

The first five are the library's own, in an envelope: it numbers no append, and puts no term on its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Entry: TypeAlias = tuple[bytes, int, int]
"""(command, index, term): an entry of the log, as the library wants it."""


@dataclass(frozen=True, slots=True)
class Append:
    """Entries that follow the one at prev, and how far the leader's log is committed (AppendEntries)."""

    term: int
    round: int
    """Counts what the leader has sent; the answer repeats it."""
    commit: int
    prev: int
    prev_term: int
    entries: tuple[Entry, ...]
    cluster: bytes
    """To whose ensemble the leader's data belongs."""


@dataclass(frozen=True, slots=True)
class Next:
    """The answer to an append. success: what lies before next is on the sender's disk, and the leader's.
    reset: go on from next, however much was sent."""

    term: int
    """The sender's: an answer to an earlier leadership counts for nothing."""
    round: int
    next: int
    reset: bool
    success: bool


@dataclass(frozen=True, slots=True)
class AskVote:
    """The sender would lead that term; where its log ends (RequestVote)."""

    term: int
    last: int
    last_term: int


@dataclass(frozen=True, slots=True)
class Vote:
    """The sender's vote for that term is the receiver's."""

    term: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """The leader would have the receiver lead in its place."""

    term: int


@dataclass(frozen=True, slots=True)
class Forward:
    """Transactions that clients of the sender want ordered, numbered one by one from first on in that run
    of the sender."""

    run: int
    first: int
    txns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """So many of the transactions that the receiver forwarded, from first on, were not taken and never will
    be."""

    run: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class AskBarrier:
    """The sender wants to know how far it must have applied."""

    number: int


@dataclass(frozen=True, slots=True)
class Barrier:
    """All that was committed before the question comes no later than this zxid, as a majority confirms."""

    number: int
    zxid: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """The leader of that term wants to know whether it still is."""

    term: int
    round: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The sender knows of no later term; an answer to every such question up to that round."""

    term: int
    round: int


@dataclass(frozen=True, slots=True)
class Canvass:
    """The sender has lost its leader; where its log ends. Who has none either would vote for it?"""

    round: int
    last: int
    last_term: int


@dataclass(frozen=True, slots=True)
class Supported:
    """The sender would, as of that round."""

    round: int


@dataclass(frozen=True, slots=True)
class Install:
    """The state as of zxid has been sent aside, and replaces what the receiver has; the log goes on behind
    the entry of that key, index and term, the last one that is wholly in it."""

    term: int
    zxid: int
    key: int
    index: int
    entry_term: int
    cluster: bytes


Message: TypeAlias = (
    Append
    | Next
    | AskVote
    | Vote
    | TimeoutNow
    | Forward
    | Refused
    | AskBarrier
    | Barrier
    | Confirm
    | Confirmed
    | Install
    | Canvass
    | Supported
)
