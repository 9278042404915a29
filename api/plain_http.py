"""HTTP on the client port: plain requests, answered without aiohttp's server, which costs more than they do.

Plain is what nearly every client sends: HTTP/1.1, for a znode or a session, with a Content-Length if there is
a body. At the first request that is anything else the connection goes over to aiohttp's server, for good.
The parser is aiohttp's in both cases, so they agree about what a request is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, cast

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion11, RawRequestMessage

from . import http_patience
from .admin import words
from .certificates import introduce
from .connection import Service
from .http import hand_over
from .http_patience import Reading
from .rest import resources
from .rest.connection import HttpConnection
from .rest.exchange import Answer, Incoming, Stream
from .rest.forms import Fault
from .rest.wire import written

_END_OF_HEAD: Final = b"\r\n\r\n"
_HEAD: Final = 16 << 10
"""Bytes of a head that are kept until all of it is there."""
_AHEAD: Final = 64 << 10
"""Bytes that a client may send before it has its answer, until it is not read from."""
_PLACES: Final = (resources.ZNODES, resources.SESSIONS)

log = logging.getLogger(__name__)


class PlainHttp(asyncio.Protocol):
    """One connection, admitted by the server core before it can cost anything."""

    __slots__ = (
        "_ahead",
        "_deaf",
        "_ends",
        "_has_ended",
        "_lags",
        "_limit",
        "_missing",
        "_open",
        "_others",
        "_parser",
        "_payload",
        "_raw",
        "_request",
        "_since",
        "_timer",
        "client",
        "reading",
        "root",
        "service",
        "task",
        "transport",
    )

    def __init__(
        self,
        service: Service,
        limit: int,
        opened: set[PlainHttp],
        others: Callable[[PlainHttp], asyncio.Protocol],
    ) -> None:
        """limit: bytes of a body. opened: where it stands while it has its connection. others: makes who
        takes the connection over."""
        self.service = service
        self._limit = limit
        self._open = opened
        self._others = others
        self.task: asyncio.Task[None] | None = None
        """Answers a request."""
        self._raw = b""
        """What has come of a head."""
        self._missing = 0
        """Bytes of a body that have not come."""
        self._ahead = b""
        """What came while a request is answered."""
        self._deaf = False
        """It is not read from, because of that."""
        self._lags = False
        self._has_ended = False
        """The client says no more."""
        self._ends = False
        """What is being answered is the last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it or not."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self.client = HttpConnection(self.transport, self.service, peer[0], peer[1])
        introduce(self.client, self.transport)
        self.reading = Reading(self.transport, self.client, self.service)
        if self.service.accept(self.client) is not None:
            self.transport.abort()
            return
        scheme = "https" if self.client.secure else "http"
        host, port = transport.get_extra_info("sockname")[:2]
        self.root = scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.transport.set_write_buffer_limits(*words.FULL)  # so that writing pauses until everything is out
        loop = asyncio.get_running_loop()
        # Nothing is held back by the body's reader: no body is larger than it may hold.
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, self._limit, auto_decompress=False)
        self._since = monotonic()
        self._timer = loop.call_later(http_patience.IDLE, self._look)
        self._open.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for an answer."""
        self._let_go()
        self.reading.goes_on()
        self.client.gone()

    def eof_received(self) -> bool:
        """End when what it has asked is answered. TLS has no such half of an end."""
        self._has_ended = True
        return self.task is not None and not self.client.secure

    def pause_writing(self) -> None:
        """The client reads more slowly than answers come: it must go on reading."""
        self._lags = True
        self.reading.lags()

    def resume_writing(self) -> None:
        """There is room again."""
        self._lags = False
        self.reading.goes_on()
        if self.task is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """A request, some of its body, or what comes too soon."""
        if self.task is not None or self._lags:
            self._ahead += data
            if len(self._ahead) > _AHEAD and not self._deaf:
                self._deaf = True
                self.transport.pause_reading()
        else:
            self._take(data)

    def end(self) -> None:
        """Take no further request."""
        self._ends = True
        if self.task is None:
            self.transport.close()

    def _take(self, data: bytes) -> None:
        """Some of a request, and what is behind it."""
        if not self._missing:
            seen = len(self._raw)
            if not seen:
                self._since = monotonic()
            self._raw += data
            end = self._raw.find(_END_OF_HEAD, max(0, seen - len(_END_OF_HEAD) + 1)) + len(_END_OF_HEAD)
            ends = end >= len(_END_OF_HEAD)
            if not self._takes_head(data[: end - seen] if ends else data, ends=ends):
                self._hand_over()
                return
            if not ends:
                return
            data, self._raw = self._raw[end:], b""
        body, self._ahead = data[: self._missing], data[self._missing :]
        if body:
            self._missing -= len(body)
            self._parser.feed_data(body)
        if not self._missing:
            self._answer(self._payload.read_nowait())

    def _takes_head(self, data: bytes, *, ends: bool) -> bool:
        """Parse some of a head, or its end; False if it is not plain, or malformed."""
        try:
            messages, _, _ = self._parser.feed_data(data)
        except HttpProcessingError:
            return False
        if len(messages) != ends:
            return False
        if not ends:
            return len(self._raw) <= _HEAD
        self._request, self._payload = messages[0]
        length = self._length(self._request)
        if length is None or self._payload.is_eof() == (length > 0) or self._payload.total_bytes:
            return False
        self._missing = length
        return True

    def _length(self, request: RawRequestMessage) -> int | None:
        """Of the body; None if the request is not plain."""
        headers = request.headers
        path = request.path
        if (
            request.version != HttpVersion11
            or request.upgrade
            or request.chunked
            or not path.startswith(_PLACES)
            or "Expect" in headers
        ):
            return None
        query = path.partition("?")[2]
        if query and ("events" in query or "%" in query):  # may ask for a stream
            return None
        length = int(headers.get("Content-Length", 0))
        return length if length <= self._limit else None

    def _answer(self, body: bytes | None) -> None:
        self.task = asyncio.get_running_loop().create_task(self._serve(self._request, body))

    async def _serve(self, request: RawRequestMessage, body: bytes | None) -> None:
        """body: None if it did not come in time."""

        async def read() -> bytes:
            take_as_it_is(request.headers)
            if body is None:
                raise too_slow()
            return body

        incoming = Incoming(self.client, request.method, request.path, request.headers, self.root, read)
        try:
            answer = await resources.serve(incoming)
            assert not isinstance(answer, Stream), "its query looked plain"
        except Exception:
            log.exception("failed to answer %s %s", request.method, request.path)
            answer = Answer(500, 0, ends=True)
        self.task = None
        if self.transport.is_closing():
            return
        self._since = monotonic()
        self._ends |= answer.ends or request.should_close or body is None
        self.transport.write(written(answer, request.method, "close" if self._ends else ""))
        if not self._lags:
            self._go_on()

    def _go_on(self) -> None:
        """What was asked is answered, and read."""
        if self._ahead and not self._ends:
            data, self._ahead = self._ahead, b""
            self._take(data)
            if self._deaf and len(self._ahead) <= _AHEAD:
                self._deaf = False
                self.transport.resume_reading()
        if self._ends or (self._has_ended and self.task is None):
            self.transport.close()

    def _look(self) -> None:
        """Whether the client takes too long."""
        left = self._since + http_patience.IDLE - monotonic()
        if self.task is not None or self._lags:
            left = http_patience.IDLE
        elif left <= 0 and self._missing:
            self._answer(None)
            left = http_patience.IDLE
        elif left <= 0:
            self.transport.close()
            return
        self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _let_go(self) -> None:
        self._timer.cancel()
        self._open.discard(self)

    def _hand_over(self) -> None:
        self._let_go()
        self._deaf = False
        self.transport.pause_reading()
        other = self._others(self)
        hand_over(self.transport, other, self._raw)
        if self._has_ended:
            self._has_ended = False
            other.eof_received()


def too_slow() -> Fault:
    """What is said of a body that takes too long."""
    return Fault(408, f"the body did not come within {http_patience.IDLE:g} s")


def take_as_it_is(headers: Mapping[str, str]) -> None:
    """Raise Fault for a body in a coding that would be kept as if it were the data."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        coding = headers.get(name)
        if coding is not None and coding.strip().lower() != plain:
            raise Fault(415, f"a body is taken as it is, not with {name}: {coding}")
