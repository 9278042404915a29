"""The ZooKeeper protocol on one connection: frames in, frames out."""

from __future__ import annotations

import asyncio
import struct
from time import monotonic
from typing import Final

from ..storage import ops
from ..storage.jute import Malformed, Reader
from ..storage.session import Session
from .connection import Connection, Service, interest_in

_REQUEST: Final = struct.Struct(">iii").unpack_from
_LENGTH: Final = struct.Struct(">i").unpack_from
_REPLY: Final = struct.Struct(">iiqi").pack
_EVENT: Final = struct.Struct(">iiqiiii").pack
_WELCOME: Final = struct.Struct(">iiqi16s").pack
_EVENT_XID: Final = -1
_CONNECTED: Final = 3
"""The state that an event tells: Watcher.Event.KeeperState.SyncConnected."""
_NO_PASSWORD: Final = bytes(16)
_CLOSED_SESSION: Final = 0
_LEAST_CONNECT: Final = 28
"""A connect request without password and read-only flag."""
_LARGE: Final = 1024
"""Bytes from which an answer counts towards a turn: smaller ones are bounded by a read's requests."""
_TURN: Final = 256 << 10
"""Bytes of large answers after which the others have their turn, and this client must read first."""
_KEPT: Final = 64 << 10
"""Bytes of requests that are read ahead of their turn: pings of a slow reader must be heard."""
_BACKLOG: Final = 32 << 20
"""Bytes that may wait for a client that does not read, before it is given up."""
_PATIENCE: Final = 10.0
"""Seconds in which a client must read the last that it is sent."""


