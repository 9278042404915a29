"""One server of an ensemble, without I/O: it looks for a leader, follows or leads.

Inputs are methods; what they want done is taken by take(). Nothing here reads a clock, opens a file or a
socket, or draws a random number, so a run is a function of its inputs.
"""

from __future__ import annotations

from enum import Enum

from .election import Election
from .leader import Leader
from .learner import Learner
from .messages import LearnerInfo, Message, Notification, Record, Tail, ToLeader, ToLearner
from .ready import Promises, Ready
from .server import Limits, Server


class Role(Enum):
    """What this server is now."""

    LOOKING = "looking"
    FOLLOWING = "following"
    LEADING = "leading"


class Core:
    """All of it. me: this server's id; voters: all ids that vote; peers: all ids."""

    def __init__(
        self,
        me: int,
        voters: frozenset[int],
        peers: frozenset[int],
        limits: Limits,
        promises: Promises,
        *,
        begins: int,
        last: int,
        applied: int,
        link: int,
    ) -> None:
        """begins, last, applied as in Server. link: a number that this server never used before."""
        self.server = Server(me, voters, limits, promises, begins=begins, last=last, applied=applied)
        self.leader: Leader | None = None
        self.learner: Learner | None = None
        self.reason = ""
        """Why the last role ended."""
        self._peers = peers - {me}
        self._connected: set[int] = set()
        self._link = link
        self._number = 0
        self._election = Election(me, voters, self._notify, limits.settle, self._connected)
        self._look("started")

    # what it is

    @property
    def role(self) -> Role:
        """Now."""
        if self.leader is not None:
            return Role.LEADING
        return Role.LOOKING if self.learner is None else Role.FOLLOWING

    @property
    def serving(self) -> bool:
        """Whether clients can be served: a majority stands behind the epoch."""
        if self.leader is not None:
            return self.leader.serving
        return self.learner is not None and self.learner.serving

    @property
    def epoch(self) -> int:
        """The epoch that is served, or 0."""
        if not self.serving:
            return 0
        return self.leader.epoch if self.leader is not None else self.server.promises.current

    @property
    def phase(self) -> str:
        """How far this server has come: election, or a leadership's phase."""
        if self.leader is not None:
            return self.leader.phase.value
        return "election" if self.learner is None else self.learner.phase.value

    @property
    def leader_id(self) -> int | None:
        """Who leads, if that is known."""
        if self.leader is not None:
            return self.server.me
        return None if self.learner is None else self.learner.leader

    def take(self) -> Ready:
        """What is to be done now."""
        if self.leader is not None:
            self.leader.streams.flush()
        ready = self.server.ready
        if ready:
            self.server.ready = Ready()
        return ready

    # inputs

    def tick(self) -> None:
        """A tick of time has passed."""
        if self.leader is not None:
            self.leader.tick()
        elif self.learner is not None:
            self.learner.tick()
        else:
            self._election.tick()
        self._turn()

    def receive(self, peer: int, message: Message) -> None:
        """A message came over a connection that still stands."""
        if peer not in self._peers:
            return
        match message:
            case Notification():
                self._heard(peer, message)
            case LearnerInfo():
                if self.leader is not None:
                    self.leader.receive(peer, message)
            case _ if isinstance(message, ToLeader):
                if self.leader is not None:
                    self.leader.receive(peer, message)
            case _ if isinstance(message, ToLearner):
                if self.learner is not None and self.learner.leader == peer:
                    self.learner.receive(message)
        self._turn()

    def connected(self, peer: int) -> None:
        """There is a connection to a peer: say again what it may not have heard."""
        self._connected.add(peer)
        if self.role is Role.LOOKING:
            self.server.send(peer, self._election.notification())
        elif self.learner is not None and self.learner.leader == peer:
            self.learner.connected()

    def disconnected(self, peer: int) -> None:
        """The connection to a peer is gone, with all that was under way on it."""
        self._connected.discard(peer)
        if self.leader is not None:
            self.leader.lost(peer)
        elif self.learner is not None and self.learner.leader == peer:
            self.learner.over = f"the connection to server {peer} is gone"
        self._turn()

    def synced(self, zxid: int) -> None:
        """The log is on disk up to zxid."""
        self.server.synced = min(max(self.server.synced, zxid), self.server.history.last)
        if self.leader is not None:
            self.leader.synced()
        elif self.learner is not None:
            self.learner.synced()
        self._turn()

    def propose(self, txns: list[bytes]) -> range:
        """Have transactions ordered; their numbers, by which Ready.own or Ready.refused tells of them."""
        numbers = range(self._number, self._number + len(txns))
        self._number = numbers.stop
        if self.leader is not None and self.leader.serving:
            self.leader.propose(self.server.me, numbers.start, txns)
        elif self.learner is not None and self.learner.serving:
            self.learner.propose(numbers.start, txns)
        else:
            self.server.ready.refused.extend(numbers)
        self._turn()
        return numbers

    def barrier(self) -> int:
        """Ask for a barrier; the number by which Ready.barriers tells of it."""
        number = self._number
        self._number += 1
        if self.leader is not None and self.leader.serving:
            self.leader.pings.barrier(self.server.me, number)
        elif self.learner is not None and self.learner.serving:
            self.learner.barrier(number)
        else:
            self.server.ready.barriers.append((number, -1))
        self._turn()
        return number

    def records(self, peer: int, after: int, records: list[Record] | None) -> None:
        """What the log holds beyond after, or its first part; None if that is dropped already."""
        if self.leader is not None:
            self.leader.records(peer, after, records)

    def snapshot_sent(self, peer: int, zxid: int, tails: tuple[Tail, ...]) -> None:
        """A snapshot as of zxid was sent to a learner, aside."""
        if self.leader is not None:
            self.leader.snapshot_sent(peer, zxid, tails)

    # roles

    def _heard(self, peer: int, said: Notification) -> None:
        if self.role is Role.LOOKING:
            self._election.heard(peer, said)
        elif not said.active:
            if self.leader is not None:
                self.leader.lost(peer)  # if it was a learner, it has left
            elif (
                self.learner is not None and self.learner.leader == peer and said.round > self._election.round
            ):
                self.learner.over = f"server {peer} looks for a leader itself"
                self._turn()
                self._election.heard(peer, said)
                return
            # Whoever still looks is told of the leader there is.
            self.server.send(peer, self._election.notification(active=True, leading=self.leader is not None))

    def _notify(self, peer: int | None, notification: Notification) -> None:
        for one in (peer,) if peer is not None else sorted(self._peers):
            self.server.send(one, notification)

    def _turn(self) -> None:
        """From one role to the next, as often as it takes."""
        while True:
            if self.leader is not None and self.leader.over is not None:
                self._look(self.leader.over)
            elif self.learner is not None and self.learner.over is not None:
                self._look(self.learner.over)
            elif self.role is Role.LOOKING and self._election.elected is not None:
                self._begin(self._election.elected)
            else:
                return

    def _look(self, reason: str) -> None:
        self.reason = reason
        if not self.serving:  # else whoever served says so
            self.server.note(f"looking for a leader: {reason}")
        if self.leader is not None:
            for sid, first, txns in self.leader.held:
                if sid == self.server.me:
                    self.server.ready.refused.extend(range(first, first + len(txns)))
        self.leader = self.learner = None
        self._election.begin(self.server.promises.current, self.server.history.last)

    def _begin(self, elected: int) -> None:
        self.server.note(
            "elected, if a majority follows" if elected == self.server.me else f"server {elected} is elected"
        )
        if elected == self.server.me:
            self.leader = Leader(self.server)
        else:
            self._link += 1
            self.learner = Learner(self.server, elected, self._link, reached=elected in self._connected)
