"""ZAB as a backend: drives the core with a clock, the log, the channel to its peers, the replica above."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from ...storage.committer import Committer
from ...storage.log import Log, LogFull, LogGap
from ..channel import NO_CLUSTER, Channel, Identity
from ..contract import Entry, NotServing, Replica, Status, Waiter
from ..contract import Role as Standing
from .core import Core, Role
from .history import History
from .keeper import Keeper
from .messages import Message, Record
from .server import Limits
from .wire import Malformed, decode, encode

_TICK: Final = 0.02
_SETTLE: Final = 3
"""Ticks to wait for better votes: what a majority knows by then is what a later vote could add to."""
_READ: Final = 256 << 10
"""Bytes of log that are read at a time for a learner."""
_STEP: Final = 1000
"""Entries that are applied before others have their turn."""
_RETRY: Final = 5.0
"""Seconds until a server that has no room for its log tries to take part again."""

_CORE: Final = 1
_TO_LEADER: Final = 2
_SNAPSHOT_BEGINS: Final = 3
_SNAPSHOT: Final = 4
_CLUSTER: Final = 5

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

    def __init__(self, ensemble: Ensemble, txn_log: Log, synced: Callable[[float], None]) -> None:
        """synced hears how many seconds each sync of the log took."""
        self._ensemble = ensemble
        self._log = txn_log
        self._heard = synced
        self._keeper = Keeper(ensemble.directory / "promises")
        self._incoming = ensemble.directory / "incoming"
        self._limits = Limits(
            init=round(ensemble.init_limit / _TICK),
            sync=round(ensemble.sync_limit / _TICK),
            ping=max(1, round(min(0.5, ensemble.sync_limit / 8) / _TICK)),
            settle=_SETTLE,
        )
        identity = Identity(ensemble.me, "zab", ensemble.secret, lambda: self._keeper.cluster)
        self._channel = Channel(identity, ensemble.addresses, self)
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
        self._senders: dict[int, asyncio.Task[None]] = {}
        self._held: list[tuple[int, bytes]] | None = None
        """What peers say while a snapshot takes the state's place."""
        self._file: int = -1
        self._failed = False
        self._looking_since = monotonic()
        self.election_seconds = 0.0
        """How long this server was without a leader when it last was."""

    # Consensus

    @property
    def status(self) -> Status:
        """As this server sees it; peers are those connected to it."""
        core = self._core
        role = Standing.LOOKING
        if self._serving:
            led = core.role is Role.LEADING
            voter = self._ensemble.me in self._ensemble.voters
            role = Standing.LEADER if led else Standing.FOLLOWER if voter else Standing.OBSERVER
        lag = len(self._tail)
        return Status(role, core.epoch, core.leader_id, tuple(sorted(self._channel.peers)), lag)

    async def start(self, replica: Replica) -> None:
        """Take part. The log's tail is applied as far as a leader confirms it."""
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        if replica.applied_zxid > self._log.durable_zxid:
            # A restore was cut off between the engine and the log.
            self._log.restart(replica.applied_zxid)
        self._make_core()
        self._committer = Committer(self._log, self._loop, self._synced)
        await self._channel.start()
        self._ticking = self._loop.create_task(self._tick())
        self._work()

    async def stop(self) -> None:
        """Let go of everything; what is not committed yet is for the others to decide."""
        self._serve(False, "this server is stopping")
        self._ticking.cancel()
        for sender in self._senders.values():
            sender.cancel()
        await self._channel.stop()
        self._failed = True
        self._committer.close()

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Take txn into the next batch."""
        if not self._serving:
            raise NotServing("there is no leader with a majority")
        if not (self._batch or self._asking):
            self._loop.call_soon(self._ask)
        self._batch.append((txn, waiter))

    def barrier(self, waiter: Waiter) -> None:
        """Have the leader ask a majority."""
        if not self._serving:
            raise NotServing("there is no leader with a majority")
        if not (self._batch or self._asking):
            self._loop.call_soon(self._ask)
        self._asking.append(waiter)

    def to_leader(self, message: bytes) -> None:
        """By the same way as all else."""
        leader = self._core.leader_id
        if leader is not None:
            self._channel.send(leader, _TO_LEADER, message)

    # the channel's owner

    def connected(self, peer: int, cluster: bytes) -> None:
        """Tell it what it should know."""
        if cluster == NO_CLUSTER and self._keeper.cluster != NO_CLUSTER:
            self._channel.send(peer, _CLUSTER, self._keeper.cluster)
        self._core.connected(peer)
        self._work()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        self._readers.pop(peer, None)
        sender = self._senders.pop(peer, None)
        if sender is not None:
            sender.cancel()
        self._core.disconnected(peer)
        self._work()

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        """Whatever a peer says."""
        if kind == _CORE:
            if self._held is None:
                self._receive(peer, payload)
            else:
                self._held.append((peer, payload))
        elif kind == _TO_LEADER:
            self._replica.heard(payload)
        elif kind == _CLUSTER and len(payload) == len(NO_CLUSTER):
            if self._keeper.cluster == NO_CLUSTER:
                self._keeper.save(self._core.server.promises, payload)
        elif kind in (_SNAPSHOT_BEGINS, _SNAPSHOT) and peer == self._core.leader_id:
            self._spool(payload, begins=kind == _SNAPSHOT_BEGINS)

    def _receive(self, peer: int, payload: bytes) -> None:
        try:
            message = decode(payload)
        except Malformed as error:
            log.warning("server %d is disconnected: %s", peer, error)
            self._channel.drop(peer)
            return
        self._core.receive(peer, message)
        self._work()

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
                self._core.server.log_begins = self._log.first_zxid - 1
                self._core.tick()
                self._work()

    def _ask(self) -> None:
        """Hand the core what came in this turn of the loop."""
        batch, self._batch = self._batch, []
        asking, self._asking = self._asking, []
        if not self._serving:
            return  # they were dropped
        if batch:
            numbers = self._core.propose([txn for txn, _ in batch])
            self._waiting.update(zip(numbers, (waiter for _, waiter in batch), strict=True))
        for waiter in asking:
            self._waiting[self._core.barrier()] = waiter
        self._work()

    def _synced(self, zxid: int, error: Exception | None) -> None:
        if self._failed:
            return
        if error is None:
            self._heard(self._committer.last_seconds)
            if self._log.last_zxid != zxid:
                self._committer.kick()
            self._core.synced(zxid)
            self._work()
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Leave the ensemble as if killed: the others go on."""
        self._failed = True
        log.error("this server takes no part any more: %s", error)
        self._serve(False, str(error))
        self._channel.drop_all()
        if isinstance(error, LogFull):
            self._loop.call_later(_RETRY, self._return)

    def _return(self) -> None:
        """There may be room again: begin anew with what is on disk, as after a crash."""
        self._log.rollback()
        self._failed = False
        self._make_core()
        self._channel.drop_all()
        self._work()

    def _work(self) -> None:
        """Do what the core wants done, in its order; then apply what is committed."""
        if self._failed or self._held is not None:
            return
        core = self._core
        while ready := core.take():
            if ready.promises is not None:
                self._keeper.save(ready.promises, self._keeper.cluster)
            if ready.truncate is not None:
                self._truncate(ready.truncate)
            if ready.restore is not None:
                self._held = []
                self._loop.create_task(self._restore(ready.restore))
            if ready.append:
                for zxid, txn in ready.append:
                    self._log.append(zxid, txn)
                self._tail.extend(ready.append)
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
                self._senders[learner] = self._loop.create_task(self._send_snapshot(learner))
            if self._held is not None:
                return
        self._follow()
        self._apply()

    def _send(self, messages: list[tuple[int, Message]]) -> None:
        for peer, message in messages:
            self._channel.send(peer, _CORE, encode(message))

    def _apply(self) -> None:
        committed = self._core.server.committed
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
            if led is not None and self._keeper.cluster == NO_CLUSTER:
                self._found()
            self._replica.leading(led)

    def _serve(self, serving: bool, reason: str) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        if serving:
            self.election_seconds = monotonic() - self._looking_since
            what = "leads" if self._core.role is Role.LEADING else f"follows server {self._core.leader_id}"
            log.info("this server %s in epoch %d", what, self._core.epoch)
        else:
            self._looking_since = monotonic()
            log.warning("no leader with a majority any more: %s", reason)
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
            self._replica.dropped(dropped, reason, unknown=True)
        self._replica.serve(serving)

    def _found(self) -> None:
        """The first leader there is gives the cluster its id."""
        cluster = os.urandom(len(NO_CLUSTER))
        self._keeper.save(self._core.server.promises, cluster)
        for peer in self._channel.peers:
            self._channel.send(peer, _CLUSTER, cluster)

    # log and snapshots

    def _truncate(self, after: int) -> None:
        self._committer.pause()
        self._log.truncate(after)
        while self._tail and self._tail[-1][0] > after:
            self._tail.pop()

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
            if found:
                break
        if found:
            self._readers[learner] = found[-1][0], records
            return found
        # Not on disk yet, and still in memory.
        return [record for record in self._tail if record[0] > after]

    async def _send_snapshot(self, learner: int) -> None:
        try:
            snapshot = await self._replica.snapshot()
            log.info("server %d gets a snapshot as of zxid %#x", learner, snapshot.zxid)
            try:
                kind = _SNAPSHOT_BEGINS
                for chunk in snapshot:
                    self._channel.send(learner, kind, chunk)
                    kind = _SNAPSHOT
                    if not await self._channel.drained(learner):
                        return
                    await asyncio.sleep(0)
            finally:
                snapshot.close()
            history = History(self._core.server.history.tails)
            history.truncate(snapshot.zxid)
            self._senders.pop(learner, None)
            self._core.snapshot_sent(learner, snapshot.zxid, history.tails)
            self._work()
        except OSError as error:
            log.error("no snapshot for server %d: %s", learner, error)
            self._channel.drop(learner)

    def _spool(self, chunk: bytes, *, begins: bool) -> None:
        if begins:
            self._close_spool()
            self._file = os.open(self._incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.write(self._file, chunk)

    def _close_spool(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _restore(self, zxid: int) -> None:
        """Put the snapshot that came in the state's place, then go on with what was said meanwhile."""
        try:
            os.fsync(self._file)
            self._close_spool()
            self._committer.pause()
            await self._replica.restore(self._incoming)
            self._log.restart(zxid)
            self._tail.clear()
            with suppress(FileNotFoundError):
                self._incoming.unlink()
        except Exception as error:
            self._held = None
            self._fail(error if isinstance(error, OSError) else OSError(str(error)))
            return
        log.info("the state is that of zxid %#x, by a snapshot", zxid)
        held, self._held = self._held or [], None
        self._work()
        for peer, payload in held:
            self._receive(peer, payload)
