"""The server core: takes requests for their sessions, has writes ordered, applies them, tells watches."""

from __future__ import annotations

import logging
import os
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from math import inf
from pathlib import Path
from time import monotonic
from time import time as wall_time
from typing import TYPE_CHECKING, Final

from ..api.admin.commands import Trace
from ..api.connection import NO_ZXID, Connection
from ..consensus.contract import Consensus, Entry, NotServing, Waiter
from ..storage import acl, ops
from ..storage.backup import BackupDamaged, BackupWriter
from ..storage.errors import Code, ZkError
from ..storage.jute import INT, Malformed, Reader, pack_buffer
from ..storage.reads import Client, Reads
from ..storage.session import Session
from ..storage.state import OtherFormat, State
from ..storage.watches import NODE_CHILDREN_CHANGED, Watches
from ..storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES, HEAD, Writes
from .config import Config
from .flusher import Flusher
from .limits import Limits
from .proposals import Internal, proposer
from .refill import check, refill
from .sessions import Sessions
from .stats import Stats, Summary

if TYPE_CHECKING:
    from .audit import Audit

log = logging.getLogger(__name__)

WRITES: Final = frozenset(
    (
        ops.CREATE,
        ops.CREATE2,
        ops.CREATE_CONTAINER,
        ops.CREATE_TTL,
        ops.DELETE,
        ops.SET_DATA,
        ops.SET_ACL,
        ops.MULTI,
        ops.RECONFIG,
        ops.CLOSE_SESSION,
    )
)
_OPS: Final = {op: INT.pack(op) for op in WRITES}
_READS: Final = 32
"""Reads of a connection that may wait behind its writes before further writes wait behind them."""
_BROKEN_STATE: Final = 70
"""The exit status when a transaction could not be applied (sysexits.h: EX_SOFTWARE)."""
_ELECTION: Final = 2.0
"""Seconds that one may take."""
_RECORD: Final = 100
"""Bytes that a znode takes besides its path and data."""
_QUIET: Final = 60.0
"""Seconds between two log lines about quotas."""
_BROKEN: Final = (Malformed, struct.error, IndexError, UnicodeDecodeError)


