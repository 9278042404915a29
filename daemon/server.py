"""The server core: takes requests for their sessions, has writes ordered, applies them, tells watches."""

from __future__ import annotations

import hmac
import logging
import secrets
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from time import time as wall_time
from typing import Final

from ..api.commands import Trace
from ..api.connection import NO_ZXID, Connection
from ..consensus.contract import Consensus, Entry, NotServing, Waiter
from ..storage import acl, ops
from ..storage.errors import Code, ZkError
from ..storage.jute import INT, LONG, Malformed, Reader, pack_buffer
from ..storage.reads import Client, Reads
from ..storage.session import Session, encode_identities
from ..storage.state import State
from ..storage.watches import NODE_CHILDREN_CHANGED, Watches
from ..storage.writes import (
    ENFORCE_QUOTA,
    EXTENDED_TYPES,
    HEAD,
    Writes,
    transaction,
)
from .config import Config
from .flusher import Flusher
from .leases import Lease, Leases
from .stats import Stats

log = logging.getLogger(__name__)

_WRITES: Final = frozenset(
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
_OPS: Final = {op: INT.pack(op) for op in _WRITES}
_SUPER: Final = encode_identities((("super", ""),))
_BROKEN: Final = (Malformed, struct.error, IndexError, UnicodeDecodeError)
_LINE_LIMIT: Final = 1000
"""Requests that one connection may have waiting before it is held back."""
_LINE_BYTES: Final = 4 << 20
"""Bytes that one connection may have sent while its line never was empty, before it is held back."""
_BYTES: Final = 64 << 20
"""Bytes that all connections may have sent while there always was a write under way, likewise."""


@dataclass(frozen=True, slots=True)
class Internal:
    """Waits for a transaction that no client's request stands behind."""

    done: Callable[[int], None]
    """Called with the error code once applied."""
    dropped: Callable[[str], None]
    """Called with the reason when it gets no result here."""


class Server:
    """One server's replica and service. Everything runs on the event loop.

    A write's waiter is (connection, xid, monotonic time of arrival), a sync's (connection, xid, body);
    other transactions of this server have an Internal.
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
        self.leases = Leases(config.tick_time)
        self.connections: set[Connection] = set()
        self.dirty: list[Connection] = []
        self.outstanding = 0
        self.serving = False
        self.trace_mask = int(Trace.DEFAULT)
        """Which categories of events are logged at level debug."""
        self._reads = Reads(state, self.watches).handlers
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._slow = config.slow_request_ms or sys.maxsize
        self._answered_reads = 0
        self._stamped = 0.0
        self._head = b""
        self._held: set[Connection] = set()
        self._taken = 0
        self._refused: set[str] = set()
        self._refusal: str | None = None
        self._by_host: Counter[str] = Counter()
        self._flags = ENFORCE_QUOTA * config.enforce_quota | EXTENDED_TYPES * config.extended_types
        self._generation: int | None = None
        # As ZooKeeper makes them: the server's id, the time, and then one after the other.
        high = config.server_id if config.server_id < 128 else config.server_id - 256
        self._next_session = (high << 56) + ((int(wall_time() * 1000) & (1 << 40) - 1) << 16)

    async def start(self) -> None:
        """Bring the state up to date and begin to serve."""
        await self.consensus.start(self)
        self.serving = True

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, flush."""
        self.serving = False
        for connection in list(self.connections):
            connection.hold()
        await self.consensus.stop()
        for connection in list(self.connections):
            connection.close("")
        await self.flusher.close()

    # Service: connections and sessions

    def accept(self, connection: Connection) -> str | None:
        """Admit a connection, unless its address has too many."""
        limit = self.config.max_client_cnxns
        if limit and self._by_host[connection.host] >= limit:
            self.stats.counters["connection_rejected"] += 1
            reason = f"{connection.host} has {limit} connections already (maxClientCnxns)"
            if connection.host not in self._refused:
                self._refused.add(connection.host)
                log.warning("refusing connections: %s", reason)
            return reason
        self._by_host[connection.host] += 1
        self.connections.add(connection)
        if self.config.skip_acl:
            connection.add_identity("super", "")
        return None

    def connect(self, connection: Connection, seen: int, timeout: int, session: int, password: bytes) -> None:
        """Begin or take up a session (ZooKeeperServer.processConnectRequest)."""
        if not self.serving:
            connection.close("not serving yet")
            return
        if seen > self.state.zxid:
            connection.close(
                f"has seen zxid {seen:#x}, ours is {self.state.zxid:#x}: it must try another server"
            )
            return
        timeout = min(max(timeout, self.config.min_session_timeout), self.config.max_session_timeout)
        if session:
            self._take_up(connection, session, timeout, password)
            return
        self._next_session += 1
        opened = Session(self._next_session, timeout, secrets.token_bytes(16))

        def done(error: int) -> None:
            self._sessions_changed(monotonic())  # the session must be there before it is handed over
            if connection in self.connections:
                self._attach(connection, opened)

        self._propose_internal(
            transaction(ops.CREATE_SESSION, opened.encode(), time=_now(), flags=self._flags),
            Internal(done, connection.close),
        )

    def authenticate(self, connection: Connection, scheme: str, credentials: bytes) -> bool:
        """Schemes that a client can prove: digest by user:password; ip is proved by connecting."""
        if scheme == "ip":
            return True
        if scheme != "digest":
            return False
        identities = acl.authenticate(credentials, self.config.super_digest or "")
        return all(connection.add_identity(*identity) for identity in identities)

    def gone(self, connection: Connection) -> None:
        """Forget a connection; its session goes on until its timeout."""
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        self._held.discard(connection)
        self.stats.left(connection)
        self._refused.discard(connection.host)
        self._by_host[connection.host] -= 1
        if not self._by_host[connection.host]:
            del self._by_host[connection.host]
        self.watches.drop(connection)
        lease = self.leases.get(connection.session_id)
        if lease is not None and lease.connection is connection:
            lease.heard = max(lease.heard, connection.heard)
            lease.connection = None

    def closing(self, connection: Connection, reason: str) -> None:
        """Log, once, why a connection is closed from here."""
        if reason:
            self.stats.counters["connection_drop_count"] += 1
            log.info("closing %s port %s: %s", connection.host, connection.port, reason)

    def _take_up(self, connection: Connection, session: int, timeout: int, password: bytes) -> None:
        known, lease = self.state.sessions.get(session), self.leases.get(session)
        if known is None or lease is None or lease.closing:
            connection.refused()
        elif not hmac.compare_digest(known.password, password):
            log.warning("wrong password for session %#x from %s", session, connection.host)
            connection.refused()
        else:
            if lease.connection is not None:
                lease.connection.close(f"session {session:#x} moved to {connection.host} {connection.port}")
                self.gone(lease.connection)
            lease.timeout = timeout
            self._attach(connection, Session(session, timeout, known.password))
            self.stats.counters["connection_revalidate_count"] += 1

    def _attach(self, connection: Connection, session: Session) -> None:
        lease = self.leases.get(session.id)
        if lease is None:
            connection.refused()
            return
        lease.connection = connection
        connection.welcome(session)

    # Service: requests

    def submit(self, connection: Connection, xid: int, op: int, body: bytes) -> None:
        """Answer a read at once, behind the session's own writes; have a write ordered."""
        handler = self._reads.get(op)
        if handler is not None:
            if connection.waiting:
                connection.waiting.append((xid, op, body))
                return
            self._answered_reads += 1
            # _answer(), without the call: most requests are reads.
            try:
                connection.reply(xid, self.state.zxid, 0, handler(connection, body))
            except ZkError as error:
                connection.reply(xid, self.state.zxid, error.code, b"")
            except _BROKEN:
                connection.reply(xid, self.state.zxid, Code.MARSHALLINGERROR, b"")
        elif op in _OPS:
            if connection.syncs:
                connection.waiting.append((xid, op, body))
            elif self._propose(connection, xid, op, body):
                connection.waiting.append(None)
        elif op == ops.PING:
            connection.reply(xid, self.state.zxid, 0, b"")
        elif op == ops.SYNC:
            connection.syncs += 1
            if connection.waiting:
                connection.waiting.append((xid, op, body))
            else:
                self._sync(connection, xid, body)
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
            taken = int((now - connection.heard) * 1000)
            self.stats.reads.add(taken, self._answered_reads)
            connection.answered(self.state.zxid, now, taken, self._answered_reads)
            self._answered_reads = 0
            if taken >= self._slow:
                self._log_slow(connection, "read", taken)
        if self._debug:
            self._trace(
                Trace.CLIENT_REQUEST,
                "%d requests of session %#x, %d bytes",
                count,
                connection.session_id,
                size,
            )
        self._send()
        if connection.waiting:
            connection.taken += size
            self._taken += size
        else:
            connection.taken = 0
        if (
            len(connection.waiting) > _LINE_LIMIT
            or connection.taken > _LINE_BYTES
            or self._taken > _BYTES
            or self.outstanding > self.config.outstanding_limit
        ):
            connection.hold()
            self._held.add(connection)

    def _answer(
        self, connection: Connection, xid: int, handler: Callable[[Client, bytes], bytes], body: bytes
    ) -> None:
        try:
            connection.reply(xid, self.state.zxid, 0, handler(connection, body))
        except ZkError as error:
            connection.reply(xid, self.state.zxid, error.code, b"")
        except _BROKEN:
            connection.reply(xid, self.state.zxid, Code.MARSHALLINGERROR, b"")

    def _propose(self, connection: Connection, xid: int, op: int, body: bytes) -> bool:
        """Have a client's write ordered; False if it was refused, and answered so."""
        if self._stamped is not connection.heard:  # once for all that came in one read
            self._stamped = connection.heard
            identities = connection.identity_wire
            self._head = (
                HEAD.pack(int(wall_time() * 1000), connection.session_id, self._flags, len(identities))
                + identities
            )
        if op == ops.CLOSE_SESSION:
            body = b""
        try:
            self.consensus.propose(self._head + _OPS[op] + body, (connection, xid, connection.heard))
        except NotServing:
            connection.reply(xid, self.state.zxid, Code.SYSTEMERROR, b"")
            return False
        self.outstanding += 1
        return True

    def _sync(self, connection: Connection, xid: int, body: bytes) -> None:
        """Answer a sync when its barrier is passed; what came after it waits."""
        try:
            self.consensus.barrier((connection, xid, body))
        except NotServing:
            connection.syncs -= 1
            connection.reply(xid, self.state.zxid, Code.SYSTEMERROR, b"")
            return
        self.outstanding += 1
        connection.waiting.appendleft(None)

    def _authenticate(self, connection: Connection, xid: int, body: bytes) -> None:
        """Not in line: an identity counts for every request taken from now on."""
        reader = Reader(body)
        self._stamped = 0.0
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
        """Serve what waited behind the write or sync that was just answered, up to the next one."""
        waiting = connection.waiting
        while waiting:
            blocked = waiting[0]
            if blocked is None:
                return
            waiting.popleft()
            xid, op, body = blocked
            handler = self._reads.get(op)
            if handler is not None:
                self._answer(connection, xid, handler, body)
            elif op == ops.SYNC:
                self._sync(connection, xid, body)
            elif self._propose(connection, xid, op, body):
                waiting.appendleft(None)

    # Replica

    @property
    def applied_zxid(self) -> int:
        """The last transaction in the state."""
        return self.state.zxid

    @property
    def generation(self) -> int:
        """The highest generation in the state."""
        return self.state.generation

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply, tell watches, answer; in this order, so that an event precedes what shows its change."""
        apply = self.writes.apply
        events = self.writes.events
        watchers = self.watches.owners
        now = monotonic()
        measured = None
        answered = 0
        connection: Connection
        xid: int
        arrived: float
        for zxid, txn, waiter in entries:
            error, body = apply(zxid, txn)
            if events and watchers:
                self._tell(zxid)
            if not isinstance(waiter, tuple):
                if isinstance(waiter, Internal):
                    waiter.done(error)
                continue
            connection, xid, arrived = waiter
            answered += 1
            connection.reply(xid, zxid, error, body)
            waiting = connection.waiting
            if waiting:
                waiting.popleft()
                if waiting and waiting[0] is not None:
                    self._resume(connection)
            if arrived is not measured:
                measured = arrived
                taken = int((now - arrived) * 1000)
                self.stats.updates.add(taken)
                connection.answered(zxid, now, taken)
                if taken >= self._slow:
                    self._log_slow(connection, "write", taken)
        self.outstanding -= answered
        if self.writes.sessions:
            self._sessions_changed(now)
        if self.writes.warnings:
            for warning in self.writes.warnings:
                log.warning("%s", warning)
            self.writes.warnings.clear()
        if self._refusal is not None:
            log.info("writes are taken again")
            self._refusal = None
        self.flusher.applied()
        self._send()
        self._release()

    def dropped(self, waiters: Iterable[Waiter], reason: str, *, unknown: bool) -> None:
        """Refuse what was definitely not done; close the connection where nobody can know."""
        if reason != self._refusal:
            log.error("writes refused: %s", reason)
            self._refusal = reason
        connection: Connection
        xid: int
        for waiter in waiters:
            if isinstance(waiter, Internal):
                waiter.dropped(reason)
                continue
            assert isinstance(waiter, tuple)
            connection, xid, what = waiter
            self.outstanding -= 1
            if isinstance(what, bytes):
                connection.syncs -= 1
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
        for waiter in waiters:
            assert isinstance(waiter, tuple)
            connection, xid, body = waiter
            self.outstanding -= 1
            connection.syncs -= 1
            connection.reply(xid, self.state.zxid, 0, body)
            self._move_up(connection)
        self._send()
        self._release()

    def leading(self, generation: int | None) -> None:
        """Begin or end to look after the sessions."""
        self._generation = generation
        if generation is None:
            return
        now = monotonic()
        for session in self.state.sessions.values():
            if self.leases.get(session.id) is None:
                self.leases.add(session.id, session.timeout, now)
        self.leases.renew(now)
        if generation > self.state.generation:
            self.propose_internal(ops.LEAD, LONG.pack(generation))

    @property
    def leads(self) -> bool:
        """Whether this server looks after sessions, containers and TTL znodes."""
        return self._generation is not None

    def tick(self) -> None:
        """Once a tick: expire sessions that were silent too long, if this server leads."""
        if self._generation is None:
            return
        for lease in self.leases.overdue(monotonic()):
            lease.closing = True
            log.info("expiring session %#x, silent for %d ms", lease.session, lease.timeout)
            self.stats.counters["stale_sessions_expired"] += 1
            self._expire(lease, self._generation)

    def propose_internal(self, op: int, body: bytes) -> None:
        """Have a transaction of the server's own ordered; nobody waits for it."""
        self._propose_internal(
            transaction(op, body, time=_now(), flags=self._flags, identities=_SUPER),
            Internal(lambda error: None, lambda reason: None),
        )

    def _expire(self, lease: Lease, generation: int) -> None:
        def dropped(reason: str) -> None:
            lease.closing = False

        body = LONG.pack(generation) + LONG.pack(lease.session)
        self._propose_internal(
            transaction(ops.CLOSE_SESSION, body, time=_now(), flags=self._flags),
            Internal(lambda error: None, dropped),
        )

    def _propose_internal(self, txn: bytes, waiter: Internal) -> None:
        try:
            self.consensus.propose(txn, waiter)
        except NotServing as error:
            waiter.dropped(str(error))

    def _tell(self, zxid: int) -> None:
        """Send the events of one transaction to whoever watches and may read what they tell of
        (ZooKeeper since 3.8.4, CVE-2024-23944)."""
        for kind, path, parent, own_acl, parent_acl in self.writes.events:
            for watcher, event, where in self.watches.trigger(kind, path, parent):
                key = parent_acl if event == NODE_CHILDREN_CHANGED else own_acl
                if not key or acl.allows(self.state.acl(key), acl.READ, watcher.identities):
                    watcher.event(event, where, zxid)
                    if self._debug:
                        self._trace(
                            Trace.EVENT_DELIVERY,
                            "event %d to session %#x: %r",
                            event,
                            watcher.session_id,
                            where,
                        )

    def _sessions_changed(self, now: float) -> None:
        changes, self.writes.sessions = self.writes.sessions, []
        for opened, session in changes:
            self._trace(Trace.SESSION, "session %#x %s", session, "begins" if opened else "ends")
            if opened is not None:
                self.leases.add(session, opened.timeout, now)
                continue
            lease = self.leases.remove(session)
            if lease is not None and lease.connection is not None:
                connection = lease.connection
                self.watches.drop(connection)
                connection.close("" if not lease.closing else f"session {session:#x} expired")

    def _trace(self, category: Trace, message: str, *values: object) -> None:
        if self.trace_mask & category:
            log.debug(message, *values)

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

    def _release(self) -> None:
        if not self.outstanding:
            self._taken = 0
        if self._held and self._taken <= _BYTES and self.outstanding <= self.config.outstanding_limit:
            for connection in list(self._held):
                line = len(connection.waiting)
                if not line:
                    connection.taken = 0
                if line <= _LINE_LIMIT and connection.taken <= _LINE_BYTES:
                    self._held.discard(connection)
                    connection.resume()


def _now() -> int:
    return int(wall_time() * 1000)
