"""One server of an ensemble, without clock, disk and sockets: what peers say to it, and what comes of that.

The log is written by the library, through the journal, in the middle of a turn; whatever else takes a disk or
time is the host's. So a run is a function of the clock and of what is said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Protocol

from ..ensemble import Ensemble
from ..identity import NO_CLUSTER
from ..service import NOBODY
from .command import Malformed
from .election import Election
from .journal import Journal
from .keeper import Base, Keeper
from .library import Raft
from .messages import (
    Append,
    AskBarrier,
    AskVote,
    Barrier,
    Canvass,
    Confirm,
    Confirmed,
    Forward,
    Install,
    Message,
    Next,
    Refused,
    Supported,
    TimeoutNow,
    Vote,
)
from .peers import Peers
from .proposals import Proposals
from .reads import SIGN, Reads

log = logging.getLogger(__name__)


class Host(Protocol):
    """Who holds a core, and does for it what takes more than memory and its log."""

    def send(self, peer: int, message: Message) -> None:
        """To a peer, as long as it is connected."""
        ...

    def drop(self, peer: int) -> None:
        """A connection."""
        ...

    def cut(self, peer: int, append: Append, after: int) -> None:
        """The log after that index; then that peer's append is to be heard."""
        ...

    def install(self, peer: int, install: Install) -> None:
        """The state that was sent is to take the place of log and state."""
        ...

    def discard(self) -> None:
        """What came of a state that was to be sent."""
        ...

    def placed(self, barriers: list[tuple[int, int]]) -> None:
        """(number, zxid) of barriers of this server's that need wait no more."""
        ...

    def end_service(self, reason: str) -> None:
        """No leader stands behind it any more."""
        ...

    def end_leading(self) -> None:
        """What goes to those who followed belongs to a leadership that is over."""
        ...


