"""What the servers of an ensemble say to each other, as values.

Names follow ZooKeeper's Learner, Leader and FastLeaderElection. link is the number that a learner chose
for its present stay with a leader: what belongs to an earlier stay is ignored by both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..contract import Record as Record

Tail: TypeAlias = tuple[int, int]
"""(epoch, zxid of the last record of that epoch in a log)."""


class Vote(NamedTuple):
    """Who should lead, and how fresh that server's log is; the greater vote is the better one
    (FastLeaderElection.totalOrderPredicate)."""

    epoch: int
    """Its current epoch."""
    zxid: int
    """The last zxid in its log."""
    leader: int


@dataclass(frozen=True, slots=True)
class Notification:
    """How the sender votes. active: it has left the election, and follows or leads whom it votes for."""

    round: int
    vote: Vote
    active: bool
    leading: bool


@dataclass(frozen=True, slots=True)
class LearnerInfo:
    """A learner comes (FOLLOWERINFO, OBSERVERINFO)."""

    link: int
    accepted: int
    """The highest epoch that it has promised to serve."""


@dataclass(frozen=True, slots=True)
class LeaderInfo:
    """The leader's new epoch, to be promised (LEADERINFO, NEWEPOCH in the paper)."""

    link: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AckEpoch:
    """The epoch is promised; what the learner's log holds. counts: by this promise, which it makes once."""

    link: int
    epoch: int
    counts: bool
    current: int
    last: int
    tails: tuple[Tail, ...]
    cluster: bytes


@dataclass(frozen=True, slots=True)
class Diff:
    """Up to after the learner's log is the leader's, and of that cluster. What lies beyond is dropped: no
    leader ever committed it (DIFF, TRUNC)."""

    link: int
    after: int
    cluster: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as of zxid has been sent aside, and replaces what the learner has (SNAP)."""

    link: int
    zxid: int
    tails: tuple[Tail, ...]


@dataclass(frozen=True, slots=True)
class NewLeader:
    """The learner's log is now what the epoch begins with (NEWLEADER)."""

    link: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AckNewLeader:
    """That is on disk, and the epoch is the learner's current one."""

    link: int
    epoch: int


@dataclass(frozen=True, slots=True)
class UpToDate:
    """The learner may serve once it has applied up to commit (UPTODATE)."""

    link: int
    commit: int


@dataclass(frozen=True, slots=True)
class Propose:
    """Records that follow after, and how far records are committed (DIFF, PROPOSAL, COMMIT). own: which
    of them the learner had forwarded, as (zxid, its number)."""

    link: int
    after: int
    records: tuple[Record, ...]
    commit: int
    own: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to zxid is on the learner's disk."""

    link: int
    zxid: int


@dataclass(frozen=True, slots=True)
class Ping:
    """The leader lives, and wants to know that its learners do."""

    link: int
    round: int
    commit: int


@dataclass(frozen=True, slots=True)
class Pong:
    """An answer to every ping up to that round."""

    link: int
    round: int


@dataclass(frozen=True, slots=True)
class Forward:
    """Transactions that clients of a learner want ordered, numbered one by one from first on."""

    link: int
    first: int
    txns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskBarrier:
    """A learner wants to know how far it must have applied."""

    link: int
    number: int


@dataclass(frozen=True, slots=True)
class Barrier:
    """All that was committed before the question has at most this zxid, as a majority confirms."""

    link: int
    number: int
    zxid: int


ToLearner: TypeAlias = LeaderInfo | Diff | Snapshot | NewLeader | UpToDate | Propose | Ping | Barrier
ToLeader: TypeAlias = LearnerInfo | AckEpoch | AckNewLeader | Ack | Pong | Forward | AskBarrier
Message: TypeAlias = Notification | ToLearner | ToLeader
