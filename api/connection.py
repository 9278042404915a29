"""A client's connection as the server core sees it, whatever the dialect; and the core as dialects see it."""

from __future__ import annotations

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import ClassVar, Final, Protocol, TypeAlias

from mypy_extensions import mypyc_attr

from ..storage.acl import address
from ..storage.session import Session, encode_identities

Blocked: TypeAlias = tuple[int, int, bytes, float] | None
"""A request (xid, op, body, when it came) that waits for what came before it; None marks a write or a sync
under way. A write waits, too, while stalled is not 0: it counts the syncs taken and not yet answered, and
the writes that wait, be it behind those or since they were refused with others before them. reads counts
the reads that wait."""

PATIENCE: Final = 10.0
"""Seconds until a connection must have a session: ZooKeeper's sessionlessCnxnTimeout."""
NO_ZXID: Final = -1
EVENTS: Final = {1: "created", 2: "deleted", 3: "changed", 4: "children"}
"""What happened to a watched znode, by the kind that event() is given (Watcher.Event.EventType): our names,
for the dialects that are not ZooKeeper's."""
NO_SIZE: Final = -1
_IDENTITY_ROOM: Final = 2 << 10
"""Bytes that a client's identities may take in each of its transactions."""


class Service(Protocol):
    """What a dialect asks of the server core. Answers come by the connection's methods."""

    serving: bool
    """Requests are served. Who connects while they are not is turned away, unless it takes read_only."""

    def accept(self, connection: Connection) -> str | None:
        """Admit a connection; or the reason why not."""
        ...

    def connect(self, connection: Connection, seen: int, timeout: int, session: int, password: bytes) -> None:
        """Begin a session (session 0) or take one up, for a client that has seen that zxid; timeout in
        ms, negotiated here. Answered by welcome(), refused() or close()."""
        ...

    def begin(self, connection: Connection, timeout: int) -> str | None:
        """Begin a session that belongs to no connection; or the reason why not. timeout as for connect().
        Answered by welcome() or close()."""
        ...

    def living(self, session: int) -> Session | None:
        """The session of that id, unless it is over or about to be."""
        ...

    def touch(self, session: int) -> None:
        """The client of a session has been heard."""
        ...

    def authenticate(self, connection: Connection, scheme: str, credentials: bytes) -> bool:
        """Add an identity to the connection; False if the proof is not good."""
        ...

    def submit(self, connection: Connection, xid: int, op: int, body: bytes) -> None:
        """Take a request of a connection that has a session. Answered by reply(), in the order taken."""
        ...

    def settle(self, connection: Connection, count: int, size: int) -> None:
        """So many requests of one read, of so many bytes, were submitted: send what is gathered on every
        connection, and hold this one back if too much of it is under way."""
        ...

    def proceed(self, connection: Connection) -> None:
        """Serve what waits of a connection that was full, and send it."""
        ...

    def closing(self, connection: Connection, reason: str) -> None:
        """The connection is being closed from this side; reason is for the log, empty if it is no news."""
        ...

    def gone(self, connection: Connection) -> None:
        """The connection is closed; its session lives on."""
        ...


