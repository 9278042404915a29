"""A WebSocket on the client port: sessions, requests in line and watches in CBOR (docs/websocket.md)."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, cast

from aiohttp import web

from ...storage import ops
from ...storage.errors import Code
from ...storage.jute import Malformed, Reader
from ...storage.session import Session
from ..connection import PATIENCE, Connection, Service, interest_in
from . import answers, messages

_CLOSED: Final = 1000
_GOING_AWAY: Final = 1001
_NOT_BINARY: Final = 1003
_MALFORMED: Final = 1007
_NO_SESSION: Final = 1008
_SESSION_OVER: Final = 4001
_LONGEST: Final = 123
"""Bytes of the reason in a close frame (RFC 6455, 5.5)."""
_MESSAGE: Final = 64 << 10
"""Bytes that a message is not made larger than by gathering."""
_LARGE: Final = 1024
"""Bytes from which an answer counts towards a turn: smaller ones are bounded by a turn's requests."""
_TURN: Final = 256 << 10
"""Bytes of large answers after which the others have their turn, and this client must read first."""
_REQUESTS: Final = 1000
"""Requests after which the others have their turn."""
_KEPT: Final = 64 << 10
"""Bytes of requests that are read ahead of their turn: pings of a slow reader must be heard."""
_UNREAD: Final = 64 << 10
"""Bytes that may wait for a client before it must read."""
_BACKLOG: Final = 32 << 20
"""Bytes that may wait for a client that does not read, before it is given up."""
_PATIENCE: Final = 10.0
"""Seconds in which a client must read the last that it is sent."""
_SHORT: Final = struct.Struct(">BB").pack
_MIDDLE: Final = struct.Struct(">BBH").pack
_LONG: Final = struct.Struct(">BBQ").pack
_BINARY: Final = 0x82