class ZooKeeperConnection(Connection):
    """Speaks the client protocol of ZooKeeper 3.4 to 3.9 (ClientCnxn, NIOServerCnxn).

    An asyncio.Protocol in all but descent: a class that is compiled can't have an interpreted base.
    """

    dialect = "zookeeper"

    __slots__ = (
        "_backlog",
        "_closing",
        "_dirty",
        "_gathered",
        "_limit",
        "_modern",
        "_need",
        "_out",
        "_rest",
        "_service",
        "_stuck",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        service: Service,
        dirty: list[Connection],
        host: str,
        port: int,
        frame_limit: int,
    ) -> None:
        super().__init__(host, port)
        self._transport = transport
        self._service = service
        self._dirty = dirty
        self._limit = frame_limit
        self._rest = bytearray()
        self._need = 4
        self._out: list[bytes] = []
        self._gathered = 0
        self._backlog = 0
        self._closing = False
        self._stuck = False
        self._modern = True
        self._timer: asyncio.TimerHandle | None = None

    # what the client sends

    def data_received(self, data: bytes) -> None:
        """Take every complete frame; keep the rest."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return
            data = bytes(rest)
            rest.clear()
        self.heard = monotonic()
        if not self.session_id:
            if self.held:
                rest += data
            else:
                self._handshake(data)
            return
        at, end = 0, len(data)
        limit = self._limit
        submit = self._service.submit
        count = 0
        while end - at >= 12 and not self.full:
            size, xid, op = _REQUEST(data, at)
            stop = at + 4 + size
            if stop > end or size < 8 or size > limit:
                break
            count += 1
            submit(self, xid, op, data[at + 12 : stop])
            at = stop
        if count:
            self.packets_received += count
            self.last_op = op
            if xid >= 0:
                self.last_cxid = xid
            self._service.settle(self, count, at)
        if at < end and not self._closing:
            self._keep(data, at, end)

    def _keep(self, data: bytes, at: int, end: int) -> None:
        """Keep requests whose turn comes later, or wait for the rest of a frame whose length makes sense."""
        if self.full:
            self._need = 0
            if end - at > _KEPT:
                self._transport.pause_reading()
        elif end - at < 4:
            self._need = 4
        else:
            size = _LENGTH(data, at)[0]
            if size > self._limit or size < 8:
                self.close(f"a frame of {size} bytes (jute.maxbuffer is {self._limit})")
                return
            self._need = 4 + size
        self._rest += data[at:]

    def _handshake(self, data: bytes) -> None:
        end = 4
        if len(data) >= 4:
            size = _LENGTH(data)[0]
            if not _LEAST_CONNECT <= size <= self._limit:
                self.close(f"a connect request of {size} bytes")
                return
            end += size
        if len(data) < end or end == 4:
            self._need = end
            self._rest += data
            return
        reader = Reader(data[4:end])
        try:
            reader.int32()  # the protocol's version, always 0
            seen, timeout, session = reader.int64(), reader.int32(), reader.int64()
            password = reader.buffer() or b""
        except Malformed as error:
            self.close(f"a malformed connect request: {error}")
            return
        # Clients since 3.4 say here whether they would take a read-only server, and wait for its answer.
        self._modern = reader.left > 0
        self.takes_read_only = self._modern and reader.flag()
        self.packets_received += 1
        self.last_op = ops.CREATE_SESSION
        self._need = 0
        self._rest += data[end:]
        self.hold()  # until the session is there
        self._service.connect(self, seen, timeout, session, password)

    def eof_received(self) -> None:
        """A client that ends its side is gone: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the session to its timeout."""
        self._end()
        self.patience(None)
        self._out.clear()
        self._service.gone(self)

    # back-pressure

    def pause_writing(self) -> None:
        """The client does not read: take no more requests, so that answers do not pile up."""
        self._stuck = self.full = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stuck = False
        self._backlog = 0
        self._go_on()

    def hold(self) -> None:
        """Read no more requests for now."""
        self.held = True
        if not self._closing:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read requests again, unless the client still does not read answers."""
        self.held = False
        self._go_on()

    def _go_on(self) -> None:
        """Take the requests that are here already, then more."""
        if self.held or self._closing:
            return
        if not self._stuck:
            self.full = False
            if self.waiting:
                self._service.proceed(self)
            if self._rest and not self.full:
                self.data_received(b"")
        if not (self.held or self._closing or (self.full and len(self._rest) > _KEPT)):
            self._transport.resume_reading()

    def patience(self, timer: asyncio.TimerHandle | None) -> None:
        """From now on this timer alone decides when the connection has failed to do what it must."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    @property
    def interest_ops(self) -> int:
        """As a Java selector tells it."""
        return interest_in(self._transport)

    # what the client is sent

    def welcome(self, session: Session) -> None:
        """Answer the connect request, then take what came after it."""
        self.session_id = session.id
        self.session_timeout = session.timeout
        self.patience(None)
        self._welcome(session.timeout, session.id, session.password)
        self.packets_sent += 1
        self.resume()

    def refused(self) -> None:
        """Answer with session 0, as ZooKeeper tells that a session is over."""
        self._welcome(0, _CLOSED_SESSION, _NO_PASSWORD)
        self.close("")

    def _welcome(self, timeout: int, session: int, password: bytes) -> None:
        answer = _WELCOME(0, timeout, session, 16, password)
        if self._modern:
            answer += b"\1" if self.read_only else b"\0"
        self._transport.write(len(answer).to_bytes(4) + answer)

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Gather an answer."""
        out = self._out
        if not out:
            self._dirty.append(self)
        size = len(body)
        out.append(_REPLY(16 + size, xid, zxid, error))
        out.append(body)
        if size > _LARGE:
            self._weigh(size)

    def _weigh(self, size: int) -> None:
        """End the turn of a client whose answers are much to send."""
        self._gathered += size
        if self._gathered > _TURN:
            self.full = True
            if self._gathered - size > 2 * _BACKLOG:  # a single answer may be as large as it is
                self._give_up()

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Gather a watch's event."""
        out = self._out
        if not out:
            self._dirty.append(self)
        size = len(path)
        out.append(_EVENT(28 + size, _EVENT_XID, zxid, 0, kind, _CONNECTED, size))
        out.append(path)

    def flush(self) -> None:
        """Send what was gathered; give up on a client that lets too much of it wait."""
        out = self._out
        if self._closing or not out:
            out.clear()
            return
        if len(out) == 2:
            data = out[0] + out[1]
            size = len(data) - 4
            self.sent(1, size, size, size)
        else:
            data = b"".join(out)
            sizes = [*map(len, out[1::2])]
            self.sent(len(sizes), sizes[-1] + 16, min(sizes) + 16, max(sizes) + 16)
        out.clear()
        if self._stuck:
            self._backlog += len(data)
            if self._backlog > _BACKLOG:
                self._give_up()
                return
        self._transport.write(data)
        if self.full:
            self._gathered = 0
            if not self._stuck:
                asyncio.get_running_loop().call_soon(self._go_on)

    def close(self, reason: str) -> None:
        """Send what was gathered and close."""
        if self._out:
            self.flush()
        if not self._closing:
            self._end()
            self._service.closing(self, reason)
            self._transport.close()
            self.patience(asyncio.get_running_loop().call_later(_PATIENCE, self._transport.abort))

    def _give_up(self) -> None:
        """Drop what a client does not read, and the client with it."""
        if not self._closing:
            self._end()
            self._out.clear()
            self._service.closing(self, "does not read what it is sent")
            self._transport.abort()

    def _end(self) -> None:
        self._closing = self.full = True
        self.waiting.clear()
        self._rest.clear()