@mypyc_attr(allow_interpreted_subclasses=True)  # not every dialect is compiled
class Connection(ABC):
    """One connection to the client port: identity, place in line, counters. Times in ms."""

    dialect: ClassVar[str]
    """What it speaks, for the metrics: zookeeper, http, websocket. Each class that is used has its own."""

    __slots__ = (
        "_last_size",
        "_least_size",
        "_most_size",
        "answered_at",
        "established",
        "full",
        "heard",
        "held",
        "host",
        "identities",
        "identity_wire",
        "last_cxid",
        "last_latency",
        "last_op",
        "last_zxid",
        "latency_count",
        "latency_total",
        "max_latency",
        "min_latency",
        "packets_received",
        "packets_sent",
        "port",
        "read_only",
        "reads",
        "secure",
        "session_id",
        "session_timeout",
        "stalled",
        "subject",
        "taken",
        "takes_read_only",
        "waiting",
    )

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.secure = False
        """It is over TLS."""
        self.subject = ""
        """Whom the client's certificate, if it has shown one, was issued to."""
        self.takes_read_only = False
        """The client would have a server that only serves reads, as it has no majority."""
        self.read_only = False
        """That is what it has got."""
        self.established = int(time.time() * 1000)
        self.heard = time.monotonic()
        self.session_id = 0
        self.session_timeout = 0
        self.waiting: deque[Blocked] = deque()
        self.stalled = 0
        self.reads = 0
        self.full = False
        """So much is gathered that others have their turn first."""
        self.held = False
        """The server does not read from it for now."""
        self.taken = 0
        """Bytes of requests since none waited."""
        self.identities: tuple[tuple[str, str], ...] = ()
        self.identity_wire = b""
        self.add_identity(*address(host))
        self.reset_stats()

    def add_identity(self, scheme: str, name: str) -> bool:
        """The client has proved to be this; False if it is too much to remember."""
        if (scheme, name) not in self.identities:
            identities = (*self.identities, (scheme, name))
            wire = encode_identities(identities)
            if len(wire) > _IDENTITY_ROOM:
                return False
            self.identities, self.identity_wire = identities, wire
        return True

    def reset_stats(self) -> None:
        """All counters as before the first request."""
        self.packets_received = 0
        self.packets_sent = 0
        self._last_size = self._most_size = NO_SIZE
        self._least_size = sys.maxsize
        self.last_op = 0
        self.last_cxid = -1
        self.last_zxid = NO_ZXID
        self.answered_at = 0.0
        self.last_latency = 0
        self.min_latency = 0
        self.max_latency = 0
        self.latency_total = 0
        self.latency_count = 0

    def answered(self, zxid: int, now: float, milliseconds: int, times: int = 1) -> None:
        """Requests were answered that took so long; now is monotonic."""
        if not milliseconds:
            self.min_latency = 0
        else:
            if not self.latency_count or milliseconds < self.min_latency:
                self.min_latency = milliseconds
            if milliseconds > self.max_latency:
                self.max_latency = milliseconds
            self.latency_total += milliseconds * times
        self.latency_count += times
        self.last_latency = milliseconds
        self.last_zxid = zxid
        self.answered_at = now

    def sent(self, packets: int, last: int, least: int, most: int) -> None:
        """So many replies and events are on their way; sizes in bytes."""
        self.packets_sent += packets
        self._last_size = last
        if least < self._least_size:
            self._least_size = least
        if most > self._most_size:
            self._most_size = most

    @property
    def reply_sizes(self) -> tuple[int, int, int]:
        """The last, smallest and largest reply or event; NO_SIZE before the first."""
        if self._most_size == NO_SIZE:
            return NO_SIZE, NO_SIZE, NO_SIZE
        return self._last_size, self._least_size, self._most_size

    @property
    def last_response(self) -> int:
        """When, by a monotonic clock, in ms."""
        return int(self.answered_at * 1000)

    @property
    def outstanding(self) -> int:
        """Requests taken and not yet answered."""
        return len(self.waiting)

    @property
    @abstractmethod
    def interest_ops(self) -> int:
        """1: it is read from; 4: something waits to be written; 5: both; 0: neither."""

    @abstractmethod
    def welcome(self, session: Session) -> None:
        """The session is this connection's from now on."""

    @abstractmethod
    def refused(self) -> None:
        """The session is over, or not the client's: say so and close."""

    @abstractmethod
    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Answer a request; sent with the next flush()."""

    @abstractmethod
    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Tell of a change; sent with the next flush(), before any later reply."""

    @abstractmethod
    def flush(self) -> None:
        """Send what was gathered."""

    @abstractmethod
    def hold(self) -> None:
        """Read no more requests for now."""

    @abstractmethod
    def resume(self) -> None:
        """Read requests again."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """Send what was gathered and close."""


def interest_in(transport: asyncio.Transport) -> int:
    """What a connection's interest_ops are while it is that transport's."""
    writing = 4 if transport.get_write_buffer_size() else 0
    return writing | (1 if transport.is_reading() else 0)