class WebSocketConnection(Connection):
    """Does for messages what ZooKeeperConnection does for frames.

    aiohttp reads and checks the WebSocket's frames. Those that carry answers are written here: all that is
    ready goes out in one write.
    """

    dialect = "websocket"

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        service: Service,
        dirty: list[Connection],
        host: str,
        port: int,
    ) -> None:
        """drain: waits until the client has read most of what was written; dirty: as the service's."""
        super().__init__(host, port)
        self._socket = socket
        self._transport = transport
        self._drain = drain
        self._service = service
        self._dirty = dirty
        self._inbox: deque[bytes] = deque()
        self._kept = 0
        self._requests: deque[messages.Request] = deque()
        self._connect = 0
        self._turn: asyncio.Handle | None = None
        self._room = asyncio.Event()
        self._out: list[bytes] = []
        self._gathered = 0
        self._backlog = 0
        self._stuck = False
        self._closing = False
        self._code = _GOING_AWAY
        self._draining: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        transport.set_write_buffer_limits(_UNREAD)
        self._timer = self._loop.call_later(
            PATIENCE, self._end, _NO_SESSION, f"has had no session for {PATIENCE:g} s"
        )

    # what the client sends

    async def serve(self) -> None:
        """Take its messages until it is closed."""
        while not self._closing:
            message = await self._socket.receive()
            if message.type is web.WSMsgType.BINARY:
                self._take(cast(bytes, message.data))
            elif message.type is web.WSMsgType.TEXT:
                self._end(_NOT_BINARY, "a text message: it must be CBOR, in a binary one")
            else:
                if message.type is web.WSMsgType.ERROR:
                    self._service.closing(self, str(message.data))
                self._closing = True
                while self._turn is not None:  # what came before is done, and not answered
                    self._turn.cancel()
                    self._serve()
                self._stop()
            while (self.held or self._kept > _KEPT) and not self._closing:
                self._room.clear()
                await self._room.wait()
        if self._ending is not None:
            await self._ending

    def _take(self, message: bytes) -> None:
        """Keep it until all that came in the same read is here, or longer if it is not its turn."""
        self.heard = monotonic()
        self._inbox.append(message)
        self._kept += len(message)
        if not self.full:
            self._schedule()

    def _schedule(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        """Serve the requests whose turn it is."""
        self._turn = None
        requests = self._requests
        count = size = 0
        while count < _REQUESTS and not (self.full or self.held):
            if not requests:
                if not self._inbox:
                    break
                message = self._inbox.popleft()
                self._kept -= len(message)
                size += len(message)
                try:
                    requests.extend(messages.decode(message))
                except Malformed as error:
                    self._end(_MALFORMED, str(error))
                continue
            count += 1
            number, op, body = requests.popleft()
            if op == ops.CREATE_SESSION or not self.session_id:
                self._begin(number, op, body)
                continue
            if op == ops.CLOSE_SESSION:
                self._code = _CLOSED
            self._service.submit(self, number, op, body)
        if count:
            self.packets_received += count
            self.last_op = op
            self.last_cxid = messages.xid_of(number)
            self._service.settle(self, count, size)
        if (requests or self._inbox) and not (self.full or self.held):
            self._schedule()
        self._room.set()

    def _begin(self, number: int, op: int, body: bytes) -> None:
        if op != ops.CREATE_SESSION or self.session_id:
            self._end(_MALFORMED, "the first request is connect, and no other is")
            return
        self._connect = number
        self.hold()  # until the session is there
        reader = Reader(body)
        reader.int32()
        seen, timeout, session = reader.int64(), reader.int32(), reader.int64()
        self._service.connect(self, seen, timeout, session, reader.buffer() or b"")

    def gone(self) -> None:
        """The connection is closed; its session is left to its timeout."""
        self._stop()
        self._timer.cancel()
        self._service.gone(self)

    # back-pressure

    def hold(self) -> None:
        """Take no more requests for now."""
        self.held = True

    def resume(self) -> None:
        """Take requests again, unless the client still does not read answers."""
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
            if (self._requests or self._inbox) and not self.full:
                self._schedule()
        self._room.set()

    async def _until_read(self) -> None:
        try:
            await self._drain()
        except ConnectionError:
            return
        self._stuck = False
        self._backlog = 0
        self._go_on()

    @property
    def interest_ops(self) -> int:
        """As a Java selector tells it."""
        return interest_in(self._transport)

    # what the client is sent

    def welcome(self, session: Session) -> None:
        """Answer the connect request, then take what came after it."""
        self.session_id = session.id
        self.session_timeout = session.timeout
        if self._closing:
            return
        self._timer.cancel()
        self._gather(answers.connected(self._connect, session))
        self.flush()
        self.resume()

    def refused(self) -> None:
        """Say that the session is over, in the answer to the connect request and in closing."""
        self._gather(answers.answer(self._connect, 0, Code.SESSIONEXPIRED, b""))
        self._code = _SESSION_OVER
        self.close("")

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Gather an answer."""
        self._gather(answers.answer(xid, zxid, error, body))
        size = len(body)
        if size > _LARGE:
            self._gathered += size
            if self._gathered > _TURN:
                self.full = True
                if self._gathered - size > 2 * _BACKLOG:  # a single answer may be as large as it is
                    self._give_up()

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Gather a watch's event."""
        self._gather(answers.event(kind, path, zxid))

    def _gather(self, item: bytes) -> None:
        if not self._out:
            self._dirty.append(self)
        self._out.append(item)

    def flush(self) -> None:
        """Send what was gathered; give up on a client that lets too much of it wait."""
        out = self._out
        if self._closing or not out:
            out.clear()
            return
        sizes = [*map(len, out)]
        self.sent(len(sizes), sizes[-1], min(sizes), max(sizes))
        data = _framed(out, sum(sizes))
        out.clear()
        if self._stuck:
            self._backlog += len(data)
            if self._backlog > _BACKLOG:
                self._give_up()
                return
        self._transport.write(data)
        if not self._stuck and self._transport.get_write_buffer_size() > _UNREAD:
            self._stuck = self.full = True
            self._draining = self._loop.create_task(self._until_read())
        if self.full:
            self._gathered = 0
            if not self._stuck:
                self._loop.call_soon(self._go_on)

    def close(self, reason: str) -> None:
        """Send what was gathered and close."""
        self._end(self._code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Send what was gathered, and close with that code."""
        if self._out:
            self.flush()
        if not self._closing:
            self._stop()
            self._service.closing(self, reason)
            self._timer.cancel()
            self._timer = self._loop.call_later(_PATIENCE, self._transport.abort)
            self._ending = self._loop.create_task(self._farewell(code, reason))

    async def _farewell(self, code: int, reason: str) -> None:
        cut = reason.encode()[:_LONGEST].decode(errors="ignore")
        await self._socket.close(code=code, message=cut.encode())

    def _give_up(self) -> None:
        """Drop what a client does not read, and the client with it."""
        if not self._closing:
            self._stop()
            self._out.clear()
            self._service.closing(self, "does not read what it is sent")
            self._transport.abort()

    def _stop(self) -> None:
        self._closing = self.full = True
        self.waiting.clear()
        self._inbox.clear()
        self._requests.clear()
        self._room.set()


def _framed(items: list[bytes], size: int) -> bytes:
    """WebSocket messages of these items, as few as may be; size is that of all."""
    if size <= _MESSAGE or len(items) == 1:
        head = answers.array_head(len(items))
        size += len(head)
        if size < 126:
            frame = _SHORT(_BINARY, size)
        elif size < 1 << 16:
            frame = _MIDDLE(_BINARY, 126, size)
        else:
            frame = _LONG(_BINARY, 127, size)
        return b"".join((frame, head, *items))
    half = len(items) // 2
    return b"".join(_framed(part, sum(map(len, part))) for part in (items[:half], items[half:]))
