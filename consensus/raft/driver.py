"""Drives the core: tells it what clock, peers and disk say, and carries out what it wants done."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Final

from ...storage.committer import Committer
from ...storage.log import Log, LogFull
from ..channel import Channel
from ..contract import Meter, Replica
from ..delivery import Delivery
from ..ensemble import TICK, Ensemble
from ..identity import Identity
from ..kept import NotKept
from ..rebuild import Rebuild
from ..service import NOBODY, Service, Standing
from ..transfer import BEGINS, CHUNK, Incoming, Outgoing, Unusable
from ..waiters import Waiters
from .command import Malformed, numbered, records_of, unpack
from .core import Core
from .election import rank_of, timing_of
from .journal import Journal
from .keeper import Base, Keeper
from .library import Raft
from .messages import Append, Install, Message
from .retention import Retention
from .wire import CORE, Packer, decode

_RETRY: Final = 5.0
"""Seconds until a server that has no room for its log, or for a snapshot, tries to take part again."""

TO_LEADER: Final = 2
"""The channel's kind of what a replica says to its leader's."""

log = logging.getLogger(__name__)


class Driver:
    """core: as it stands. service, waiters, delivery: what it is to those above; channel: to its peers.

    Implements core.Host."""

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
        identity = Identity(ensemble.me, "raft", ensemble.secret, lambda: self.core.own_cluster())
        self.channel = Channel(identity, ensemble.addresses, self)
        self.waiters = Waiters(meter)
        self.service = Service(replica, meter, self.waiters)
        self.delivery = Delivery(replica, self.waiters)
        self._packer = Packer()
        self._outgoing = Outgoing(self.channel, self._snapshot_sent)
        self._incoming = Incoming(ensemble.directory)
        self._held: list[tuple[int, Message]] | None = None
        """What peers say while log and state are rebuilt."""
        self._rebuilding: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._failed = False
        self._stirred = False
        """There is work to do in the loop's next turn."""
        self._incoming.discard()
        self._make_core()
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
        if self.core.raft.leads and not self._failed:
            self.core.raft.transfer()
        self._failed = True
        for timer in self._timers:
            timer.cancel()
        await self.channel.stop()
        await self._outgoing.stop()
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.wait((self._rebuilding,))
        self._committer.close()
        self.core.raft.destroy()

    def stir(self) -> None:
        """Work once for all that comes in this turn of the loop: clients, peers, the disk."""
        if not self._stirred:
            self._stirred = True
            self._loop.call_soon(self._work)

    # the channel's owner

    def connected(self, peer: int) -> None:
        """Somebody to agree with."""
        self.core.connected(peer)
        self.stir()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        leader = self.core.raft.leader
        self.core.disconnected(peer)
        self._outgoing.end(peer)
        if peer == self.core.spooling and self._held is None:
            self.core.end_spooling()
        if self._held is not None:
            self._held = [held for held in self._held if held[0] != peer]
        if peer == leader and not self._failed:
            # One after the other: the first to ask is likely to have won before the next one does.
            self._later(0.01 * rank_of(self._ensemble), self._canvass)
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
            elif kind in (BEGINS, CHUNK) and peer == self.core.raft.leader and self._held is None:
                self._spool(peer, payload, begins=kind == BEGINS)
        except Malformed as error:
            log.warning("server %d is disconnected: %s", peer, error)
            self.channel.drop(peer)
        except Exception as error:
            self._fail(error)

    def _hear(self, peer: int, message: Message) -> None:
        self.core.hear(peer, message)
        self.stir()

    def _spool(self, peer: int, chunk: bytes, *, begins: bool) -> None:
        try:
            if begins:
                self._incoming.begin()
            self.core.spool(peer, begins=begins)
            self._incoming.add(chunk)
        except OSError as error:
            self._fail(Unusable(f"the leader's snapshot has no place: {error}"))

    # the core's host

    def send(self, peer: int, message: Message) -> None:
        """Over the channel."""
        shared, rest = self._packer.pack(message)
        if shared is None:
            self.channel.send(peer, CORE, rest)
        else:
            self.channel.send_shared(peer, shared, rest)

    def drop(self, peer: int) -> None:
        """The channel will connect again."""
        self.channel.drop(peer)

    def cut(self, peer: int, append: Append, after: int) -> None:
        """In a while."""
        self._hold(self._cut(peer, append, after))

    def install(self, peer: int, install: Install) -> None:
        """In a while, unless it is older than what there is."""
        if install.zxid < self._replica.applied_zxid:
            # Its leader has yet to apply what was committed before: then its snapshot will have it.
            log.warning("server %d sends an older state than there is: it is to send another", peer)
            self.core.end_spooling()
            self.channel.drop(peer)
            return
        self._hold(self._restore(peer, install))

    def discard(self) -> None:
        """The file of it."""
        self._incoming.discard()

    def placed(self, barriers: list[tuple[int, int]]) -> None:
        """They are passed once that is applied."""
        self.waiters.placed(barriers)

    def end_service(self, reason: str) -> None:
        """Until the core can serve again."""
        self.service.end(reason)

    def end_leading(self) -> None:
        """Of snapshots, too."""
        self._outgoing.end_all()
        self.core.peers.end_leading()

    # the core

    def _make_core(self) -> None:
        ensemble, applied = self._ensemble, self._replica.applied_zxid
        restoring = self._incoming.path.exists()
        journal = Journal(self._log, self._keeper, applied, self._added, restoring=restoring)
        place = journal.place(applied)
        tail = [record for entry in journal.beyond(place.index) for record in records_of(*entry)]
        self.delivery.begin([record for record in tail if record[0] > applied])
        run = int.from_bytes(os.urandom(6))
        core = Core(ensemble, journal, self._keeper, place.index, run, self._loop.time, self)
        raft = Raft(
            ensemble.me,
            ensemble.voters,
            ensemble.addresses.keys() - ensemble.voters,
            journal,
            core.peers,
            timing_of(ensemble),
            (place.index, place.term),
            ensemble.directory,
        )
        core.use(raft)
        self.core = core
        self._retention = Retention(self._log, self._replica, core)

    def _added(self, command: bytes, key: int) -> None:
        """To the log, by the library."""
        segments = unpack(command)
        if not segments:
            return
        records = numbered(segments, key)
        self.waiters.ordered(self.core.proposals.own(segments, records[0][0]))
        if self.core.raft.leads:
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
                self.core.alive()
                if self._held is None:
                    self._retention.let_go(self._outgoing.since)
                    self.core.tick()
                    self.stir()
            except Exception as error:
                self._fail(error)

    def _canvass(self) -> None:
        if not self._failed:
            self.core.canvass()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        def call() -> None:
            self._timers.discard(timer)
            what()

        timer = self._loop.call_later(seconds, call)
        self._timers.add(timer)

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
        self.core.synced()
        self.stir()

    def _fail(self, error: Exception) -> None:
        """Leave the ensemble as if killed: the others go on. What was to be done may be half done, so nothing
        more of it may be."""
        self._failed = True
        # What nobody thought of is a bug, and its place worth knowing.
        trace = None if isinstance(error, OSError) else error
        log.error("this server takes no part any more: %s", error, exc_info=trace)
        self.core.end_leading()
        self.service.end(str(error))
        self.channel.drop_all()
        if isinstance(error, LogFull | NotKept | Unusable) and self._held is None:
            self._later(_RETRY, self._return)

    def _return(self) -> None:
        """Begin anew with what is on disk, as after a crash: there may be room again."""
        self._committer.pause()
        self._log.rollback()
        self.core.raft.destroy()
        self.core.end_spooling()
        self._failed = False
        try:
            self._make_core()
        except Exception as error:
            self._fail(error)
            return
        self.channel.drop_all()
        self._work()

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
        core = self.core
        core.turn()
        if self.service.serving:
            self.waiters.hand_to(core.proposals)
        core.order()
        if core.journal.durable < core.journal.last.index:
            self._committer.kick()
        self._deliver()
        if core.confirm():
            self.stir()
        refused = self.waiters.refused(core.proposals.refused)
        core.proposals.refused.clear()
        if refused:
            self._replica.dropped(refused, NOBODY, unknown=False)
        for peer in core.peers.laggards:
            self._outgoing.begin(peer, self._replica)
        core.peers.laggards.clear()

    def _deliver(self) -> None:
        core = self.core
        committed = core.due()
        self.service.committed(committed)
        more = self.delivery.deliver(committed)
        if more:
            self.stir()
        core.applied(self._replica.applied_zxid, more=more)
        raft, leader = core.raft, core.election.leader
        standing = Standing(core.serves(), raft.leads, raft.term, leader, committed, NOBODY)
        self.service.follow(standing, self.delivery.reached)

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
        while held and self._held is None and not self._failed:
            self._hear(*held.pop(0))
        if self._held is not None:
            self._held += held

    async def _cut(self, peer: int, append: Append, after: int) -> None:
        """What lies beyond that index is another leader's; then hear what this one has in its place."""
        core = self.core
        await self._rebuild.truncate(core.journal.key_at(after))
        core.journal.truncate(after)
        if not self._failed and peer in core.peers.links:
            core.peers.appended(peer, append)

    async def _restore(self, peer: int, install: Install) -> None:
        base = Base(install.zxid, install.key, install.index, install.entry_term)
        self._keeper.begin(base)
        await self._rebuild.restore(install.zxid, install.key)
        self.core.begin(base)
        if not self._failed:
            self.core.raft.installed(peer, install.term, install.index, install.entry_term)

    def _snapshot_sent(self, learner: int, zxid: int) -> None:
        if self._failed:
            return
        try:
            self.core.snapshot_sent(learner, zxid)
        except Exception as error:
            self._fail(error)
