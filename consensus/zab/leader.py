"""The leader's side of ZAB: it leads its learners through discovery and synchronization into broadcast.

Junqueira, Reed, Serafini: Zab (DSN 2011), algorithms 1 to 3; ZooKeeper's Leader, and its TLA+ specification.
"""

from __future__ import annotations

from typing import Final

from .history import epoch_of
from .messages import (
    Ack,
    AckEpoch,
    AckNewLeader,
    AskBarrier,
    Forward,
    LeaderInfo,
    LearnerInfo,
    Pong,
    Record,
    Tail,
    ToLeader,
    UpToDate,
)
from .pings import Pings
from .server import Phase, Server, majority
from .streams import Learner, Streams

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
        self.streams = Streams(server, self.learners)
        self.pings = Pings(server, self.learners, self.streams)
        self._server = server
        self._age = 0
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
                server.note(f"server {sid} is silent: left alone")
                self.drop(sid)
        if self.serving and not self._has_majority():
            self._give_up("a majority is gone")
        elif self.phase is not Phase.BROADCAST and self._age > server.limits.init:
            self._give_up("no majority came")
        elif self.serving and self._age % server.limits.ping == 0:
            self.pings.ping()

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
                self.streams.acked(learner, message.zxid)
                self._commit()
            case Forward():
                self.propose(sid, message.first, list(message.txns))
            case Pong():
                self.pings.answered(learner, message.round)
            case AckEpoch():
                self._promised(sid, learner, message)
            case AckNewLeader() if message.epoch == self.epoch:
                learner.joined = True
                self._establish()
                self._admit(sid, learner)
            case AskBarrier():
                self.pings.barrier(sid, message.number)

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
        self.streams.add(records)

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
        if records:
            self.streams.fetched(sid, learner, records)
        elif learner.announced:
            self.drop(sid)  # its clients see no state but what follows on theirs
        else:
            self.streams.send_snapshot(sid, learner)

    def snapshot_sent(self, sid: int, zxid: int, tails: tuple[Tail, ...]) -> None:
        """A snapshot as of zxid is on its way to a learner."""
        learner = self.learners.get(sid)
        if learner is not None and learner.awaiting:
            self.streams.snapshot_sent(sid, learner, zxid, tails)

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
        self.streams.broadcasting = False
        for learner in self.learners.values():
            learner.renew()
        self._lead(epoch)

    def _lead(self, epoch: int) -> None:
        self.epoch = self.streams.epoch = epoch
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
            server.note(f"server {sid} is turned away: its data are of another cluster")
            self.drop(sid)
            return
        if self.phase is Phase.DISCOVERY:
            self._synchronize()
        else:
            self.streams.begin(sid, learner)

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
        self.streams.beginning = server.history.last
        server.promise(current=self.epoch)
        for sid, learner in list(self.learners.items()):
            if learner.answered == self.epoch:
                self.streams.begin(sid, learner)
        self._establish()

    def _establish(self) -> None:
        """A majority holds what the epoch begins with: all of that is committed."""
        server = self._server
        joined = sum(learner.joined for sid, learner in self.learners.items() if sid in server.voters)
        if self.phase is not Phase.SYNCHRONIZATION or not majority(joined + 1, server.voters):
            return
        self.phase = Phase.BROADCAST
        self._age = 0
        self.serving = True
        self.streams.broadcasting = True
        server.commit = max(server.commit, self.streams.beginning)
        for sid, learner in list(self.learners.items()):
            self._admit(sid, learner)
        held, self.held = self.held, []
        for sid, first, txns in held:
            self.propose(sid, first, txns)

    def _admit(self, sid: int, learner: Learner) -> None:
        if self.phase is Phase.BROADCAST and learner.joined and not learner.serving:
            learner.serving = True
            self._server.note(f"server {sid} follows")
            self._server.send(sid, UpToDate(learner.link, self._server.commit))

    # broadcast

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

    def _has_majority(self) -> bool:
        """Has been heard of late: also by one that waits for more than syncLimit to be up to date."""
        server = self._server
        near = [sid for sid, learner in self.learners.items() if learner.heard <= server.limits.sync]
        return majority(1 + sum(sid in server.voters for sid in near), server.voters)

    def lag(self, learner: Learner) -> int:
        """So many transactions the learner has not acknowledged; those of older epochs are not counted."""
        last = self._server.history.last
        return last - learner.acked if epoch_of(learner.acked) == epoch_of(last) else last & _MASK

    def _give_up(self, why: str) -> None:
        if self.over is None:
            self.over = why