class Server:
    """One server's replica and service. Everything runs on the event loop.

    A write's waiter is (connection, xid, monotonic time of arrival), a sync's (connection, xid, (body, that
    time)); other transactions of this server have an Internal.
    """

    def __init__(
        self, config: Config, state: State, consensus: Consensus, flusher: Flusher, stats: Stats
    ) -> None:
        self.config = config
        self.state = state
        self.consensus = consensus
        self.flusher = flusher
        self.watches: Watches[Client] = Watches()
        self.writes = Writes(state)
        self.stats = stats
        self._flags = ENFORCE_QUOTA * config.enforce_quota | EXTENDED_TYPES * config.extended_types
        self.propose = proposer(consensus, self._flags)
        self.sessions = Sessions(config, state, stats, consensus, self.propose)
        self.connections: set[Connection] = set()
        self.dirty: list[Connection] = []
        self.outstanding = 0
        self.serving = False
        self._cut_off = inf
        """When this server lost its majority, monotonic."""
        self.audit: Audit | None = None
        self._reads = Reads(state, self.watches).handlers
        self._limits = Limits(config)
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._slow = config.slow_request_ms or sys.maxsize
        self._answered_reads = 0  # of the read under way
        self._runs: list[tuple[int, int]] = []  # (operation, how many) of them, but for the last operation
        self._counted = 0  # so many are in _runs
        self._op = 0  # the last one's
        self._stamped = 0.0
        self._stamped_for: Connection | None = None
        self._head = b""
        self.refusal: str | None = None
        """Why the last write was refused."""
        self._quiet_until = 0.0

    @property
    def trace_mask(self) -> int:
        """Bits of api.admin.commands.Trace: which categories of events are logged at level debug."""
        return self.sessions.trace_mask

    @trace_mask.setter
    def trace_mask(self, mask: int) -> None:
        self.sessions.trace_mask = mask

    @property
    def read_only(self) -> bool:
        """Whether it serves nothing but reads, to those who take that: it has no majority, and that not just
        because another leader is being elected (QuorumPeer waits as long)."""
        waits = max(_ELECTION, self.config.tick_time / 1000)
        return self.config.read_only_mode and monotonic() - self._cut_off >= waits

    async def start(self) -> None:
        """Bring the state up to date and begin to serve."""
        self.flusher.caught_up = self._release
        self._cut_off = monotonic()
        await self.consensus.start(self)

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, flush."""
        self.serving = False
        self._cut_off = inf
        for connection in list(self.connections):
            connection.hold()
        await self.consensus.stop()
        for connection in list(self.connections):
            connection.close("")
        await self.flusher.close()

    # Service: connections and sessions

    def accept(self, connection: Connection) -> str | None:
        """Admit a connection, unless its address has too many, or its certificate's subject is too long."""
        subject = connection.subject
        if subject:
            if subject == self.config.super_subject:
                connection.add_identity("super", "")
            if not connection.add_identity("x509", subject):
                log.warning("refusing %s: its certificate's subject is too long", connection.host)
                return "the certificate's subject is too long"
        refusal = self._limits.admit(connection)
        if refusal is not None:
            self.stats.counters["connection_rejected"] += 1
            return refusal
        self.connections.add(connection)
        if self.config.skip_acl:
            connection.add_identity("super", "")
        return None

    def connect(self, connection: Connection, seen: int, timeout: int, session: int, password: bytes) -> None:
        """Begin or take up a session, unless the client has seen what this server has not."""
        self.stats.counters["connection_request_count"] += 1
        if not self.serving and not (connection.takes_read_only and self.read_only):
            self.stats.counters["cnxn_closed_without_zk_server_running"] += 1
            connection.close("not serving yet")
            return
        if seen > self.state.zxid:
            connection.close(
                f"has seen zxid {seen:#x}, ours is {self.state.zxid:#x}: it must try another server"
            )
            return
        if not self.serving:
            connection.read_only = True
            self.sessions.visit(connection, timeout, session, password)
            return

        self.sessions.connect(connection, timeout, session, password, lambda: self._is_ready(connection))

    def begin(self, connection: Connection, timeout: int) -> str | None:
        """Begin a session that belongs to no connection, unless its address has too many."""
        self.stats.counters["connection_request_count"] += 1
        if not self.serving:
            return "not serving yet"
        return self.sessions.begin(connection, timeout, lambda: self._is_ready(connection))

    def living(self, session: int) -> Session | None:
        """The session of that id, unless it is over or about to be."""
        return self.sessions.living(session)

    def touch(self, session: int) -> None:
        """The client of a session has been heard."""
        self.sessions.touch(session)

    def authenticate(self, connection: Connection, scheme: str, credentials: bytes) -> bool:
        """Schemes that a client can prove: digest by user:password; ip and x509 are proved by connecting."""
        if scheme == "ip":
            return True
        if scheme == "x509":
            return bool(connection.subject)
        if scheme != "digest":
            return False
        self._stamped_for = None  # a head that was made for this read lacks what comes now
        identities = acl.authenticate(credentials, self.config.super_digest or "")
        return all(connection.add_identity(*identity) for identity in identities)

    def gone(self, connection: Connection) -> None:
        """Forget a connection; its session goes on until its timeout."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._limits.leave(connection)
        self.stats.left(connection)
        self.watches.drop(connection)
        self.sessions.gone(connection)

    def closing(self, connection: Connection, reason: str) -> None:
        """Log, once, why a connection is closed from here; watches tell it nothing more."""
        self.watches.drop(connection)
        if reason:
            self.stats.counters["connection_drop_count"] += 1
            # Without service, clients try again and again: not a line for each.
            level = logging.INFO if self.serving else logging.DEBUG
            log.log(level, "closing %s port %s: %s", connection.host, connection.port, reason)

    # Service: requests

    def submit(self, connection: Connection, xid: int, op: int, body: bytes) -> None:
        """Answer a read at once, behind the session's own writes; have a write ordered."""
        handler = self._reads.get(op)
        if handler is not None:
            if connection.waiting:
                connection.waiting.append((xid, op, body, connection.heard))
                connection.reads += 1
                return
            if op != self._op:
                self._begin_run(op)
            self._answered_reads += 1
            # _answer(), without the call: most requests are reads.
            try:
                connection.reply(xid, self.state.zxid, 0, handler(connection, body))
            except ZkError as error:
                connection.reply(xid, self.state.zxid, error.code, b"")
            except _BROKEN:
                connection.reply(xid, self.state.zxid, Code.MARSHALLINGERROR, b"")
        elif op in _OPS:
            if (
                not connection.stalled
                and connection.reads < _READS
                and self._propose(connection, xid, op, body, connection.heard)
            ):
                connection.waiting.append(None)
            else:
                connection.stalled += 1
                connection.waiting.append((xid, op, body, connection.heard))
                if len(connection.waiting) == 1:
                    self._resume(connection)
        elif op == ops.PING:
            connection.reply(xid, self.state.zxid, 0, b"")
        elif op == ops.SYNC:
            connection.stalled += 1
            if connection.waiting:
                connection.waiting.append((xid, op, body, connection.heard))
            else:
                self._sync(connection, xid, body, connection.heard)
        elif op == ops.AUTH:
            self._authenticate(connection, xid, body)
        elif op == ops.SASL:
            # As ZooKeeper without a SASL configuration: no token, which tells the client to go on without.
            connection.reply(xid, 0, 0, pack_buffer(None))
        else:
            connection.reply(xid, NO_ZXID, Code.UNIMPLEMENTED, b"")
            connection.close(f"request of unknown type {op}")

    def settle(self, connection: Connection, count: int, size: int) -> None:
        """A read's requests are submitted: account for them, send answers, apply back-pressure."""
        if self._answered_reads:
            now = monotonic()
            seconds = now - connection.heard
            if seconds < 0.001:  # nearly always: as below, without the calls
                self.stats.reads.zeros += self._answered_reads
                connection.latency_count += self._answered_reads
                connection.min_latency = connection.last_latency = 0
                connection.last_zxid = self.state.zxid
                connection.answered_at = now
            else:
                taken = int(seconds * 1000)
                self.stats.reads.add(taken, self._answered_reads)
                connection.answered(self.state.zxid, now, taken, self._answered_reads)
                if taken >= self._slow:
                    self._log_slow(connection, "read", taken)
            if self._runs:
                for op, times in self._runs:
                    self.stats.answered(connection.dialect, op, seconds, times)
                self._runs.clear()
            self.stats.answered(connection.dialect, self._op, seconds, self._answered_reads - self._counted)
            self._answered_reads = self._counted = 0
        if self._debug and self.trace_mask & Trace.CLIENT_REQUEST:
            log.debug("session %#x: %d requests, %d bytes", connection.session_id, count, size)
        self._send()
        if connection.waiting:
            # Every write carries its client's identities.
            size += count * len(connection.identity_wire)
            self._limits.took(connection, size, self.outstanding, self.flusher.behind)
        else:
            connection.taken = 0

    def proceed(self, connection: Connection) -> None:
        """Serve what waits of a connection that was full, and send it."""
        if connection.waiting[0] is not None:
            self._resume(connection)
            self._send()

    def _answer(
        self, connection: Connection, xid: int, handler: Callable[[Client, bytes], bytes], body: bytes
    ) -> None:
        try:
            connection.reply(xid, self.state.zxid, 0, handler(connection, body))
        except ZkError as error:
            connection.reply(xid, self.state.zxid, error.code, b"")
        except _BROKEN:
            connection.reply(xid, self.state.zxid, Code.MARSHALLINGERROR, b"")

    def _begin_run(self, op: int) -> None:
        """Count reads of another operation than the last one's."""
        if self._answered_reads != self._counted:
            self._runs.append((self._op, self._answered_reads - self._counted))
            self._counted = self._answered_reads
        self._op = op

    def _measured(
        self, connection: Connection, summary: Summary, op: int, arrived: float, zxid: int, times: int
    ) -> None:
        """So many requests that came together, and waited, are answered now."""
        now = monotonic()
        taken = int((now - arrived) * 1000)
        summary.add(taken, times)
        connection.answered(zxid, now, taken, times)
        self.stats.answered(connection.dialect, op, now - arrived, times)
        if taken >= self._slow:
            self._log_slow(connection, "read" if summary is self.stats.reads else "write", taken)

    def _propose(self, connection: Connection, xid: int, op: int, body: bytes, arrived: float) -> bool:
        """Have a client's write ordered; False if it was refused."""
        # Once for all that came in one read.
        if self._stamped != connection.heard or self._stamped_for is not connection:
            self._stamped, self._stamped_for = connection.heard, connection
            identities = connection.identity_wire
            self._head = (
                HEAD.pack(
                    int(wall_time() * 1000),
                    connection.session_id,
                    self._flags,
                    len(identities),
                    self.config.server_id,
                )
                + identities
            )
        if op == ops.CLOSE_SESSION:
            body = b""
        try:
            if self.flusher.refusal is not None:
                raise NotServing(self.flusher.refusal)
            self.consensus.propose(self._head + _OPS[op] + body, (connection, xid, arrived))
        except NotServing:
            return False
        self.outstanding += 1
        return True

    def _sync(self, connection: Connection, xid: int, body: bytes, arrived: float) -> None:
        """Answer a sync when its barrier is passed; what came after it waits."""
        try:
            self.consensus.barrier((connection, xid, (body, arrived)))
        except NotServing:
            connection.stalled -= 1
            self._deny(connection, xid, ops.SYNC)
            return
        self.outstanding += 1
        connection.waiting.appendleft(None)

    def _deny(self, connection: Connection, xid: int, op: int) -> None:
        """Refuse a write or sync that is not taken. A read-only client's session ends with its connection
        (ReadOnlyRequestProcessor)."""
        if not connection.read_only:
            connection.reply(xid, self.state.zxid, Code.SYSTEMERROR, b"")
        elif op == ops.CLOSE_SESSION:
            connection.reply(xid, self.state.zxid, 0, b"")
            connection.close("")
        else:
            connection.reply(xid, self.state.zxid, Code.NOTREADONLY, b"")

    def _authenticate(self, connection: Connection, xid: int, body: bytes) -> None:
        """Not in line: an identity counts for every request taken from now on."""
        reader = Reader(body)
        try:
            reader.int32()
            good = self.authenticate(
                connection, reader.text().decode(errors="replace"), reader.buffer() or b""
            )
        except Malformed as error:
            connection.close(f"malformed auth packet: {error}")
            return
        connection.reply(xid, 0, Code.OK if good else Code.AUTHFAILED, b"")
        if not good:
            self.stats.auth_failed += 1
            connection.close("authentication failed")

    def _move_up(self, connection: Connection) -> None:
        if connection.waiting:
            connection.waiting.popleft()
            self._resume(connection)

    def _resume(self, connection: Connection) -> None:
        """Serve what waited behind the write or sync that was just answered, up to the next one. Writes in
        a row go together; one that is refused behind others is tried again when they are answered."""
        waiting = connection.waiting
        proposed = 0
        answered = answered_op = 0
        since = 0.0
        while waiting:
            blocked = waiting[0]
            if blocked is None:
                break
            xid, op, body, arrived = blocked
            if op in _OPS:
                if self._propose(connection, xid, op, body, arrived):
                    proposed += 1
                elif proposed:
                    break
                else:
                    self._deny(connection, xid, op)
                    if not waiting:
                        break  # it is closed
                connection.stalled -= 1
                waiting.popleft()
                continue
            if proposed:
                break
            handler = self._reads.get(op)
            if handler is not None:
                # A write under way must find the reads before it answered: they saw the state before it.
                if connection.full and None not in waiting:
                    break
                waiting.popleft()
                connection.reads -= 1
                self._answer(connection, xid, handler, body)
                if answered and (op != answered_op or arrived != since):
                    self._measured(
                        connection, self.stats.reads, answered_op, since, self.state.zxid, answered
                    )
                    answered = 0
                answered_op, since = op, arrived
                answered += 1
            else:
                waiting.popleft()
                self._sync(connection, xid, body, arrived)
        if answered:
            self._measured(connection, self.stats.reads, answered_op, since, self.state.zxid, answered)
        waiting.extendleft([None] * proposed)

    # Replica

    @property
    def applied_zxid(self) -> int:
        """The last transaction in the state."""
        return self.state.zxid

    @property
    def size(self) -> int:
        """Bytes of the state, roughly."""
        return self.state.data_size + _RECORD * self.state.node_count

    @property
    def generation(self) -> int:
        """The highest generation in the state."""
        return self.state.generation

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply, tell watches, answer; in this order, so that an event precedes what shows its change."""
        apply = self.writes.apply
        events = self.writes.events
        watchers = self.watches.owners
        answered = run = run_op = upto = 0
        run_of: Connection | None = None
        since = 0.0
        audit = self.audit
        connection: Connection
        xid: int
        arrived: float
        for zxid, txn, waiter in entries:
            try:
                error, body = apply(zxid, txn)
            except Exception:
                log.critical(
                    "transaction %#x can't be applied: ending before more harm is done", zxid, exc_info=True
                )
                os._exit(_BROKEN_STATE)  # not by way of a flush: what is in memory may be half of it
            if events and watchers:
                self._tell(zxid)
            if audit is not None and waiter is not None:
                audit.applied(waiter, txn, error, body, events)
            if not isinstance(waiter, tuple):
                if isinstance(waiter, Internal):
                    waiter.done(error)
                continue
            connection, xid, arrived = waiter
            answered += 1
            op = self.writes.op
            if run_of is not connection or arrived != since or op != run_op:
                if run_of is not None:
                    self._measured(run_of, self.stats.updates, run_op, since, upto, run)
                run_of, since, run_op, run = connection, arrived, op, 0
            run += 1
            upto = zxid
            connection.reply(xid, zxid, error, body)
            waiting = connection.waiting
            if waiting:
                waiting.popleft()
                if waiting and waiting[0] is not None:
                    self._resume(connection)
        if run_of is not None:
            self._measured(run_of, self.stats.updates, run_op, since, upto, run)
        self.outstanding -= answered
        if self.writes.sessions:
            self._follow_sessions(monotonic())
        if self.writes.excesses:
            self._count_excesses(monotonic())
        if self.refusal is not None:
            log.info("writes are taken again")
            self.refusal = None
        self.flusher.applied()
        self._send()
        self._release()

    def dropped(self, waiters: Iterable[Waiter], reason: str, *, unknown: bool) -> None:
        """Refuse what was definitely not done; close the connection where nobody can know."""
        if reason != self.refusal:
            log.error("writes refused: %s", reason)
            self.refusal = reason
        connection: Connection
        xid: int
        for waiter in waiters:
            if isinstance(waiter, Internal):
                waiter.dropped(reason)
                continue
            assert isinstance(waiter, tuple)
            connection, xid, what = waiter
            self.outstanding -= 1
            if isinstance(what, tuple):
                connection.stalled -= 1
            if unknown:
                connection.close(reason)
                continue
            connection.reply(xid, self.state.zxid, Code.SYSTEMERROR, b"")
            self._move_up(connection)
        self._send()
        self._release()

    def reached(self, waiters: Iterable[Waiter]) -> None:
        """Answer syncs: with their path, as ZooKeeper does."""
        connection: Connection
        xid: int
        body: bytes
        arrived: float
        for waiter in waiters:
            if isinstance(waiter, Internal):
                waiter.done(0)
                continue
            assert isinstance(waiter, tuple)
            connection, xid, (body, arrived) = waiter
            self.outstanding -= 1
            connection.stalled -= 1
            connection.reply(xid, self.state.zxid, 0, body)
            self.stats.answered(connection.dialect, ops.SYNC, monotonic() - arrived, 1)
            self._move_up(connection)
        self._send()
        self._release()

    def serve(self, serving: bool) -> None:
        """Take connections, or close those there are: their clients try another server."""
        self.serving = serving
        self._cut_off = inf if serving else monotonic()
        if not serving:
            log.info("closing %d connections", len(self.connections))
        for connection in list(self.connections):
            if not serving:
                connection.close("no leader with a majority")
            elif connection.read_only:
                connection.close("a majority is back: writes are taken again")

    def leading(self, generation: int | None) -> None:
        """Begin or end to look after the sessions."""
        self.sessions.lead(generation)

    def heard(self, message: bytes) -> None:
        """Another server's clients were heard."""
        self.sessions.heard(message)

    async def snapshot(self) -> BackupWriter:
        """A backup of all that is applied."""
        await self.flusher.flush()
        return BackupWriter(self.state.table.engine.snapshot(), int(wall_time() * 1000))

    def check(self, source: Path) -> int:
        """Read a backup's file; the last transaction in it."""
        try:
            return check(source)
        except (BackupDamaged, OtherFormat) as error:
            raise OSError(str(error)) from error

    async def restore(self, source: Path) -> None:
        """Refill the engine from a backup's file, and begin anew with what it holds. Until then, what is
        read is the state before."""
        try:
            await self.flusher.replace(refill(self.state.table.engine, source))
        except BackupDamaged as error:
            raise OSError(str(error)) from error
        for connection in list(self.connections):
            connection.close("another state takes the place of the one that it has read")
        self.state.reload()
        self.sessions.forget()
        self.flusher.resume()

    def _tell(self, zxid: int) -> None:
        """Send the events of one transaction to whoever watches and may read what they tell of
        (ZooKeeper since 3.8.4, CVE-2024-23944)."""
        for kind, path, parent, own_acl, parent_acl in self.writes.events:
            for watcher, event, where in self.watches.trigger(kind, path, parent):
                key = parent_acl if event == NODE_CHILDREN_CHANGED else own_acl
                if not key or acl.allows(self.state.acl(key), acl.READ, watcher.identities):
                    watcher.event(event, where, zxid)
                    if self._debug and self.trace_mask & Trace.EVENT_DELIVERY:
                        log.debug("session %#x: event %d for %r", watcher.session_id, event, where)

    def _count_excesses(self, now: float) -> None:
        """Count every write that went over a quota, and log the first one a minute."""
        for path, excess in self.writes.excesses:
            namespace = path.split(b"/")[1].decode()
            self.stats.quotas_exceeded[namespace] += 1
            if now >= self._quiet_until:
                self._quiet_until = now + _QUIET
                log.warning("quota exceeded: %s %s", path.decode(), excess)
        self.writes.excesses.clear()

    def _release(self) -> None:
        self._limits.release(self.outstanding, self.flusher.behind)

    def _is_ready(self, connection: Connection) -> bool:
        """Whether a session that was just opened can be handed over to the connection that asked for it."""
        self._follow_sessions(monotonic())  # it must be there before
        return connection in self.connections

    def _follow_sessions(self, now: float) -> None:
        changes, self.writes.sessions = self.writes.sessions, []
        for connection in self.sessions.changed(changes, now):
            connection.close("")

    def _log_slow(self, connection: Connection, kind: str, taken: int) -> None:
        """Once for all that came in one read of the connection: they were answered together."""
        log.warning(
            "slow %s: %d ms for %s port %d, session %#x, up to xid %d",
            kind,
            taken,
            connection.host,
            connection.port,
            connection.session_id,
            connection.last_cxid,
        )

    def _send(self) -> None:
        dirty = self.dirty
        if dirty:
            for connection in dirty:
                connection.flush()
            dirty.clear()
