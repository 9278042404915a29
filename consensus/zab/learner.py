"""A follower's or observer's side of ZAB: it promises an epoch, and makes its log that of its leader.

Junqueira, Reed, Serafini: Zab (DSN 2011); ZooKeeper's Learner and Follower. The order in which things reach
the disk is that of the paper, not of ZooKeeper before 3.10: the log first, then the current epoch, then the
acknowledgement (ZOOKEEPER-4643, ZOOKEEPER-4646).
"""

from __future__ import annotations

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
    Snapshot,
    ToLearner,
    UpToDate,
)
from .server import Phase, Server


class Learner:
    """One stay with a leader. over: it has ended; the server must look for a leader again.

    serving: the state is that of the epoch, and clients may be served."""

    def __init__(self, server: Server, leader: int, link: int, *, reached: bool) -> None:
        """reached: there is a connection to the leader."""
        self.leader = leader
        self.over: str | None = None
        self.serving = False
        self.epoch = 0
        self._server = server
        self._link = link
        self._reached = reached
        self._silent = 0
        self._joining: int | None = None
        """NEWLEADER came: it is acknowledged once the log is on disk up to here."""
        self._joined = False
        self._matches = False
        """The log holds nothing that the leader's does not: it may be acknowledged."""
        self._serve_at: int | None = None
        self._acked = 0
        self._greet()

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        if not self.epoch:
            return Phase.DISCOVERY
        return Phase.BROADCAST if self.serving else Phase.SYNCHRONIZATION

    def tick(self) -> None:
        """Give up on a leader that is silent."""
        self._silent += 1
        limits = self._server.limits
        patience = limits.sync if self.serving else limits.init if self._reached else limits.reach
        if self._silent > patience:
            self.over = f"server {self.leader} is silent"
        elif not self.epoch:
            self._greet()  # the leader may not have known yet that it is one

    def receive(self, message: ToLearner) -> None:
        """What the leader says."""
        if message.link != self._link:
            return
        self._silent = 0
        match message:
            case Propose():
                self._take(message)
            case Ping():
                self._commit(message.commit)
                self._send(Pong(self._link, message.round))
            case LeaderInfo():
                self._promise(message.epoch)
            case Diff():
                self._agree(message)
            case Snapshot():
                self._restore(message)
            case NewLeader():
                self._joining = self._server.history.last
                self.synced()
            case UpToDate():
                self._serve_at = message.commit
                self._commit(message.commit)
            case Barrier():
                self._server.ready.barriers.append((message.number, message.zxid))

    def connected(self) -> None:
        """The leader can be reached now."""
        self._reached = True
        if not self.epoch:
            self._greet()

    def synced(self) -> None:
        """More of the log is on disk."""
        server = self._server
        if self._joining is not None and server.synced >= self._joining:
            self._joining = None
            server.promise(current=self.epoch)
            self._joined = self._matches = True
            self._send(AckNewLeader(self._link, self.epoch))
        if self._matches and server.synced > self._acked:
            self._acked = server.synced
            self._send(Ack(self._link, server.synced))
        self._serve()

    def propose(self, first: int, txns: list[bytes]) -> None:
        """Have transactions ordered, numbered from first on."""
        self._send(Forward(self._link, first, tuple(txns)))

    def barrier(self, number: int) -> None:
        """Ask how far this server must have applied."""
        self._send(AskBarrier(self._link, number))

    def _greet(self) -> None:
        self._send(LearnerInfo(self._link, self._server.promises.accepted))

    def _promise(self, epoch: int) -> None:
        server = self._server
        # An observer's promise counts nowhere, so it keeps nobody from another leader's epoch.
        if epoch < server.promises.accepted and server.me in server.voters:
            self.over = f"server {self.leader} leads epoch {epoch}, {server.promises.accepted} is promised"
            return
        counts = epoch > server.promises.accepted
        if counts:
            server.promise(accepted=epoch)
        self.epoch = epoch
        self._joining = None
        self._joined = self._matches = False
        self._serve_at = None
        self._acked = 0
        history, promises = server.history, server.promises
        self._send(
            AckEpoch(
                self._link, epoch, counts, promises.current, history.last, history.tails, promises.cluster
            )
        )

    def _agree(self, diff: Diff) -> None:
        server = self._server
        if diff.after < server.commit:
            self.over = f"server {self.leader} lacks what is committed here"
            return
        if diff.after < server.history.last:
            server.truncate(diff.after)
        if diff.cluster != server.promises.cluster:
            server.promise(cluster=diff.cluster)

    def _restore(self, snapshot: Snapshot) -> None:
        if snapshot.zxid < self._server.commit:
            self.over = f"server {self.leader} has a snapshot that lacks what is committed here"
            return
        self._server.restore(snapshot.zxid, snapshot.tails)

    def _take(self, proposal: Propose) -> None:
        server = self._server
        if proposal.records:
            if proposal.after != server.history.last:
                self.over = f"a gap after zxid {server.history.last:#x}: {proposal.after:#x} came"
                return
            server.append(list(proposal.records))
            self._matches = True
            server.ready.own.extend(proposal.own)
        self._commit(proposal.commit)

    def _commit(self, zxid: int) -> None:
        if zxid > self._server.commit:
            self._server.commit = min(zxid, self._server.history.last)
        self._serve()

    def _serve(self) -> None:
        if self._serve_at is not None and self._joined and self._server.committed >= self._serve_at:
            self.serving = True

    def _send(
        self, message: LearnerInfo | AckEpoch | AckNewLeader | Ack | Pong | Forward | AskBarrier
    ) -> None:
        self._server.send(self.leader, message)