class Core:
    """journal, raft, peers, proposals, reads, election: its parts. delivered: the last index that must stay
    as it is. spooling: who sends this server a snapshot; it stands for no election meanwhile."""

    last_of_term: ClassVar[int] = (1 << 32) - (1 << 24)
    """So many transactions a term may have, before the largest batch that there may be."""

    def __init__(
        self,
        ensemble: Ensemble,
        journal: Journal,
        keeper: Keeper,
        delivered: int,
        run: int,
        now: Callable[[], float],
        host: Host,
    ) -> None:
        """delivered: index of the state. run: a number that this server never used before. now: its clock,
        in seconds."""
        self.journal = journal
        self.delivered = delivered
        self.spooling: int | None = None
        self.proposals = Proposals(ensemble.me, run, host.send)
        self.reads = Reads(ensemble.me, sorted(ensemble.voters), host.send)
        self.peers = Peers(journal, self.proposals, self._cluster, lambda: self.delivered, host.send)
        self.election = Election(ensemble, journal, self.peers, self.reads, now, host.send)
        self._ensemble = ensemble
        self._keeper = keeper
        self._now = now
        self._host = host
        self._spooled = 0.0
        """When the last of a snapshot came."""
        self._due = delivered
        """The last index that may be applied."""

    def use(self, raft: Raft) -> None:
        """Its library, whose owner its peers are."""
        self.raft = raft
        self.peers.use(raft)
        self.election.use(raft)
        self._term = raft.term

    # inputs

    def connected(self, peer: int) -> None:
        """Somebody to agree with."""
        self.peers.connected(peer)
        self.reads.repeat()
        self.election.report()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        self.peers.disconnected(peer)
        self.raft.down(peer)
        self.election.report()

    def alive(self) -> None:
        """Say so, at every tick, also while log and state are rebuilt."""
        if self.spooling is not None:
            # The leader is to know; to the library it says nothing.
            self._host.send(self.spooling, Next(self.raft.term, 0, 1, False, False))

    def tick(self) -> None:
        """A tick of time has passed."""
        if self.spooling is not None and self._now() - self._spooled > self._ensemble.sync_limit:
            # With the connection ends what the leader still has under way, and believes to arrive.
            self._host.drop(self.spooling)
        self.canvass()
        self.election.report()
        self.peers.show_life()

    def canvass(self) -> None:
        """Look for a leader, if there is none."""
        if self.spooling is None:
            self.election.canvass()

    def synced(self) -> None:
        """The log may have more on disk."""
        self.journal.synced()
        self.peers.synced()

    def hear(self, peer: int, message: Message) -> None:
        """What a peer says. Raises Malformed; OSError, if a promise can't be kept."""
        match message:
            case Append():
                self._append(peer, message)
            case Next():
                self.peers.answered(peer, message)
            case AskVote() | Vote():
                self.raft.hear(peer, message)
            case TimeoutNow():
                if peer == self.raft.leader:
                    self.election.preferred()
                self.raft.hear(peer, message)
            case Forward():
                self.turn()
                self.proposals.forwarded(peer, message)
            case Refused():
                self.proposals.returned(message)
            case AskBarrier():
                if self.raft.leads and self.journal.term_at(self.raft.commit) == self.raft.term:
                    self._ask(peer, message.number)
            case Barrier():
                if message.number == SIGN:
                    self.election.answered()
                else:
                    self._host.placed([(message.number, message.zxid)])
            case Confirm():
                if message.term == self.raft.term:
                    self._host.send(peer, Confirmed(message.term, message.round))
            case Confirmed():
                self.reads.confirmed(peer, message)
            case Install():
                self._install(peer, message)
            case Canvass():
                self.election.canvassed(peer, message)
            case Supported():
                self.election.supported(peer, message)

    # what comes of it

    def turn(self) -> None:
        """See to it that nothing of one leadership goes over into the next."""
        raft, proposals = self.raft, self.proposals
        leader = self.election.leader
        if raft.term != self._term or leader != proposals.leader:
            if proposals.leader == self._ensemble.me:
                self.end_leading()
            self._term = raft.term
            proposals.leader = leader
            self._host.end_service("the leader has changed" if leader is not None else NOBODY)
            self.election.turned()
        elif raft.leads and self.journal.last.key & 0xFFFF_FFFF > self.last_of_term:
            log.info("term %d has no more numbers for transactions", raft.term)
            raft.step_down()

    def end_leading(self) -> None:
        """This server does not, from now on."""
        self.proposals.leader = None
        self.proposals.stop()
        self.reads.end()
        self._host.end_leading()

    def order(self) -> None:
        """Have the library do what is due, and take what is proposed and asked for here."""
        raft, journal, proposals = self.raft, self.journal, self.proposals
        for number in proposals.barriers:
            self._ask(self._ensemble.me, number)
        proposals.barriers.clear()
        if journal.durable == journal.last.index:
            # While one batch is on its way to this disk, what comes goes together behind it.
            while (offer := proposals.offer()) is not None:
                raft.propose(*offer)
        if self.spooling is None:
            raft.tick()
            self.turn()
            self.peers.flush()

    def due(self) -> int:
        """All up to this zxid may be applied."""
        self._due = min(self.raft.applied, self.journal.durable)
        return self.journal.key_at(self._due)

    def applied(self, zxid: int, *, more: bool) -> None:
        """All that was due is; or all up to that zxid, and more is left."""
        self.delivered = self.journal.place(zxid).index if more else self._due
        self.journal.forget(self.delivered)

    def serves(self) -> bool:
        """Whether clients can be served, once what is due is applied."""
        current = self.spooling is None and self.journal.term_at(self._due) == self.raft.term
        return current and self.election.sure()

    def confirm(self) -> bool:
        """Ask the others for whoever waits for a barrier; whether this server is surer of itself since."""
        self.reads.begin()
        own = self.reads.own
        signed = any(number == SIGN for number, _ in own)
        if signed:
            self.election.answered()
        self._host.placed(own)
        own.clear()
        return signed

    # snapshots

    def spool(self, peer: int, *, begins: bool) -> None:
        """Something came of a snapshot that a peer sends, maybe its first piece."""
        if begins:
            self.spooling = peer
            self._host.end_service("this server lacks what the log no longer has")
        self._spooled = self._now()
        self.election.heard()

    def end_spooling(self) -> None:
        """What came of it is nothing worth."""
        self.spooling = None
        self._host.discard()

    def begin(self, base: Base) -> None:
        """State and log stand there."""
        self.journal.begin(base)
        self.delivered = base.index
        self.spooling = None

    def snapshot_sent(self, learner: int, zxid: int) -> None:
        """All of a snapshot is on its way, as of zxid. Raises LogGap, LogDamaged, OSError."""
        place = self.journal.place(zxid)
        if self.raft.leads:
            install = Install(self.raft.term, zxid, place.key, place.index, place.term, self._cluster())
            self._host.send(learner, install)

    def own_cluster(self) -> bytes:
        """Whose data this server holds, if it holds any. The beginning of a term is none: who was elected
        first may be alone with it, while the others go on with another leader's."""
        return NO_CLUSTER if self.journal.fresh else self._cluster()

    def _cluster(self) -> bytes:
        return self._keeper.promises.cluster

    def _adopt(self, cluster: bytes) -> None:
        promises = self._keeper.promises
        if cluster != promises.cluster:
            if self.own_cluster() != NO_CLUSTER:
                raise Malformed(f"its data are of cluster {cluster.hex()}")
            self._keeper.save(replace(promises, cluster=cluster))

    def _append(self, peer: int, append: Append) -> None:
        if append.term >= self.raft.term and peer in self._ensemble.voters:
            self.election.heard()
            if self.spooling is not None:
                self.end_spooling()  # somebody else leads, or has the log after all
            self._adopt(append.cluster)
            after = self.peers.conflict(append)
            if after is not None:
                # First of all: a leader whose log is cut must not go on with it in its own term.
                self.raft.learn(append.term)
                self._host.end_service("another server leads")
                self._host.cut(peer, append, after)
                return
        self.peers.appended(peer, append)

    def _install(self, peer: int, install: Install) -> None:
        if install.term < self.raft.term:
            return
        if peer == self.spooling:
            self._adopt(install.cluster)
            self._host.install(peer, install)
        else:
            # It began to come when it could not be taken, and its sender believes that it is here.
            self._host.drop(peer)

    def _ask(self, server: int, number: int) -> None:
        self.reads.ask(self.raft.term, self.journal.key_at(self.raft.commit), server, number)
