"""Drives the library: tells it what clock, peers and disk say, and carries out what comes of that."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Final

from ...storage.committer import Committer
from ...storage.log import Log, LogFull
from ..channel import Channel
from ..contract import Meter, Replica
from ..delivery import Delivery
from ..ensemble import TICK, Ensemble
from ..identity import NO_CLUSTER, Identity
from ..kept import NotKept
from ..rebuild import Rebuild
from ..service import NOBODY, Service, Standing
from ..transfer import BEGINS, CHUNK, Incoming, Outgoing, Unusable
from ..waiters import Waiters
from .canvass import Support
from .command import Malformed, records_of, unpack
from .journal import Journal
from .keeper import Base, Keeper
from .library import Raft, Timing
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
from .wire import CORE, Packer, decode

_RETRY: Final = 5.0
"""Seconds until a server that has no room for its log, or for a snapshot, tries to take part again."""
_PATIENT: Final = 1 << 30
"""Bytes that the log may have for the sake of servers that follow, but slower than others write."""
_LAST: Final = (1 << 32) - (1 << 24)
"""So many transactions a term may have, before the largest batch that there may be."""

_NEVER: Final = float("-inf")

TO_LEADER: Final = 2
"""The channel's kind of what a replica says to its leader's."""

log = logging.getLogger(__name__)


class Driver:
    """raft, journal, peers: as they stand. service, waiters, delivery: what it is to those above; channel: to
    its peers."""

    def __init__(
        self, ensemble: Ensemble, txn_log: Log, keeper: Keeper, replica: Replica, meter: Meter
    ) -> None:
        """Raises LogGap, LogDamaged, Moved, OSError."""
        self._ensemble = ensemble
        self._log = txn_log
        self._keeper = keeper
        self._replica = replica
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        identity = Identity(ensemble.me, "raft", ensemble.secret, self._own_cluster)
        self.channel = Channel(identity, ensemble.addresses, self)
        self.waiters = Waiters(meter)
        self.service = Service(replica, meter, self.waiters)
        self.delivery = Delivery(replica, self.waiters)
        self.reads = Reads(ensemble.me, sorted(ensemble.voters), self._send)
        self._support = Support(ensemble.me, sorted(ensemble.voters), self._send)
        self._packer = Packer()
        self._outgoing = Outgoing(self.channel, self._snapshot_sent)
        self._incoming = Incoming(ensemble.directory)
        self._spooling: int | None = None
        """Who sends this server a snapshot; it stands for no election meanwhile."""
        self._heard = 0.0
        """When the leader's last sign of life came."""
        self._asked = self._answered = _NEVER
        """When this server last asked its leader, maybe itself, for a barrier of its own, and did so with an
        answer."""
        self._spooled = 0.0
        """When the last of it came."""
        self._held: list[tuple[int, Message]] | None = None
        """What peers say while log and state are rebuilt."""
        self._rebuilding: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._failed = False
        self._stirred = False
        """There is work to do in the loop's next turn."""
        self._incoming.discard()
        self._make_raft()
        self._incoming.done()  # a crash may have left it
        self._committer = Committer(txn_log, self._loop, self._synced)
        self._rebuild = Rebuild(txn_log, self._committer, self.delivery, replica, self._incoming, self._fail)

    async def start(self) -> None:
        """Reach out. Raises OSError."""
        await self.channel.start()
        self._ticking = self._loop.create_task(self._tick())
        self._work()

    async def stop(self) -> None:
        """Let go of everything; what is not committed yet is for the others to decide."""
        self.service.end("this server is stopping")
        self._ticking.cancel()
        if self.raft.leads and not self._failed:
            self.raft.transfer()
        self._failed = True
        await self.channel.stop()
        await self._outgoing.stop()
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.wait((self._rebuilding,))
        for timer in self._timers:
            timer.cancel()
        self._committer.close()
        self.raft.destroy()

    def stir(self) -> None:
        """Work once for all that comes in this turn of the loop: clients, peers, the disk."""
        if not self._stirred:
            self._stirred = True
            self._loop.call_soon(self._work)

    @property
    def leader(self) -> int | None:
        """Who leads, as long as it can be reached."""
        leader = self.raft.leader
        return leader if leader == self._ensemble.me or leader in self.peers.links else None

    @property
    def spooling(self) -> bool:
        """Whether this server is sent a snapshot."""
        return self._spooling is not None

    # the channel's owner

    def connected(self, peer: int) -> None:
        """Somebody to agree with."""
        self.peers.connected(peer)
        self.reads.repeat()
        self._report()
        self.stir()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        leader = self.raft.leader
        self.peers.disconnected(peer)
        self.raft.down(peer)
        self._report()
        self._outgoing.end(peer)
        if peer == self._spooling and self._held is None:
            self._end_spooling()
        if self._held is not None:
            self._held = [held for held in self._held if held[0] != peer]
        if peer == leader and not self._failed:
            # One after the other: the first to ask is likely to have won before the next one does.
            self._later(0.01 * self._rank(), self._canvass)
        self._work()

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        """Whatever a peer says."""
        if self._failed:
            return
        try:
            if kind == CORE:
                message = decode(payload)
                if self._held is None:
                    self._hear(peer, message)
                else:
                    self._held.append((peer, message))
            elif kind == TO_LEADER:
                self._replica.heard(payload)
            elif kind in (BEGINS, CHUNK) and peer == self.raft.leader and self._held is None:
                self._spool(peer, payload, begins=kind == BEGINS)
        except Malformed as error:
            log.warning("server %d is disconnected: %s", peer, error)
            self.channel.drop(peer)
        except Exception as error:
            self._fail(error)

    def _hear(self, peer: int, message: Message) -> None:
        match message:
            case Append():
                self._append(peer, message)
            case Next():
                self.peers.answered(peer, message)
            case AskVote() | Vote():
                self.raft.hear(peer, message)
            case TimeoutNow():
                if peer == self.raft.leader:
                    self._support.granted(self._loop.time())
                    self._report()
                self.raft.hear(peer, message)
            case Forward():
                self._lead()
                self.proposals.forwarded(peer, message)
            case Refused():
                self.proposals.returned(message)
            case AskBarrier(number):
                if self._leads_still():
                    self.reads.ask(self.raft.term, self._committed_key(), peer, number)
            case Barrier(number, _) if number == SIGN:
                self._answered = self._asked
            case Barrier(number, zxid):
                self.waiters.placed([(number, zxid)])
            case Confirm(term, round):
                if term == self.raft.term:
                    self._send(peer, Confirmed(term, round))
            case Confirmed():
                self.reads.confirmed(peer, message)
            case Install():
                self._install(peer, message)
            case Canvass(round, last, last_term):
                end = self.journal.last
                if not self._led() and (last_term, last) >= (end.term, end.index):
                    self._send(peer, Supported(round))
            case Supported(round):
                if not self._led() and self._support.answered(peer, round, self._loop.time()):
                    self._report()
                    self.raft.campaign()
        self.stir()

    def _append(self, peer: int, append: Append) -> None:
        if append.term >= self.raft.term and peer in self._ensemble.voters:
            self._heard = self._loop.time()
            if self._spooling is not None:
                self._end_spooling()  # somebody else leads, or has the log after all
            self._adopt(append.cluster)
            after = self.peers.conflict(append)
            if after is not None:
                # First of all: a leader whose log is cut must not go on with it in its own term.
                self.raft.learn(append.term)
                self.service.end("another server leads")
                self._hold(self._cut(peer, append, after))
                return
        self.peers.appended(peer, append)

    def _adopt(self, cluster: bytes) -> None:
        promises = self._keeper.promises
        if cluster != promises.cluster:
            if self._own_cluster() != NO_CLUSTER:
                raise Malformed(f"its data are of cluster {cluster.hex()}")
            self._keeper.save(replace(promises, cluster=cluster))

    # the library

    def _make_raft(self) -> None:
        ensemble, applied = self._ensemble, self._replica.applied_zxid
        self.journal = journal = Journal(self._log, self._keeper, applied, self._added)
        place = journal.place(applied)
        self._delivered = place.index
        self._let_go = journal.base.key
        """What of the log others may do without."""
        tail = [record for entry in journal.beyond(place.index) for record in records_of(*entry)]
        self.delivery.begin([record for record in tail if record[0] > applied])
        self.proposals = Proposals(ensemble.me, int.from_bytes(os.urandom(6)), self._send)
        self.peers = Peers(journal, self.proposals, self._cluster, lambda: self._delivered, self._send)
        observers = ensemble.addresses.keys() - ensemble.voters
        self.raft = Raft(
            ensemble.me,
            ensemble.voters,
            observers,
            journal,
            self.peers,
            self._timing(),
            (place.index, place.term),
            ensemble.directory,
        )
        self.peers.use(self.raft)
        self._term = self.raft.term

    def _timing(self) -> Timing:
        sync = self._ensemble.sync_limit
        if len(self._ensemble.voters) == 1:
            return Timing(0.005, (0.02, 0.03), (0.02, 0.03), sync)
        # The greatest id first: two who ask at the same time may each have too few votes.
        low = 0.16 + 0.1 * self._rank()
        return Timing(0.05, (low, low + 0.06), (sync / 2, sync), sync)

    def _rank(self) -> int:
        return sum(voter > self._ensemble.me for voter in self._ensemble.voters)

    def _report(self) -> None:
        """To the library who is there: with anybody there, it stands for election when its time is up."""
        voters = self._ensemble.voters
        enough = self.raft.leads or self._support.stands(self._loop.time())
        for peer, link in self.peers.links.items():
            if (enough or peer not in voters) and not link.lags and not link.paused:
                self.raft.up(peer)
            elif peer in voters:
                self.raft.down(peer)

    def _majority_near(self) -> bool:
        voters = self._ensemble.voters
        near = len(voters & self.peers.links.keys()) + (self._ensemble.me in voters)
        return 2 * near > len(voters)

    def _led(self) -> bool:
        """Whether there is a leader, and not a silent one."""
        if self.raft.leads:
            return self._majority_near()
        silent = self._loop.time() - self._heard
        return self.leader is not None and silent < self._ensemble.sync_limit / 2

    def _leads(self) -> bool:
        """Whether a majority is there, and has confirmed of late that it knows of no later leader."""
        now, limit = self._loop.time(), self._ensemble.sync_limit
        if not self._majority_near():
            self._asked = self._answered = _NEVER
            return False
        if now - self._asked > limit / 8:
            self._asked = now
            self.reads.ask(self.raft.term, self._committed_key(), self._ensemble.me, SIGN)
        return now - self._answered < limit

    def _follows(self) -> bool:
        """Whether this server and its leader hear each other, and the leader a majority."""
        now, limit = self._loop.time(), self._ensemble.sync_limit
        leader = self.leader
        if leader is None or now - self._heard > limit:
            return False
        if now - self._asked > limit / 8:
            self._asked = now
            self._send(leader, AskBarrier(SIGN))
        return now - self._answered < limit

    def _canvass(self) -> None:
        """Ask who would vote for this server, if it may stand for election."""
        raft = self.raft
        voter = self._ensemble.me in self._ensemble.voters
        if voter and not raft.leads and not self._led() and self._spooling is None and not self._failed:
            self._support.ask(self.journal.last.index, self.journal.last.term)

    def _added(self, command: bytes, key: int) -> None:
        """To the log, by the library."""
        records = records_of(command, key)
        if not records:
            return
        me, run = self._ensemble.me, self.proposals.run
        zxid = records[0][0]
        for segment in unpack(command):
            if segment.server == me and segment.run == run:
                count = len(segment.txns)
                self.waiters.ordered(
                    list(
                        zip(
                            range(zxid, zxid + count),
                            range(segment.first, segment.first + count),
                            strict=True,
                        )
                    )
                )
            zxid += len(segment.txns)
        if self.raft.leads:
            self.service.proposed(records)
        applied = self._replica.applied_zxid
        if records[0][0] <= applied:
            # A snapshot may have a part of the entry behind it.
            records = [record for record in records if record[0] > applied]
        self.delivery.append(records)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._failed:
                continue
            try:
                if self._spooling is not None:
                    # The leader is to know that this server is alive; to the library it says nothing.
                    self._send(self._spooling, Next(self.raft.term, 0, 1, False, False))
                if self._held is None:
                    self._pass_time()
            except Exception as error:
                self._fail(error)

    def _pass_time(self) -> None:
        if self._spooling is not None and self._loop.time() - self._spooled > self._ensemble.sync_limit:
            # With the connection ends what the leader still has under way, and believes to arrive.
            self.channel.drop(self._spooling)
        self._let_go_of_log()
        self._canvass()
        self._report()
        self.stir()

    def _let_go_of_log(self) -> None:
        # Of what one who lags far lacks, the state is the shorter account, and the quicker one
        # (ZooKeeper's snapshotSizeFactor); but nobody is sent an older state than may be cut from it.
        journal = self.journal
        zxid = max(self._log.reach(self._replica.size // 3), self._log.unwanted - 1)
        zxid = min(zxid, self._replica.applied_zxid)
        since = self._outgoing.since
        if since is not None:
            zxid = min(zxid, since)
        if zxid > self._let_go and not (self._log.size < _PATIENT and self._followed_before(zxid)):
            journal.begin_at(zxid)
            self._let_go = zxid
        self._log.needed = journal.base.key

    def _followed_before(self, zxid: int) -> bool:
        """Whether a peer that is connected has yet to get what would be let go of."""
        matched = [link.matched for link in self.peers.links.values() if link.matched and not link.lags]
        return self.raft.leads and min(matched, default=sys.maxsize) < self.journal.place(zxid).index

    def _synced(self, zxid: int, error: Exception | None) -> None:
        if self._failed:
            return
        if error is not None:
            self._fail(error)
            return
        self._meter.synced(self._committer.last_seconds)
        if self._held is not None:
            return  # the log is another one in a moment, and on disk as it is
        try:
            self._on_disk()
        except Exception as caught:
            self._fail(caught)

    def _on_disk(self) -> None:
        self.journal.synced()
        self.peers.synced()
        self.stir()

    def _fail(self, error: Exception) -> None:
        """Leave the ensemble as if killed: the others go on. What was to be done may be half done, so nothing
        more of it may be."""
        self._failed = True
        # What nobody thought of is a bug, and its place worth knowing.
        trace = None if isinstance(error, OSError) else error
        log.error("this server takes no part any more: %s", error, exc_info=trace)
        self._end_leading()
        self.service.end(str(error))
        self.channel.drop_all()
        if isinstance(error, LogFull | NotKept | Unusable) and self._held is None:
            self._later(_RETRY, self._return)

    def _return(self) -> None:
        """Begin anew with what is on disk, as after a crash: there may be room again."""
        self._committer.pause()
        self._log.rollback()
        self.raft.destroy()
        self._end_spooling()
        self._failed = False
        try:
            self._make_raft()
        except Exception as error:
            self._fail(error)
            return
        self.channel.drop_all()
        self._work()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        def call() -> None:
            self._timers.discard(timer)
            what()

        timer = self._loop.call_later(seconds, call)
        self._timers.add(timer)

    def _work(self) -> None:
        """Have the library do what is due; then apply what is committed."""
        self._stirred = False
        if self._failed or self._held is not None:
            return
        try:
            self._go_on()
        except Exception as error:
            self._fail(error)

    def _go_on(self) -> None:
        raft, journal, proposals = self.raft, self.journal, self.proposals
        self._lead()
        if self.service.serving:
            self.waiters.hand_to(proposals)
            for number in proposals.barriers:
                self.reads.ask(raft.term, self._committed_key(), self._ensemble.me, number)
            proposals.barriers.clear()
        if journal.durable == journal.last.index:
            # While one batch is on its way to this disk, what comes goes together behind it.
            while (offer := proposals.offer()) is not None:
                raft.propose(*offer)
        if self._spooling is None:
            raft.tick()
            self._lead()
            self.peers.flush()
        if journal.durable < journal.last.index:
            self._committer.kick()
        self._deliver()
        self.reads.begin()
        if any(number == SIGN for number, _ in self.reads.own):
            self._answered = self._asked
            self.stir()
        self.waiters.placed(self.reads.own)
        self.reads.own.clear()
        refused = self.waiters.refused(proposals.refused)
        proposals.refused.clear()
        if refused:
            self._replica.dropped(refused, NOBODY, unknown=False)
        for peer in self.peers.laggards:
            self._outgoing.begin(peer, self._replica)
        self.peers.laggards.clear()

    def _lead(self) -> None:
        """See to it that nothing of one leadership goes over into the next."""
        raft, proposals = self.raft, self.proposals
        leader = self.leader
        if raft.term != self._term or leader != proposals.leader:
            if proposals.leader == self._ensemble.me:
                self._end_leading()
            self._term = raft.term
            proposals.leader = leader
            self._asked = self._answered = _NEVER
            if leader is not None:
                self._support.end()
            self.service.end("the leader has changed" if leader is not None else NOBODY)
            self._report()
        elif raft.leads and self.journal.last.key & 0xFFFF_FFFF > _LAST:
            log.info("term %d has no more numbers for transactions", raft.term)
            raft.step_down()

    def _end_leading(self) -> None:
        self.proposals.leader = None
        self.proposals.stop()
        self.reads.end()
        self._outgoing.end_all()
        self.peers.end_leading()

    def _leads_still(self) -> bool:
        """As far as this server knows, and in a term in which something is committed."""
        raft = self.raft
        return raft.leads and self.journal.term_at(raft.commit) == raft.term

    def _committed_key(self) -> int:
        return self.journal.key_at(self.raft.commit)

    def _deliver(self) -> None:
        journal, raft = self.journal, self.raft
        committed = min(raft.applied, journal.durable)
        key = journal.key_at(committed)
        self.service.committed(key)
        if self.delivery.deliver(key):
            self._delivered = journal.place(self._replica.applied_zxid).index
            self.stir()
        else:
            self._delivered = committed
        journal.forget(self._delivered)
        serving = self._spooling is None and journal.term_at(committed) == raft.term
        serving = serving and (self._leads() if raft.leads else self._follows())
        leader = self.leader
        self.service.follow(
            Standing(serving, raft.leads, raft.term, leader, key, NOBODY), self.delivery.reached
        )

    def _send(self, peer: int, message: Message) -> None:
        shared, rest = self._packer.pack(message)
        if shared is None:
            self.channel.send(peer, CORE, rest)
        else:
            self.channel.send_shared(peer, shared, rest)

    # log and snapshots

    def _hold(self, work: Coroutine[None, None, None]) -> None:
        """Let peers wait until that is done."""
        self._held = []
        self._rebuilding = self._loop.create_task(self._rebuilt(work))

    async def _rebuilt(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:
            self._held = None
            self._fail(error)
            return
        held, self._held = self._held or [], None
        if self._failed:
            self._return()
            return
        try:
            self._on_disk()
            self._work()
            self._catch_up(held)
        except Exception as error:
            self._fail(error)

    def _catch_up(self, held: list[tuple[int, Message]]) -> None:
        while held and self._held is None:
            self._hear(*held.pop(0))
        if self._held is not None:
            self._held += held

    async def _cut(self, peer: int, append: Append, after: int) -> None:
        """What lies beyond that index is another leader's; then hear what this one has in its place."""
        await self._rebuild.truncate(self.journal.key_at(after))
        self.journal.truncate(after)
        if not self._failed and peer in self.peers.links:
            self.peers.appended(peer, append)

    def _install(self, peer: int, install: Install) -> None:
        if peer == self._spooling and install.term >= self.raft.term:
            self._adopt(install.cluster)
            self._hold(self._restore(peer, install))

    async def _restore(self, peer: int, install: Install) -> None:
        base = Base(install.zxid, install.key, install.index, install.entry_term)
        self._keeper.begin(base)
        await self._rebuild.restore(install.zxid, install.key)
        self.journal.begin(base)
        self._delivered = install.index
        self._spooling = None
        if not self._failed:
            self.raft.installed(peer, install.term, install.index, install.entry_term)

    def _spool(self, peer: int, chunk: bytes, *, begins: bool) -> None:
        try:
            if begins:
                self._incoming.begin()
                self._spooling = peer
                self.service.end("this server lacks what the log no longer has")
            self._incoming.add(chunk)
            self._spooled = self._loop.time()
        except OSError as error:
            self._fail(Unusable(f"the leader's snapshot has no place: {error}"))

    def _end_spooling(self) -> None:
        self._spooling = None
        self._incoming.discard()

    def _snapshot_sent(self, learner: int, zxid: int) -> None:
        try:
            place = self.journal.place(zxid)
        except Exception as error:
            self._fail(error)
            return
        if self.raft.leads and not self._failed:
            install = Install(self.raft.term, zxid, place.key, place.index, place.term, self._cluster())
            self._send(learner, install)

    def _cluster(self) -> bytes:
        return self._keeper.promises.cluster

    def _own_cluster(self) -> bytes:
        """Whose data this server holds, if it holds any. The beginning of a term is none: who was elected
        first may be alone with it, while the others go on with another leader's."""
        return NO_CLUSTER if self.journal.fresh else self._cluster()
