"""The leader's side of ZAB: discovery, synchronization, broadcast.

Junqueira, Reed, Serafini: Zab (DSN 2011), algorithms 1 to 3; ZooKeeper's Leader and LearnerHandler, and its
TLA+ specification. A learner's log is brought up to the leader's by one stream, from where the two part:
what came before the epoch, then NEWLEADER, then proposals as they are made.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .history import epoch_of
from .messages import (
    Ack,
    AckEpoch,
    AckNewLeader,
    AskBarrier,
    Barrier,
    Diff,
    Forward,
    LeaderInfo,
    LearnerInfo,
    NewLeader,
    Ping,
    Pong,
    Propose,
    Record,
    Snapshot,
    Tail,
    ToLeader,
    UpToDate,
)
from .server import Phase, Server, majority
from .streams import Learner, Recent

_WINDOW: Final = 1 << 20
"""Bytes that are on the way to a learner before it acknowledges some."""
_MASK: Final = (1 << 32) - 1


class Leader:
    """One leadership. over: it is lost; the server must look for another leader. serving: a majority
    stands behind it.

    When the epoch's zxids are used up, or a voter has promised an epoch that is not this leader's to give, it
    goes through its phases once more under a greater one, with the learners that it has; what is proposed
    meanwhile waits.
    """

    def __init__(self, server: Server) -> None:
        self.over: str | None = None
        self.serving = False
        self.phase = Phase.DISCOVERY
        self.epoch = 0
        self.learners: dict[int, Learner] = {}
        self._server = server
        self._age = 0
        self._beginning = server.history.last
        """The last zxid of what the epoch begins with."""
        self._recent = Recent(server.history.last)
        self._round = 0
        self._barriers: deque[tuple[int, int, int, int]] = deque()
        """(round, learner, its number, zxid): waits for a majority's pongs."""
        self.held: list[tuple[int, int, list[bytes]]] = []
        """(server, its first number, transactions) that wait for a new epoch."""
        self._discover()

    # inputs

    def tick(self) -> None:
        """Ping; give up without a majority."""
        server = self._server
        self._age += 1
        for sid, learner in list(self.learners.items()):
            learner.heard += 1
            if learner.heard > (server.limits.sync if learner.serving else server.limits.init):
                self._note(f"server {sid} is silent: left alone")
                self.drop(sid)
        if self.serving and not self._has_majority():
            self._give_up("a majority is gone")
        elif self.phase is Phase.BROADCAST:
            if self._age % server.limits.ping == 0:
                self._ping()
        elif self._age > server.limits.init:
            self._give_up("no majority came")

    def drop(self, sid: int) -> None:
        """A learner's connection is gone, or to be closed."""
        if sid in self.learners:
            self._forget(sid)
            self._server.ready.drop.append(sid)

    def lost(self, sid: int) -> None:
        """A learner is gone, or its connection."""
        self._forget(sid)
        if self.serving and not self._has_majority():
            self._give_up("a majority is gone")

    def receive(self, sid: int, message: ToLeader) -> None:
        """What a learner says."""
        if isinstance(message, LearnerInfo):
            self._welcome(sid, message)
            return
        learner = self.learners.get(sid)
        if learner is None or learner.link != message.link:
            return
        learner.heard = 0
        match message:
            case Ack():
                self._acked(learner, message.zxid)
            case Forward():
                self.propose(sid, message.first, list(message.txns))
            case Pong():
                learner.ponged = max(learner.ponged, message.round)
                self._pass_barriers()
            case AckEpoch():
                self._promised(sid, learner, message)
            case AckNewLeader() if message.epoch == self.epoch:
                learner.joined = True
                self._establish()
                self._admit(sid, learner)
            case AskBarrier():
                self.barrier(sid, message.number)

    def propose(self, sid: int, first: int, txns: list[bytes]) -> None:
        """Order transactions of a server's clients, which it numbers from first on."""
        server = self._server
        last = server.history.last
        used = last & _MASK if epoch_of(last) == self.epoch else 0
        if self.phase is not Phase.BROADCAST or used + len(txns) > server.limits.zxids:
            self.held.append((sid, first, txns))
            if self.phase is Phase.BROADCAST:
                self._renew(self.epoch + 1)
            return
        zxid = (self.epoch << 32) + used + 1
        records = [(zxid + at, txn) for at, txn in enumerate(txns)]
        server.append(records)
        own = server.ready.own if sid == server.me else self.learners[sid].own
        own.extend((zxid + at, first + at) for at in range(len(txns)))
        self._recent.add(records)

    def barrier(self, sid: int, number: int) -> None:
        """Find out, for a learner or this server itself, what it must have applied."""
        self._barriers.append((self._round + 1, sid, number, self._server.commit))
        self._ping()
        self._pass_barriers()

    def synced(self) -> None:
        """This server's own disk has more."""
        self._synchronize()
        self._establish()
        self._commit()

    def records(self, sid: int, after: int, records: list[Record] | None) -> None:
        """What the log holds beyond after; None: that is dropped already."""
        learner = self.learners.get(sid)
        if learner is None or not learner.fetching or learner.next != after:
            return
        learner.fetching = False
        if not records and learner.announced:
            self.drop(sid)  # its clients see no state but what follows on theirs
        elif not records:
            self._send_snapshot(sid, learner)
        else:
            self._stream(sid, learner, records)
            self._feed(sid, learner)

    def snapshot_sent(self, sid: int, zxid: int, tails: tuple[Tail, ...]) -> None:
        """A snapshot as of zxid is on its way to a learner."""
        learner = self.learners.get(sid)
        if learner is not None and learner.awaiting:
            self._server.send(sid, Snapshot(learner.link, zxid, tails))
            self._begin_stream(sid, learner, zxid)

    def behind(self, *, serving: bool) -> int | None:
        """How far the last of those that serve, or are to, was sent the log; None without any."""
        return min(
            (each.next for each in self.learners.values() if each.streaming and each.serving == serving),
            default=None,
        )

    # discovery

    def _discover(self) -> None:
        """Choose an epoch that is greater than any that a majority has promised."""
        server = self._server
        accepted = [learner.accepted for sid, learner in self.learners.items() if sid in server.voters]
        if not self.epoch and majority(len(accepted) + 1, server.voters):
            self._lead(max(server.promises.accepted, *accepted, 0) + 1)

    def _renew(self, epoch: int) -> None:
        """Go on under a greater epoch."""
        self.phase = Phase.DISCOVERY
        self._age = 0
        for learner in self.learners.values():
            learner.promised = learner.streaming = learner.awaiting = learner.fetching = False
            learner.announced = learner.joined = learner.serving = False
        self._lead(epoch)

    def _lead(self, epoch: int) -> None:
        self.epoch = epoch
        self._server.promise(accepted=epoch)
        for sid, learner in self.learners.items():
            self._server.send(sid, LeaderInfo(learner.link, epoch))
        self._synchronize()

    def _welcome(self, sid: int, info: LearnerInfo) -> None:
        known = self.learners.get(sid)
        if known is not None and known.link == info.link:
            return
        self._forget(sid)
        learner = self.learners[sid] = Learner(info.link, info.accepted, 0)
        if not self.epoch:
            self._discover()
        elif sid in self._server.voters and info.accepted >= self.epoch + (self.phase is not Phase.DISCOVERY):
            # Its promise is given away, to another leader or in an earlier stay, and counts once: only a
            # greater epoch can have a new one.
            self._renew(info.accepted + 1)
        else:
            self._server.send(sid, LeaderInfo(learner.link, self.epoch))

    def _forget(self, sid: int) -> None:
        """A learner's stay is over: what it forwarded may come too late for those who asked."""
        if self.learners.pop(sid, None) is not None:
            self.held = [held for held in self.held if held[0] != sid]

    def _promised(self, sid: int, learner: Learner, ack: AckEpoch) -> None:
        server = self._server
        if ack.epoch != self.epoch:
            return
        learner.promised = ack.counts
        learner.answered, learner.last = ack.epoch, ack.last
        learner.tails, learner.cluster = ack.tails, ack.cluster
        fresher = (ack.current, ack.last) > (server.promises.current, server.history.last)
        if self.phase is Phase.DISCOVERY and sid in server.voters and fresher:
            self._give_up(f"server {sid} has a fresher log")
            return
        if learner.last and learner.cluster != server.promises.cluster:
            self._note(f"server {sid} is turned away: its data are of another cluster")
            self.drop(sid)
            return
        if self.phase is Phase.DISCOVERY:
            self._synchronize()
        else:
            self._begin(sid, learner)

    # synchronization

    def _synchronize(self) -> None:
        """A majority has promised: this server's log is what the epoch begins with."""
        server = self._server
        promised = sum(learner.promised for sid, learner in self.learners.items() if sid in server.voters)
        if self.phase is not Phase.DISCOVERY or not majority(promised + 1, server.voters):
            return
        if server.synced < server.history.last:
            return  # the current epoch claims that the log is there: it must be so after a crash, too
        self.phase = Phase.SYNCHRONIZATION
        self._age = 0
        self._beginning = server.history.last
        server.promise(current=self.epoch)
        for sid, learner in list(self.learners.items()):
            if learner.answered == self.epoch:
                self._begin(sid, learner)
        self._establish()

    def _begin(self, sid: int, learner: Learner) -> None:
        """Find where a learner's log parts from this one (LearnerHandler.syncFollower)."""
        server = self._server
        common = server.history.common(learner.tails)
        far = common < server.log_begins
        if not far or not learner.last:
            # Before there are any data, it is known whose they are.
            server.send(sid, Diff(learner.link, max(common, 0), server.promises.cluster))
        if far:
            self._send_snapshot(sid, learner)
            return
        if common < learner.last:
            self._note(f"server {sid} drops what it has beyond zxid {common:#x}, which nobody committed")
        if common < server.history.last:
            self._note(f"server {sid} gets the log beyond zxid {common:#x}, up to {server.history.last:#x}")
        self._begin_stream(sid, learner, common)

    def _send_snapshot(self, sid: int, learner: Learner) -> None:
        learner.streaming = False
        learner.awaiting = True
        self._server.ready.snapshots.append(sid)

    def _begin_stream(self, sid: int, learner: Learner, after: int) -> None:
        learner.streaming = True
        learner.awaiting = False
        learner.next = after
        learner.acked = 0  # its log may hold more than its disk
        learner.sent.clear()
        learner.under_way = 0
        self._feed(sid, learner)

    def _establish(self) -> None:
        """A majority holds what the epoch begins with: all of that is committed."""
        server = self._server
        joined = sum(learner.joined for sid, learner in self.learners.items() if sid in server.voters)
        if self.phase is not Phase.SYNCHRONIZATION or not majority(joined + 1, server.voters):
            return
        self.phase = Phase.BROADCAST
        self._age = 0
        self.serving = True
        server.commit = max(server.commit, self._beginning)
        for sid, learner in list(self.learners.items()):
            self._admit(sid, learner)
        held, self.held = self.held, []
        for sid, first, txns in held:
            self.propose(sid, first, txns)

    def _admit(self, sid: int, learner: Learner) -> None:
        if self.phase is Phase.BROADCAST and learner.joined and not learner.serving:
            learner.serving = True
            self._note(f"server {sid} follows")
            self._server.send(sid, UpToDate(learner.link, self._server.commit))

    # broadcast

    def flush(self) -> None:
        """Send what was proposed since: once for all that came together."""
        for sid, learner in list(self.learners.items()):
            if learner.streaming and not learner.fetching:
                self._feed(sid, learner)

    def _feed(self, sid: int, learner: Learner) -> None:
        """Go on with a learner's stream, as far as its window allows.

        While a batch is on its way to this disk and to the learner's, what comes meanwhile goes
        together behind it: earlier it could not be written either."""
        server = self._server
        last = server.history.last
        while learner.under_way < _WINDOW:
            if learner.next >= self._beginning and not learner.announced:
                learner.announced = True
                self._server.send(sid, NewLeader(learner.link, self.epoch))
            if learner.next >= last or (learner.sent and server.synced < learner.next):
                break
            if learner.next < self._recent.after:
                if not learner.fetching:
                    learner.fetching = True
                    self._server.ready.read.append((sid, learner.next))
                return
            self._stream(sid, learner, self._recent.beyond(learner.next))
        if learner.serving and learner.told < min(self._server.commit, learner.next):
            self._send_records(sid, learner, ())

    def _stream(self, sid: int, learner: Learner, records: list[Record]) -> None:
        """Send records, and NEWLEADER exactly behind the last that is older than the epoch."""
        if not learner.announced:
            records = [record for record in records if record[0] <= self._beginning]
        self._send_records(sid, learner, tuple(records))

    def _send_records(self, sid: int, learner: Learner, records: tuple[Record, ...]) -> None:
        after = learner.next
        own = []
        if records:
            learner.next = records[-1][0]
            size = sum(len(txn) for _, txn in records)
            learner.sent.append((learner.next, size))
            learner.under_way += size
            while learner.own and learner.own[0][0] <= learner.next:
                own.append(learner.own.popleft())
        commit = min(self._server.commit, learner.next) if self.phase is Phase.BROADCAST else 0
        learner.told = max(learner.told, commit)
        self._server.send(sid, Propose(learner.link, after, records, commit, tuple(own)))

    def _acked(self, learner: Learner, zxid: int) -> None:
        learner.acked = max(learner.acked, zxid)
        while learner.sent and learner.sent[0][0] <= zxid:
            learner.under_way -= learner.sent.popleft()[1]
        self._commit()

    def _commit(self) -> None:
        """Whatever a majority has on disk is committed; and with it all that came before."""
        server = self._server
        if self.phase is not Phase.BROADCAST:
            return
        acked = [
            learner.acked for sid, learner in self.learners.items() if sid in server.voters and learner.joined
        ]
        durable = sorted((server.synced, *acked), reverse=True)
        needed = len(server.voters) // 2
        if len(durable) > needed:
            server.commit = max(server.commit, durable[needed])

    # life signs and barriers

    def _ping(self) -> None:
        self._round += 1
        commit = self._server.commit
        for sid, learner in self.learners.items():
            told = min(commit, learner.next) if self.phase is Phase.BROADCAST and learner.streaming else 0
            learner.told = max(learner.told, told)
            self._server.send(sid, Ping(learner.link, self._round, told))

    def _pass_barriers(self) -> None:
        server = self._server
        pongs = [learner.ponged for sid, learner in self.learners.items() if sid in server.voters]
        while self._barriers:
            round_, sid, number, zxid = self._barriers[0]
            if not majority(1 + sum(pong >= round_ for pong in pongs), server.voters):
                break
            self._barriers.popleft()
            if sid == server.me:
                server.ready.barriers.append((number, zxid))
            elif sid in self.learners:
                server.send(sid, Barrier(self.learners[sid].link, number, zxid))

    def _has_majority(self) -> bool:
        server = self._server
        return majority(1 + sum(sid in server.voters for sid in self.learners), server.voters)

    @property
    def pending_syncs(self) -> int:
        """Barriers that wait for a majority's pongs."""
        return len(self._barriers)

    def lag(self, learner: Learner) -> int:
        """So many transactions the learner has not acknowledged; those of older epochs are not counted."""
        last = self._server.history.last
        return last - learner.acked if epoch_of(learner.acked) == epoch_of(last) else last & _MASK

    def _note(self, what: str) -> None:
        self._server.ready.notes.append(what)

    def _give_up(self, why: str) -> None:
        if self.over is None:
            self.over = why
