"""ZAB as a backend: drives the core with a clock, the log, the channel to its peers, the replica above."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

from ...storage.committer import Committer
from ...storage.log import Log, LogDamaged, LogFull, LogGap
from ..channel import NO_CLUSTER, Channel, Identity
from ..contract import Entry, Meter, NotServing, Peer, Replica, Status, Waiter
from ..contract import Role as Standing
from .core import Core, Role
from .history import History
from .keeper import Keeper
from .messages import Message, Ping, Record
from .ready import Ready
from .server import Limits
from .transfer import BEGINS, CHUNK, Incoming, Outgoing, Unusable
from .wire import Malformed, decode, encode

_TICK: Final = 0.02
_SETTLE: Final = 3
"""Ticks to wait for better votes: what a majority knows by then is what a later vote could add to."""
_REACH: Final = 75
"""Ticks until a new leader must be connected: longer than the channel's pause between two tries."""
_READ: Final = 256 << 10
"""Bytes of log that are read at a time for a learner."""
_STEP: Final = 1000
"""Entries that are applied before others have their turn."""
_RETRY: Final = 5.0
"""Seconds until a server that has no room for its log, or for a snapshot, tries to take part again."""
_PATIENT: Final = 1 << 30
"""Bytes that the log may have for the sake of servers that follow, but slower than others write."""

_CORE: Final = 1
_TO_LEADER: Final = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """me: this server's id. addresses: of every server's quorum port, by id. Limits in seconds.
    secret proves to a peer that a server belongs to the ensemble. directory: where promises are kept."""

    me: int
    voters: frozenset[int]
    addresses: Mapping[int, tuple[str, int]]
    init_limit: float
    sync_limit: float
    secret: bytes
    directory: Path


