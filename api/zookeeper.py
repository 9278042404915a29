"""The ZooKeeper protocol on one connection: frames in, frames out."""

from __future__ import annotations

import asyncio
import struct
from time import monotonic
from typing import Final

from ..storage import ops
from ..storage.jute import Malformed, Reader
from ..storage.session import Session
from .connection import NO_SIZE, Connection, Service

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


class ZooKeeperConnection(Connection, asyncio.Protocol):
    """Speaks the client protocol of ZooKeeper 3.4 to 3.9 (ClientCnxn, NIOServerCnxn)."""

    __slots__ = (
        "_closing",
        "_dirty",
        "_held",
        "_limit",
        "_modern",
        "_need",
        "_out",
        "_rest",
        "_service",
        "_stuck",
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
        self._closing = False
        self._stuck = False
        self._held = False
        self._modern = True

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
            self._handshake(data)
            return
        at, end = 0, len(data)
        limit = self._limit
        submit = self._service.submit
        count = 0
        while end - at >= 12:
            size, xid, op = _REQUEST(data, at)
            stop = at + 4 + size
            if stop > end or size < 8 or size > limit:
                break
            count += 1
            submit(self, xid, op, data[at + 12 : stop])
            at = stop
            if self._closing:
                return
        if count:
            self.packets_received += count
            self.last_op = op
            if xid >= 0:
                self.last_cxid = xid
            self._service.settle(self, count)
        if at < end:
            self._keep(data, at, end)

    def _keep(self, data: bytes, at: int, end: int) -> None:
        """Wait for the rest of a frame whose length, if it is there, makes sense."""
        self._need = 12
        if end - at >= 4:
            size = _LENGTH(data, at)[0]
            if size > self._limit or size < 8:
                self.close(f"a frame of {size} bytes (jute.maxbuffer is {self._limit})")
                return
            self._need = 4 + size
        self._rest += data[at:]

    def _handshake(self, data: bytes) -> None:
        if len(data) < 4 or len(data) < 4 + _LENGTH(data)[0]:
            if len(data) >= 4 and not 44 <= _LENGTH(data)[0] <= self._limit:
                self.close("a connect request of absurd length")
                return
            self._need = 4 if len(data) < 4 else 4 + _LENGTH(data)[0]
            self._rest += data
            return
        end = 4 + _LENGTH(data)[0]
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
        self.packets_received += 1
        self.last_op = ops.CREATE_SESSION
        self._rest += data[end:]
        self.hold()  # until the session is there
        self._service.connect(self, seen, timeout, session, password)

    def eof_received(self) -> None:
        """A client that ends its side is gone: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the session to its timeout."""
        self._closing = True
        self._out.clear()
        self.waiting.clear()
        self._service.gone(self)

    # back-pressure

    def pause_writing(self) -> None:
        """The client does not read: take no more requests, so that answers do not pile up."""
        self._stuck = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stuck = False
        if not self._held and not self._closing:
            self._transport.resume_reading()

    def hold(self) -> None:
        """Read no more requests for now."""
        self._held = True
        if not self._closing:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read requests again, unless the client still does not read answers."""
        self._held = False
        if not self._stuck and not self._closing:
            self._transport.resume_reading()

    @property
    def interest_ops(self) -> int:
        """As a Java selector tells it."""
        writing = 4 if self._transport.get_write_buffer_size() else 0
        return writing | (0 if self._held or self._stuck else 1)

    # what the client is sent

    def welcome(self, session: Session) -> None:
        """Answer the connect request, then take what came after it."""
        self.session_id = session.id
        self.session_timeout = session.timeout
        self._welcome(session.timeout, session.id, session.password)
        self.packets_sent += 1
        self.resume()
        if self._rest:
            rest = bytes(self._rest)
            self._rest.clear()
            self.data_received(rest)

    def refused(self) -> None:
        """Answer with session 0, as ZooKeeper tells that a session is over."""
        self._welcome(0, _CLOSED_SESSION, _NO_PASSWORD)
        self.close("")

    def _welcome(self, timeout: int, session: int, password: bytes) -> None:
        answer = _WELCOME(0, timeout, session, 16, password) + (b"\0" if self._modern else b"")
        self._transport.write(len(answer).to_bytes(4) + answer)

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Gather an answer."""
        out = self._out
        if not out:
            self._dirty.append(self)
        out.append(_REPLY(16 + len(body), xid, zxid, error))
        out.append(body)

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
        sizes = [*map(len, out[1::2])]
        self.packets_sent += len(sizes)
        _, least, most = self.reply_sizes
        least = min(sizes) + 16 if least == NO_SIZE else min(least, min(sizes) + 16)
        self.reply_sizes = sizes[-1] + 16, least, max(most, max(sizes) + 16)
        data = b"".join(out)
        out.clear()
        transport = self._transport
        if transport.get_write_buffer_size() > self._limit * 8:
            self._closing = True
            transport.abort()
            return
        transport.write(data)

    def close(self, reason: str) -> None:
        """Send what was gathered and close."""
        if not self._closing:
            if self._out:
                self.flush()
            self._closing = True
            self._service.closing(self, reason)
            self._transport.close()
