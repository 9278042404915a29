"""Begins, moves, ends and expires sessions."""

from __future__ import annotations

import hmac
import logging
import secrets
import struct
from collections import Counter
from collections.abc import Callable
from time import monotonic, time

from ..api.admin.commands import Trace
from ..api.connection import Connection
from ..consensus.contract import Consensus
from ..storage import ops
from ..storage.jute import LONG
from ..storage.session import PASSWORD_SIZE, Session
from ..storage.state import State
from .config import Config
from .leases import Lease, Leases
from .proposals import Propose
from .stats import Stats

log = logging.getLogger(__name__)


class Sessions:
    """The sessions of the state, as this server serves them."""

    def __init__(
        self, config: Config, state: State, stats: Stats, consensus: Consensus, propose: Propose
    ) -> None:
        self.trace_mask = int(Trace.DEFAULT)
        self._config = config
        self._state = state
        self.leases = self._lease_all()
        self._stats = stats
        self._consensus = consensus
        self._propose = propose
        self._told = 0.0
        """Until when the leader knows who was heard here."""
        self._generation: int | None = None
        self._free: dict[int, str] = {}
        """The sessions that begin() has made here, and for which address."""
        self._free_by_host: Counter[str] = Counter()
        # As ZooKeeper makes them: the server's id, the time, and then one after the other.
        high = config.server_id if config.server_id < 128 else config.server_id - 256
        self._next = (high << 56) + ((int(time() * 1000) & (1 << 40) - 1) << 16)

    @property
    def led(self) -> bool:
        """Whether this server looks after them: after containers and TTL znodes, too."""
        return self._generation is not None

    def connect(
        self,
        connection: Connection,
        timeout: int,
        session: int,
        password: bytes,
        ready: Callable[[], bool],
    ) -> None:
        """Begin a session (session 0) or take one up; timeout in ms. ready tells, once a new one is
        there, whether the connection still is (ZooKeeperServer.processConnectRequest)."""
        timeout = self._negotiate(timeout)
        if session:
            self._take_up(connection, timeout, session, password, ready)
            return
        opened = self._new(timeout, self._config.server_id)

        def done(error: int) -> None:
            if ready():
                self._attach(connection, opened)

        self._propose(ops.CREATE_SESSION, opened.encode(), done, connection.close)

    def visit(self, connection: Connection, timeout: int, session: int, password: bytes) -> None:
        """Let a client read on a server without a majority: in its session, if that is known here, or in one
        that nobody else knows of. One that is not known to a server that has seen as much as its client has
        nothing to lose."""
        timeout = self._negotiate(timeout)
        known = self._state.sessions.get(session)
        if not session:
            connection.welcome(self._new(timeout, 0))
        elif known is None or not hmac.compare_digest(known.password, password):
            connection.refused()
        else:
            connection.welcome(Session(session, timeout, password))

    def begin(self, connection: Connection, timeout: int, ready: Callable[[], bool]) -> str | None:
        """Begin a session that lives by touch() alone; or the reason why not: an address may have as many
        as connections. Otherwise as connect()."""
        host, most = connection.host, self._config.max_client_cnxns
        if most and self._free_by_host[host] >= most:
            return f"{host} has {most} sessions already that belong to no connection (maxClientCnxns)"
        opened = self._new(self._negotiate(timeout), 0)
        self._free[opened.id] = host
        self._free_by_host[host] += 1

        def done(error: int) -> None:
            if ready():
                connection.welcome(opened)

        def dropped(reason: str) -> None:
            self._forget(opened.id)
            connection.close(reason)

        self._propose(ops.CREATE_SESSION, opened.encode(), done, dropped)
        return None

    def living(self, session: int) -> Session | None:
        """The session of that id, unless it is over or about to be."""
        lease = self.leases.get(session)
        return None if lease is None or lease.closing else self._state.sessions.get(session)

    def touch(self, session: int) -> None:
        """The client of a living session has been heard."""
        lease = self.leases.get(session)
        if lease is not None:
            lease.heard = lease.touched = monotonic()

    def lead(self, generation: int | None) -> None:
        """Begin to look after all sessions, each with a full timeout; or, None, stop doing so."""
        self._generation = generation
        if generation is None:
            self.leases.rest()
            return
        self.leases.renew(monotonic())
        if generation > self._state.generation:
            self._propose(ops.LEAD, LONG.pack(generation))

    def tick(self) -> None:
        """Twice a tick: expire those that were silent too long, or tell who does whom this server heard."""
        if self._generation is None:
            self._tell_leader()
            return
        for lease in self.leases.overdue(monotonic()):
            lease.closing = True
            self._expire(lease, self._generation)

    def heard(self, message: bytes) -> None:
        """Another server heard the clients of these sessions; what is no session's id tells nothing."""
        now = monotonic()
        for (session,) in LONG.iter_unpack(message[: len(message) // LONG.size * LONG.size]):
            lease = self.leases.get(session)
            if lease is not None:
                lease.heard = now

    def forget(self) -> None:
        """Another state has taken the place of the one there was: that of a server that does not lead."""
        self.leases = self._lease_all()

    def _lease_all(self) -> Leases:
        leases = Leases(self._config.tick_time)
        now = monotonic()
        for session in self._state.sessions.values():
            leases.add(session.id, session.timeout, now)
        return leases

    def _tell_leader(self) -> None:
        if self._consensus.status.leader is None:
            return  # told later, to whoever leads then
        since, self._told = self._told, monotonic()
        heard = self.leases.heard_since(since)
        if heard:
            self._consensus.to_leader(struct.pack(f">{len(heard)}q", *heard))

    def changed(self, changes: list[tuple[Session | None, int]], now: float) -> list[Connection]:
        """Follow what transactions did (storage.writes.Writes.sessions); now is monotonic. Returns the
        connections of sessions that ended: to be closed."""
        over = []
        for opened, session in changes:
            if self.trace_mask & Trace.SESSION:
                log.debug("session %#x %s", session, "begins" if opened else "ends")
            if opened is not None:
                lease = self.leases.get(session)
                if lease is None:
                    self.leases.add(session, opened.timeout, now)
                    continue
                self.leases.change(lease, opened.timeout, now)
                if opened.server != self._config.server_id and lease.connection is not None:
                    lease.connection.close(f"session {session:#x} moved to server {opened.server}")
                    lease.connection = None
                continue
            lease = self.leases.remove(session)
            if session in self._free:
                self._forget(session)
            if lease is None:
                continue
            if lease.closing:
                log.info("session %#x expired, silent for %d ms", session, lease.timeout)
                self._stats.counters["stale_sessions_expired"] += 1
            if lease.connection is not None:
                over.append(lease.connection)
                lease.connection = None  # the lease stays in its bucket until that is due
        return over

    def gone(self, connection: Connection) -> None:
        """A connection is closed; its session goes on until its timeout."""
        lease = self.leases.get(connection.session_id)
        if lease is not None and lease.connection is connection:
            lease.heard = max(lease.heard, connection.heard)
            lease.touched = connection.heard
            lease.connection = None

    def _negotiate(self, timeout: int) -> int:
        return min(max(timeout, self._config.min_session_timeout), self._config.max_session_timeout)

    def _new(self, timeout: int, server: int) -> Session:
        self._next += 1
        return Session(self._next, timeout, secrets.token_bytes(PASSWORD_SIZE), server)

    def _forget(self, session: int) -> None:
        host = self._free.pop(session)
        self._free_by_host[host] -= 1
        if not self._free_by_host[host]:
            del self._free_by_host[host]

    def _take_up(
        self, connection: Connection, timeout: int, session: int, password: bytes, ready: Callable[[], bool]
    ) -> None:
        """Hand over a session at once if that changes nothing but the connection. Else have it ordered, so
        that every server knows who may write for it, what it sent before comes before, and one that began
        on another server a moment ago is found."""
        wanted = Session(session, timeout, password, self._config.server_id)
        known, lease = self._state.sessions.get(session), self.leases.get(session)
        if len(password) != PASSWORD_SIZE or (lease is not None and lease.closing):
            connection.refused()
        elif known is not None and not hmac.compare_digest(known.password, password):
            log.warning("wrong password for session %#x from %s", session, connection.host)
            connection.refused()
        elif known == wanted:
            self._take(connection, wanted)
        else:

            def done(error: int) -> None:
                if not ready():
                    return
                if error:
                    connection.refused()
                else:
                    self._take(connection, wanted)

            self._propose(ops.MOVE_SESSION, wanted.encode(), done, connection.close)

    def _take(self, connection: Connection, session: Session) -> None:
        """The client of a session that it had already is here."""
        lease = self.leases.get(session.id)
        if lease is not None and lease.connection is not None:
            lease.connection.close(f"session {session.id:#x} moved to {connection.host} {connection.port}")
        self._attach(connection, session)
        self._stats.counters["connection_revalidate_count"] += 1

    def _attach(self, connection: Connection, session: Session) -> None:
        lease = self.leases.get(session.id)
        if lease is None:
            connection.refused()
        else:
            lease.connection = connection
            connection.welcome(session)

    def _expire(self, lease: Lease, generation: int) -> None:
        def dropped(reason: str) -> None:
            lease.closing = False

        self._propose(ops.CLOSE_SESSION, LONG.pack(generation) + LONG.pack(lease.session), dropped=dropped)
