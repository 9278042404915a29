"""The streams of the log from a leader to its learners.

A learner's log is brought up to the leader's by one stream, from where the two part: what came before the
epoch, then NEWLEADER, then proposals as they are made (ZooKeeper's LearnerHandler). Proposals are cut into
batches once, for all learners, so that those who keep up can be sent the very same bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from .messages import Diff, NewLeader, Propose, Record, Snapshot, Tail
from .recent import Recent
from .server import Server

_WINDOW: Final = 1 << 20
"""Bytes that are on the way to a learner before it acknowledges some."""


@dataclass(slots=True)
class Learner:
    """A follower or observer, as its leader sees it."""

    link: int
    accepted: int
    heard: int
    """Ticks since it was."""
    promised: bool = False
    answered: int = 0
    """The epoch of its last ACKEPOCH."""
    last: int = 0
    tails: tuple[Tail, ...] = ()
    cluster: bytes = b""
    streaming: bool = False
    """next is known: the stream runs."""
    awaiting: bool = False
    """A snapshot comes before it."""
    fetching: bool = False
    next: int = 0
    """The last zxid sent."""
    acked: int = 0
    told: int = 0
    """The commit that it was told last."""
    announced: bool = False
    """NEWLEADER is sent."""
    joined: bool = False
    """And acknowledged."""
    serving: bool = False
    """UPTODATE is sent."""
    sent: deque[tuple[int, int]] = field(default_factory=deque)
    """(zxid, bytes) under way."""
    under_way: int = 0
    own: deque[tuple[int, int]] = field(default_factory=deque)
    """(zxid, number) of its own transactions that are not sent yet."""
    ponged: int = 0
    """The round of the last ping that it answered."""

    def renew(self) -> None:
        """Forget the last epoch."""
        self.promised = self.streaming = self.awaiting = self.fetching = False
        self.announced = self.joined = self.serving = False


class Streams:
    """epoch: that of the leader. beginning: the last zxid of what the epoch begins with. broadcasting:
    learners may be told how far the log is committed."""

    def __init__(self, server: Server, learners: dict[int, Learner]) -> None:
        self.epoch = 0
        self.beginning = server.history.last
        self.broadcasting = False
        self._server = server
        self._learners = learners
        self._recent = Recent(self.beginning)
        self._cut = self.beginning
        """The last zxid of the last batch."""
        self._waiting: list[Record] = []
        """Beyond it."""

    def add(self, records: list[Record]) -> None:
        """They are proposed: all are to have them."""
        self._waiting += records

    def begin(self, sid: int, learner: Learner) -> None:
        """Find where a learner's log parts from this one (LearnerHandler.syncFollower)."""
        server = self._server
        common = server.history.common(learner.tails)
        far = common < server.log_begins
        if not far or not learner.last:
            # Before there are any data, it is known whose they are.
            server.send(sid, Diff(learner.link, max(common, 0), server.promises.cluster))
        if far:
            self.send_snapshot(sid, learner)
            return
        if common < learner.last:
            server.note(f"server {sid} drops what it has beyond zxid {common:#x}, which nobody committed")
        if common < server.history.last:
            server.note(f"server {sid} gets the log beyond zxid {common:#x}, up to {server.history.last:#x}")
        self._begin_at(sid, learner, common)

    def send_snapshot(self, sid: int, learner: Learner) -> None:
        """Have the driver send one, aside."""
        learner.streaming = False
        learner.awaiting = True
        self._server.ready.snapshots.append(sid)

    def snapshot_sent(self, sid: int, learner: Learner, zxid: int, tails: tuple[Tail, ...]) -> None:
        """A snapshot as of zxid is on its way."""
        self._server.send(sid, Snapshot(learner.link, zxid, tails))
        self._begin_at(sid, learner, zxid)

    def fetched(self, sid: int, learner: Learner, records: list[Record]) -> None:
        """The log holds these, from where the stream is."""
        self._stream(sid, learner, tuple(records))

    def flush(self) -> None:
        """Go on with every stream.

        While a batch is on its way to this disk and to all learners', what comes meanwhile goes together
        behind it: earlier it could not be written either."""
        if self._waiting and (
            self._server.synced >= self._cut
            or any(each.streaming and each.acked >= self._cut for each in self._learners.values())
        ):
            self._recent.add(self._waiting)
            self._cut = self._waiting[-1][0]
            self._waiting = []
        batches: dict[int, tuple[Record, ...]] = {}
        for sid, learner in self._learners.items():
            if learner.streaming and not learner.fetching:
                self._feed(sid, learner, batches)

    def acked(self, learner: Learner, zxid: int) -> None:
        """A learner has all up to zxid on its disk."""
        learner.acked = max(learner.acked, zxid)
        while learner.sent and learner.sent[0][0] <= zxid:
            learner.under_way -= learner.sent.popleft()[1]

    def tell(self, learner: Learner) -> int:
        """How far the log is committed, of what the learner was sent; it is told so now."""
        if not self.broadcasting or not learner.streaming:
            return 0
        commit = min(self._server.commit, learner.next)
        learner.told = max(learner.told, commit)
        return commit

    def behind(self, *, serving: bool) -> int | None:
        """How far the last of those that serve, or are to, was sent the log; None without any."""
        return min(
            (each.next for each in self._learners.values() if each.streaming and each.serving == serving),
            default=None,
        )

    def _begin_at(self, sid: int, learner: Learner, after: int) -> None:
        learner.streaming = True
        learner.awaiting = False
        learner.next = after
        learner.acked = 0  # its log may hold more than its disk
        learner.sent.clear()
        learner.under_way = 0

    def _feed(self, sid: int, learner: Learner, batches: dict[int, tuple[Record, ...]]) -> None:
        """Go on with a learner's stream, as far as its window allows. batches: those that others were sent
        already, by the zxid before them."""
        server = self._server
        while learner.under_way < _WINDOW:
            if learner.next >= self.beginning and not learner.announced:
                learner.announced = True
                server.send(sid, NewLeader(learner.link, self.epoch))
            if learner.next >= self._cut:
                break
            if learner.next < self._recent.after:
                learner.fetching = True
                server.ready.read.append((sid, learner.next))
                return
            batch = batches.get(learner.next)
            if batch is None:
                batch = batches[learner.next] = self._recent.beyond(learner.next)
            self._stream(sid, learner, batch)
        if learner.serving and learner.told < min(server.commit, learner.next):
            self._send(sid, learner, ())

    def _stream(self, sid: int, learner: Learner, records: tuple[Record, ...]) -> None:
        """Send records, and NEWLEADER exactly behind the last that is older than the epoch."""
        if not learner.announced:
            records = tuple(record for record in records if record[0] <= self.beginning)
        self._send(sid, learner, records)

    def _send(self, sid: int, learner: Learner, records: tuple[Record, ...]) -> None:
        after = learner.next
        own = []
        if records:
            learner.next = records[-1][0]
            size = sum(len(txn) for _, txn in records)
            learner.sent.append((learner.next, size))
            learner.under_way += size
            while learner.own and learner.own[0][0] <= learner.next:
                own.append(learner.own.popleft())
        self._server.send(sid, Propose(learner.link, after, records, self.tell(learner), tuple(own)))
