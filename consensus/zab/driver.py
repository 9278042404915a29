"""Drives the core: tells it what clock, peers and disk say, and does what it wants done, in its order."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Final

from ...storage.committer import Committer
from ...storage.log import Log, LogFull, LogGap
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
from .core import Core, Role
from .history import History
from .keeper import Keeper
from .messages import Message, Ping
from .reader import Reader
from .ready import Ready
from .server import Limits
from .wire import CORE, Malformed, decode, encode_all

_RETRY: Final = 5.0
"""Seconds until a server that has no room for its log, or for a snapshot, tries to take part again."""
_PATIENT: Final = 1 << 30
"""Bytes that the log may have for the sake of servers that follow, but slower than others write."""

TO_LEADER: Final = 2
"""The channel's kind of what a replica says to its leader's."""

log = logging.getLogger(__name__)


class Driver:
    """core: as it stands. service, waiters, delivery: what it is to those above; channel: to its peers."""

    def __init__(
        self, ensemble: Ensemble, txn_log: Log, keeper: Keeper, replica: Replica, meter: Meter
    ) -> None:
        """Raises LogGap, OSError."""
        self._ensemble = ensemble
        self._log = txn_log
        self._keeper = keeper
        self._replica = replica
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        identity = Identity(ensemble.me, "zab", ensemble.secret, self._cluster)
        self.channel = Channel(identity, ensemble.addresses, self)
        self.waiters = Waiters(meter)
        self.service = Service(replica, meter, self.waiters)
        self.delivery = Delivery(replica, self.waiters)
        self._reader = Reader(txn_log)
        self._outgoing = Outgoing(self.channel, self._snapshot_sent)
        self._incoming = Incoming(ensemble.directory)
        self._held: list[tuple[int, Message]] | None = None
        """What peers say while log and state are rebuilt."""
        self._rebuilding: asyncio.Task[None] | None = None
        self._returning: asyncio.TimerHandle | None = None
        self._failed = False
        self._stirred = False
        """There is work to do in the loop's next turn."""
        self._incoming.discard()
        lead_up(txn_log, replica.applied_zxid, self._incoming)
        self._make_core()
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
        await self.channel.stop()
        self._failed = True
        await self._outgoing.stop()
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.wait((self._rebuilding,))
        if self._returning is not None:
            self._returning.cancel()
        self._committer.close()

    def stir(self) -> None:
        """Work once for all that comes in this turn of the loop: clients, peers, the disk."""
        if not self._stirred:
            self._stirred = True
            self._loop.call_soon(self._work)

    # the channel's owner

    def connected(self, peer: int) -> None:
        """Tell it what it should know."""
        self.core.connected(peer)
        self._work()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        self._reader.forget(peer)
        self._outgoing.end(peer)
        if peer == self.core.leader_id and self._held is None:
            self._incoming.discard()
        if self._held is not None:
            self._held = [held for held in self._held if held[0] != peer]
        self.core.disconnected(peer)
        self._work()

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        """Whatever a peer says."""
        if self._failed:
            return
        try:
            if kind == CORE:
                self._receive(peer, payload)
            elif kind == TO_LEADER:
                self._replica.heard(payload)
            elif kind in (BEGINS, CHUNK) and peer == self.core.leader_id and self._held is None:
                self._spool(payload, begins=kind == BEGINS)
        except Exception as error:
            self._fail(error)

    def _receive(self, peer: int, payload: bytes) -> None:
        try:
            message = decode(payload)
        except Malformed as error:
            log.warning("server %d is disconnected: %s", peer, error)
            self.channel.drop(peer)
            return
        if self._held is None:
            self._hear(peer, message)
        elif not isinstance(message, Ping):
            self._held.append((peer, message))
        elif peer == self.core.leader_id:
            # It may take long, and the leader is to know that this server is alive.
            self.core.receive(peer, message)
            self._send(self.core.take().messages)

    def _hear(self, peer: int, message: Message) -> None:
        self.core.receive(peer, message)
        ready = self.core.server.ready
        if ready.truncate is not None or ready.restore is not None:
            self._work()  # before anything else counts on the log to be as the core sees it
        else:
            self.stir()

    def _spool(self, chunk: bytes, *, begins: bool) -> None:
        try:
            if begins:
                self._incoming.begin()
            self._incoming.add(chunk)
        except OSError as error:
            self._fail(Unusable(f"the leader's snapshot has no place: {error}"))

    # the core

    def _make_core(self) -> None:
        ensemble = self._ensemble
        applied = self._replica.applied_zxid
        self.delivery.begin(self._log.read(applied))
        self.core = Core(
            ensemble.me,
            ensemble.voters,
            frozenset(ensemble.addresses),
            Limits.of(ensemble),
            self._keeper.promises,
            begins=self._log.first_zxid - 1,
            last=self._log.last_zxid,
            applied=applied,
            link=int.from_bytes(os.urandom(6)) << 8,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._held is None and not self._failed:
                try:
                    self._pass_time()
                except Exception as error:
                    self._fail(error)

    def _pass_time(self) -> None:
        # Of what one who lags far lacks, the state is the shorter account, and the quicker one
        # (ZooKeeper's snapshotSizeFactor); but nobody is sent an older state than may be cut from it.
        self.core.server.log_begins = max(
            self._log.first_zxid - 1,
            min(self._log.reach(self._replica.size // 3), self._replica.applied_zxid),
        )
        if self.core.leader is None:
            self._outgoing.end_all()
        self._log.needed = self._needed()
        self.core.tick()
        self.stir()

    def _needed(self) -> int:
        """The log is to keep what lies beyond this zxid: a learner would need a snapshot without it, the
        next one perhaps as soon as it has that."""
        wanted = [self._outgoing.since]
        leader = self.core.leader
        if leader is not None:
            wanted.append(leader.streams.behind(serving=False))
            if self._log.size < _PATIENT:
                wanted.append(leader.streams.behind(serving=True))
        return min((zxid for zxid in wanted if zxid is not None), default=sys.maxsize)

    def _synced(self, zxid: int, error: Exception | None) -> None:
        if self._failed:
            return
        if error is None:
            self._meter.synced(self._committer.last_seconds)
            if self._held is not None:
                return  # the log is another one in a moment, and on disk as it is
            if self._log.last_zxid != zxid:
                self._committer.kick()
            # Not zxid: what was on disk when that sync ended may have been cut off since.
            self.core.synced(self._log.durable_zxid)
            self.stir()
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Leave the ensemble as if killed: the others go on. What the core wanted done may be half done, so
        nothing more of it may be."""
        self._failed = True
        # What nobody thought of is a bug, and its place worth knowing.
        trace = None if isinstance(error, OSError) else error
        log.error("this server takes no part any more: %s", error, exc_info=trace)
        self.service.end(str(error))
        self.channel.drop_all()
        if isinstance(error, LogFull | NotKept | Unusable) and self._held is None:
            self._returning = self._loop.call_later(_RETRY, self._return)

    def _return(self) -> None:
        """Begin anew with what is on disk, as after a crash: there may be room again."""
        self._committer.pause()
        self._log.rollback()
        self._failed = False
        self._make_core()
        self.channel.drop_all()
        self._work()

    def _work(self) -> None:
        """Do what the core wants done, in its order; then apply what is committed."""
        self._stirred = False
        if self._failed or self._held is not None:
            return
        try:
            self._go_on()
        except Exception as error:
            self._fail(error)

    def _go_on(self) -> None:
        core = self.core
        if core.serving:
            self.waiters.hand_to(core)
        while ready := core.take():
            for note in ready.notes:
                log.info("%s", note)
            if ready.truncate is not None or ready.restore is not None:
                self._held = []
                self._rebuilding = self._loop.create_task(self._rebuilt(ready))
                return
            self._do(ready)
        committed = core.server.committed
        self.service.committed(committed)
        if self.delivery.deliver(committed):
            self.stir()
        standing = Standing(
            core.serving, core.role is Role.LEADING, core.epoch, core.leader_id, committed, core.reason
        )
        self.service.follow(standing, self.delivery.reached)

    def _do(self, ready: Ready) -> None:
        core, waiters = self.core, self.waiters
        if ready.promises is not None:
            self._keeper.save(ready.promises)
        if ready.append:
            for zxid, txn in ready.append:
                self._log.append(zxid, txn)
            self.delivery.append(ready.append)
            if core.leader is not None:
                self.service.proposed(ready.append)
            self._committer.kick()
        waiters.ordered(ready.own)
        self._send(ready.messages)
        refused = waiters.refused(ready.refused)
        refused += waiters.refused([number for number, zxid in ready.barriers if zxid < 0])
        if refused:
            self._replica.dropped(refused, NOBODY, unknown=False)
        waiters.placed(ready.barriers)
        for peer in ready.drop:
            self.channel.drop(peer)
        for learner, after in ready.read:
            records = self._reader.read(learner, after)
            if records == []:
                records = self.delivery.beyond(after)  # not on disk yet
            core.records(learner, after, records)
        for learner in ready.snapshots:
            self._outgoing.begin(learner, self._replica)

    def _send(self, messages: list[tuple[int, Message]]) -> None:
        for peer, shared, rest in encode_all(messages):
            if shared is None:
                self.channel.send(peer, CORE, rest)
            else:
                self.channel.send_shared(peer, shared, rest)

    # log and snapshots

    async def _rebuilt(self, ready: Ready) -> None:
        """Go on with log and state as the core sees them, and with what was said meanwhile."""
        self._reader.forget_all()
        try:
            if ready.restore is not None:
                await self._rebuild.restore(ready.restore, ready.restore)
            elif ready.truncate is not None:
                await self._rebuild.truncate(ready.truncate)
            held, self._held = self._held or [], None
            if self._failed:
                self._return()
                return
            self._do(ready)
            self.core.synced(self._log.durable_zxid)
            self._work()
            self._catch_up(held)
        except Exception as error:
            self._held = None
            self._fail(error)

    def _catch_up(self, held: list[tuple[int, Message]]) -> None:
        while held and self._held is None:
            self._hear(*held.pop(0))
        if self._held is not None:
            self._held += held

    def _snapshot_sent(self, learner: int, zxid: int) -> None:
        history = History(self.core.server.history.tails)
        history.truncate(zxid)
        self.core.snapshot_sent(learner, zxid, history.tails)
        self._work()

    def _cluster(self) -> bytes:
        """Whose data this server holds, if it holds any."""
        return self._keeper.promises.cluster if self.core.server.history.last else NO_CLUSTER


def lead_up(txn_log: Log, applied: int, incoming: Incoming) -> None:
    """Have the log lead up to the state, if a crash came between the two while a snapshot took their place.
    Raises LogGap where none did: nobody knows what else is missing; OSError."""
    if incoming.path.exists():
        if applied >= txn_log.first_zxid and next(txn_log.read(applied - 1), (0, b""))[0] != applied:
            txn_log.restart(applied)
        incoming.done()
    elif applied > txn_log.last_zxid:
        raise LogGap(f"the log ends with zxid {txn_log.last_zxid:#x}, not {applied:#x}")