class Zab:
    """Implements consensus.contract.Consensus."""

    def __init__(self, ensemble: Ensemble, txn_log: Log, meter: Meter) -> None:
        self._ensemble = ensemble
        self._log = txn_log
        self._meter = meter
        self._keeper = Keeper(ensemble.directory / "promises")
        self._incoming = Incoming(ensemble.directory)
        self._limits = Limits(
            init=round(ensemble.init_limit / _TICK),
            sync=round(ensemble.sync_limit / _TICK),
            ping=max(1, round(min(0.5, ensemble.sync_limit / 8) / _TICK)),
            reach=_REACH,
            settle=_SETTLE,
        )
        if self._keeper.promises.cluster == NO_CLUSTER:
            self._keeper.save(replace(self._keeper.promises, cluster=os.urandom(len(NO_CLUSTER))))
        identity = Identity(ensemble.me, "zab", ensemble.secret, self._cluster)
        self._channel = Channel(identity, ensemble.addresses, self)
        self._outgoing = Outgoing(self._channel, self._snapshot_sent)
        self._serving = False
        self._epoch: int | None = None
        """That in which this server leads."""
        self._batch: list[tuple[bytes, Waiter]] = []
        self._asking: list[Waiter] = []
        self._waiting: dict[int, Waiter] = {}
        """By number: proposals without a zxid yet, and barriers."""
        self._by_zxid: dict[int, Waiter] = {}
        self._barriers: deque[tuple[int, Waiter]] = deque()
        self._tail: deque[Record] = deque()
        """Of the log: what is not applied yet."""
        self._readers: dict[int, tuple[int, Iterator[Record]]] = {}
        self._held: list[tuple[int, Message]] | None = None
        """What peers say while the log is cut, or a snapshot takes the state's place."""
        self._rebuilding: asyncio.Task[None] | None = None
        self._returning: asyncio.TimerHandle | None = None
        self._failed = False
        self._stirred = False
        """There is work to do in the loop's next turn."""
        self._since = monotonic()
        """When this server began to serve, or to look for a leader."""
        self._undecided: deque[tuple[int, float]] = deque()
        """(the last zxid of a batch, when it was proposed here)."""

    # Consensus

    @property
    def status(self) -> Status:
        """As this server sees it."""
        core = self._core
        role = Standing.LOOKING
        if self._serving:
            led = core.role is Role.LEADING
            voter = self._ensemble.me in self._ensemble.voters
            role = Standing.LEADER if led else Standing.FOLLOWER if voter else Standing.OBSERVER
        pending = 0 if core.leader is None else core.leader.pending_syncs
        lag = len(self._tail)
        return Status(role, core.epoch, core.leader_id, self._peers(), lag, core.phase, self._since, pending)

    def _peers(self) -> tuple[Peer, ...]:
        ensemble, leader = self._ensemble, self._core.leader
        connected = self._channel.peers
        peers = []
        for sid in sorted(ensemble.addresses.keys() - {ensemble.me}):
            peer = Peer(sid, sid not in ensemble.voters, sid in connected, self._channel.sent[sid])
            learner = leader.learners.get(sid) if leader is not None else None
            if leader is not None and learner is not None:
                peer = peer._replace(follows=True, synced=learner.serving, lag=leader.lag(learner))
            peers.append(peer)
        return tuple(peers)

    async def start(self, replica: Replica) -> None:
        """Take part. The log's tail is applied as far as a leader confirms it."""
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        self._incoming.discard()
        applied = replica.applied_zxid
        if applied >= self._log.first_zxid and next(self._log.read(applied - 1), (0, b""))[0] != applied:
            # The log does not lead up to this state: a restore was cut off between the engine and the log.
            self._log.restart(applied)
        self._make_core()
        self._committer = Committer(self._log, self._loop, self._synced)
        await self._channel.start()
        self._ticking = self._loop.create_task(self._tick())
        self._work()

    async def stop(self) -> None:
        """Let go of everything; what is not committed yet is for the others to decide."""
        self._serve(False, "this server is stopping")
        self._ticking.cancel()
        await self._channel.stop()
        self._failed = True
        await self._outgoing.stop()
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.wait((self._rebuilding,))
        if self._returning is not None:
            self._returning.cancel()
        self._committer.close()

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Take txn into the next batch."""
        if not self._serving:
            raise NotServing("there is no leader with a majority")
        self._batch.append((txn, waiter))
        self._stir()

    def barrier(self, waiter: Waiter) -> None:
        """Have the leader ask a majority."""
        if not self._serving:
            raise NotServing("there is no leader with a majority")
        self._asking.append(waiter)
        self._stir()

    def to_leader(self, message: bytes) -> None:
        """By the same way as all else."""
        leader = self._core.leader_id
        if leader is not None:
            self._channel.send(leader, _TO_LEADER, message)

    # the channel's owner

    def connected(self, peer: int) -> None:
        """Tell it what it should know."""
        self._core.connected(peer)
        self._work()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        self._readers.pop(peer, None)
        self._outgoing.end(peer)
        if peer == self._core.leader_id and self._held is None:
            self._incoming.discard()
        if self._held is not None:
            self._held = [held for held in self._held if held[0] != peer]
        self._core.disconnected(peer)
        self._work()

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        """Whatever a peer says."""
        if self._failed:
            return
        if kind == _CORE:
            self._receive(peer, payload)
        elif kind == _TO_LEADER:
            self._replica.heard(payload)
        elif kind in (BEGINS, CHUNK) and peer == self._core.leader_id and self._held is None:
            self._spool(payload, begins=kind == BEGINS)

    def _receive(self, peer: int, payload: bytes) -> None:
        try:
            message = decode(payload)
        except Malformed as error:
            log.warning("server %d is disconnected: %s", peer, error)
            self._channel.drop(peer)
            return
        if self._held is None:
            self._core.receive(peer, message)
            ready = self._core.server.ready
            if ready.truncate is not None or ready.restore is not None:
                self._work()  # before anything else counts on the log to be as the core sees it
            else:
                self._stir()
        elif not isinstance(message, Ping):
            self._held.append((peer, message))
        elif peer == self._core.leader_id:
            # It may take long, and the leader is to know that this server is alive.
            self._core.receive(peer, message)
            self._send(self._core.take().messages)

    # the core

    def _make_core(self) -> None:
        ensemble = self._ensemble
        applied = self._replica.applied_zxid
        self._tail.clear()
        self._tail.extend(self._log.read(applied))
        self._core = Core(
            ensemble.me,
            ensemble.voters,
            frozenset(ensemble.addresses),
            self._limits,
            self._keeper.promises,
            begins=self._log.first_zxid - 1,
            last=self._log.last_zxid,
            applied=applied,
            link=int.from_bytes(os.urandom(6)) << 8,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            if self._held is None and not self._failed:
                # Of what one who lags far lacks, the state is the shorter account, and the quicker one
                # (ZooKeeper's snapshotSizeFactor); but nobody is sent an older state than may be cut from it.
                self._core.server.log_begins = max(
                    self._log.first_zxid - 1,
                    min(self._log.reach(self._replica.size // 3), self._replica.applied_zxid),
                )
                if self._core.leader is None:
                    self._outgoing.end_all()
                self._log.needed = self._needed()
                self._core.tick()
                self._stir()

    def _ask(self) -> None:
        """Hand the core what clients want."""
        batch, self._batch = self._batch, []
        asking, self._asking = self._asking, []
        if batch:
            numbers = self._core.propose([txn for txn, _ in batch])
            self._waiting.update(zip(numbers, (waiter for _, waiter in batch), strict=True))
        for waiter in asking:
            self._waiting[self._core.barrier()] = waiter

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
            self._core.synced(self._log.durable_zxid)
            self._stir()
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Leave the ensemble as if killed: the others go on."""
        self._failed = True
        log.error("this server takes no part any more: %s", error)
        self._serve(False, str(error))
        self._channel.drop_all()
        if isinstance(error, LogFull | Unusable) and self._held is None:
            self._returning = self._loop.call_later(_RETRY, self._return)

    def _return(self) -> None:
        """Begin anew with what is on disk, as after a crash: there may be room again."""
        self._log.rollback()
        self._failed = False
        self._make_core()
        self._channel.drop_all()
        self._work()

    def _stir(self) -> None:
        """Work once for all that comes in this turn of the loop: clients, peers, the disk."""
        if not self._stirred:
            self._stirred = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """Do what the core wants done, in its order; then apply what is committed."""
        self._stirred = False
        if self._failed or self._held is not None:
            return
        core = self._core
        if core.serving and (self._batch or self._asking):
            self._ask()
        while ready := core.take():
            for note in ready.notes:
                log.info("%s", note)
            if ready.truncate is not None or ready.restore is not None:
                self._held = []
                self._rebuilding = self._loop.create_task(self._rebuild(ready))
                return
            self._do(ready)
        self._apply()
        self._follow()

    def _do(self, ready: Ready) -> None:
        core = self._core
        if ready.promises is not None:
            self._keeper.save(ready.promises)
        if ready.append:
            for zxid, txn in ready.append:
                self._log.append(zxid, txn)
            self._tail.extend(ready.append)
            if core.leader is not None:
                self._undecided.append((ready.append[-1][0], monotonic()))
                self._meter.proposed([len(txn) for _, txn in ready.append])
            self._committer.kick()
        for zxid, number in ready.own:
            waiter = self._waiting.pop(number, None)
            if waiter is not None:
                self._by_zxid[zxid] = waiter
        self._send(ready.messages)
        if ready.refused:
            waiters = [self._waiting.pop(number) for number in ready.refused if number in self._waiting]
            self._replica.dropped(waiters, "there is no leader with a majority", unknown=False)
        for number, zxid in ready.barriers:
            waiter = self._waiting.pop(number, None)
            if waiter is not None and zxid >= 0:
                self._barriers.append((zxid, waiter))
            elif waiter is not None:
                self._replica.dropped((waiter,), "there is no leader with a majority", unknown=False)
        for peer in ready.drop:
            self._channel.drop(peer)
        for learner, after in ready.read:
            core.records(learner, after, self._read(learner, after))
        for learner in ready.snapshots:
            self._outgoing.begin(learner, self._replica)

    def _send(self, messages: list[tuple[int, Message]]) -> None:
        for peer, message in messages:
            self._channel.send(peer, _CORE, encode(message))

    def _apply(self) -> None:
        committed = self._core.server.committed
        undecided = self._undecided
        while undecided and undecided[0][0] <= committed:
            self._meter.agreed(monotonic() - undecided.popleft()[1])
        tail, waiters = self._tail, self._by_zxid
        while tail and tail[0][0] <= committed:
            entries: list[Entry] = []
            while tail and tail[0][0] <= committed and len(entries) < _STEP:
                zxid, txn = tail.popleft()
                entries.append((zxid, txn, waiters.pop(zxid, None) if waiters else None))
            self._replica.apply(entries)
        if self._barriers:
            applied = self._replica.applied_zxid
            passed = []
            while self._barriers and self._barriers[0][0] <= applied:
                passed.append(self._barriers.popleft()[1])
            if passed:
                self._replica.reached(passed)

    def _follow(self) -> None:
        """Tell the replica what this server is now."""
        core = self._core
        if core.serving != self._serving:
            self._serve(core.serving, core.reason)
        led = core.epoch if self._serving and core.role is Role.LEADING else None
        if led != self._epoch:
            self._epoch = led
            self._replica.leading(led)

    def _serve(self, serving: bool, reason: str) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        before, self._since = self._since, monotonic()
        if serving:
            self._meter.elected(self._since - before)
            what = "leads" if self._core.role is Role.LEADING else f"follows server {self._core.leader_id}"
            took = self._since - before
            log.info(
                "this server %s in epoch %d, after %.3f s without a leader", what, self._core.epoch, took
            )
        else:
            self._undecided.clear()
            self._meter.looking()
            log.warning("no service without a leader and a majority: %s", reason)
            if self._epoch is not None:
                self._epoch = None
                self._replica.leading(None)
            dropped = [
                *self._by_zxid.values(),
                *self._waiting.values(),
                *(waiter for _, waiter in self._barriers),
                *(waiter for _, waiter in self._batch),
                *self._asking,
            ]
            for kept in (self._by_zxid, self._waiting, self._barriers, self._batch, self._asking):
                kept.clear()
            if dropped:
                self._replica.dropped(dropped, reason, unknown=True)
        self._replica.serve(serving)

    def _cluster(self) -> bytes:
        """Whose data this server holds, if it holds any."""
        return self._keeper.promises.cluster if self._core.server.history.last else NO_CLUSTER

    # log and snapshots

    async def _rebuild(self, ready: Ready) -> None:
        """Cut the log, or put the snapshot that came in the place of log and state; then go on with what
        was said meanwhile. What takes long is done on other threads."""
        self._readers.clear()
        try:
            await asyncio.to_thread(self._committer.pause)
            if ready.restore is not None:
                await self._restore(ready.restore)
            elif ready.truncate is not None:
                await asyncio.to_thread(self._log.truncate, ready.truncate)
                while self._tail and self._tail[-1][0] > ready.truncate:
                    self._tail.pop()
                log.info("the log is cut: what lay beyond zxid %#x was never committed", ready.truncate)
        except Exception as error:
            self._held = None
            self._fail(error)
            return
        held, self._held = self._held or [], None
        if self._failed:
            self._return()
            return
        self._do(ready)
        self._core.synced(self._log.durable_zxid)
        self._work()
        self._catch_up(held)

    def _catch_up(self, held: list[tuple[int, Message]]) -> None:
        while held and self._held is None:
            self._core.receive(*held.pop(0))
            self._work()
        if self._held is not None:
            self._held += held

    async def _restore(self, zxid: int) -> None:
        try:
            await asyncio.to_thread(self._incoming.finish, self._replica, zxid)
        except OSError as error:
            raise Unusable(f"the leader's snapshot can't be used: {error}") from error
        while True:
            try:
                await self._replica.restore(self._incoming.path)
                break
            except OSError as error:
                # The old state is gone, the new one not whole: there is nothing else to go on with.
                self._fail(error)
            await asyncio.sleep(_RETRY)
        await asyncio.to_thread(self._log.restart, zxid)
        self._tail.clear()
        self._incoming.done()
        log.info("the state is that of zxid %#x, by a snapshot", zxid)

    def _spool(self, chunk: bytes, *, begins: bool) -> None:
        try:
            if begins:
                self._incoming.begin()
            self._incoming.add(chunk)
        except OSError as error:
            self._fail(Unusable(f"the leader's snapshot has no place: {error}"))

    def _snapshot_sent(self, learner: int, zxid: int) -> None:
        history = History(self._core.server.history.tails)
        history.truncate(zxid)
        self._core.snapshot_sent(learner, zxid, history.tails)
        self._work()

    def _needed(self) -> int:
        """The log is to keep what lies beyond this zxid: a learner would need a snapshot without it, the
        next one perhaps as soon as it has that."""
        wanted = [self._outgoing.since]
        leader = self._core.leader
        if leader is not None:
            wanted.append(leader.behind(serving=False))
            if self._log.size < _PATIENT:
                wanted.append(leader.behind(serving=True))
        return min((zxid for zxid in wanted if zxid is not None), default=sys.maxsize)

    def _read(self, learner: int, after: int) -> list[Record] | None:
        """The next records for a learner: its reader stays where it was, as long as it goes straight on."""
        at, records = self._readers.pop(learner, (-1, iter(())))
        found: list[Record] = []
        size = 0
        for again in (False, True):
            if again or at != after:
                if after < self._log.first_zxid - 1:
                    return None
                records = self._log.read(after)
            try:
                for record in records:
                    found.append(record)
                    size += len(record[1])
                    if size >= _READ:
                        break
            except LogGap:
                return None
            except (LogDamaged, OSError) as error:
                log.error("server %d needs a snapshot, because the log can't be read: %s", learner, error)
                return None
            if found:
                break
        if found:
            self._readers[learner] = found[-1][0], records
            return found
        # Not on disk yet, and still in memory.
        return [record for record in self._tail if record[0] > after]
