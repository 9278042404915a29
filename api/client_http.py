"""HTTP on the client port: aiohttp on the outside, and who of its connections must go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final, cast

from aiohttp import HttpVersion10, StreamReader, web
from aiohttp.abc import AbstractStreamWriter

from .admin import words
from .certificates import introduce
from .connection import Connection, Service
from .http import finish
from .http_quiet import Quiet
from .rest import resources
from .rest.connection import HttpConnection
from .rest.exchange import Answer, Incoming, Stream
from .rest.forms import Fault
from .websocket import handshake

_IDLE: Final = 30.0
"""Seconds that a client may take for a request, may leave between two, and has to read some of an answer."""
_LEAST: Final = 64 << 10
"""Bytes that it must have read by then, of what does not fit the kernel's buffers."""
_NO_CONTENT: Final = 204
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Protocol(web.RequestHandler):
    """aiohttp's protocol for one connection, admitted by the server core before it can cost anything."""

    __slots__ = (
        "_ending",
        "_impatient",
        "_timer",
        "_transport",
        "_unread",
        "client",
        "lost",
        "root",
        "service",
    )

    def __init__(self, server: web.Server, service: Service) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=Quiet(logging.getLogger(__name__)),  # type: ignore[arg-type]  # likewise
            access_log=None,  # type: ignore[arg-type]  # typed too narrowly: it means none
            keepalive_timeout=_IDLE,
            lingering_time=_IDLE,
            auto_decompress=False,
        )
        self.service = service
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._impatient = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it or not."""
        # aiohttp lets go of it at once when it closes it, with what is not yet written.
        transport = self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self.client = HttpConnection(transport, self.service, peer[0], peer[1])
        introduce(self.client, transport)
        self.lost: Callable[[], None] = self.client.gone
        if self.service.accept(self.client) is not None:
            transport.abort()
            return
        scheme = "https" if self.client.secure else "http"
        host, port = transport.get_extra_info("sockname")[:2]
        self.root = scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        transport.set_write_buffer_limits(*words.FULL)  # so that writing pauses until everything is out
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for an answer."""
        self._forgive()
        self.lost()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # typed too narrowly: True keeps it open
        """End when what is being answered is. TLS has no such half of an end, WebSockets one of theirs."""
        if self.client.secure or not self._impatient:
            return False
        self._ending = asyncio.get_running_loop().create_task(finish(self))
        return True

    def pause_writing(self) -> None:
        """The client reads more slowly than answers come: it must go on reading."""
        super().pause_writing()
        if self._impatient:
            self._watch()

    def resume_writing(self) -> None:
        """There is room again."""
        self._forgive()
        super().resume_writing()

    def _watch(self) -> None:
        unread = self._transport.get_write_buffer_size()
        if self._timer is not None and unread > self._unread - _LEAST:
            self.service.closing(self.client, f"has read hardly anything for {_IDLE:g} s")
            self._transport.abort()
            return
        self._unread = unread
        self._timer = asyncio.get_running_loop().call_later(_IDLE, self._watch)

    def _forgive(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def become(self, connection: Connection, lost: Callable[[], None]) -> None:
        """From now on the core sees that connection in place of this one: it still is admitted once."""
        connection.secure, connection.subject = self.client.secure, self.client.subject
        self._impatient = False
        self._forgive()
        self.service.gone(self.client)
        self.service.accept(connection)
        self.lost = lost


class _Whole(web.StreamResponse):
    """An answer that goes out in one write: web.Response takes twice as long for the same bytes."""

    def __init__(self, request: web.BaseRequest, answer: Answer) -> None:
        self._keeps = request.keep_alive and not answer.ends
        body = answer.body
        head = [f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nZxid: {answer.zxid}\r\n"]
        if answer.kind:
            head.append(f"Content-Type: {answer.kind}\r\n")
        for name, value in answer.headers.items():
            head.append(f"{name}: {value}\r\n")
        is_head = request.method == "HEAD"
        if answer.status != _NO_CONTENT and not is_head:  # to HEAD, it would have to be GET's
            head.append(f"Content-Length: {len(body)}\r\n")
        if not self._keeps:
            head.append("Connection: close\r\n")
        elif request.version == HttpVersion10:
            head.append("Connection: keep-alive\r\n")
        head.append(_end_of_head(int(time())))
        self._bytes = "".join(head).encode()
        if not is_head:
            self._bytes += body

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""
        return self._keeps

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it, and wait until the client has read most of it."""
        transport = request.transport
        if transport is None:
            return None
        transport.write(self._bytes)
        await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """It has gone out."""


def _take_as_it_is(headers: Mapping[str, str]) -> None:
    """Raise Fault for a body in a coding that would be kept as if it were the data."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        coding = headers.get(name)
        if coding is not None and coding.strip().lower() != plain:
            raise Fault(415, f"a body is taken as it is, not with {name}: {coding}")


@lru_cache(maxsize=1)
def _end_of_head(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: znoded\r\n\r\n"


class _Server(web.Server):
    def __init__(self, service: Service, dirty: list[Connection], limit: int) -> None:
        super().__init__(self._handle)
        self._service = service
        self._dirty = dirty
        self._limit = limit

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._service)

    def pre_shutdown(self) -> None:
        """Streams of events would not end by themselves."""
        for protocol in self.connections:
            cast(_Protocol, protocol).client.end_stream()
        super().pre_shutdown()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = cast(_Protocol, request.protocol)
        if request.path == handshake.PATH:
            return await handshake.serve(
                request, protocol.client, self._service, self._dirty, self._limit, protocol.become
            )
        headers = request.headers
        incoming = Incoming(
            protocol.client,
            request.method,
            request.raw_path,
            headers,
            protocol.root,
            lambda: self._read(request),
        )
        answer = await resources.serve(incoming)
        if isinstance(answer, Stream):
            return await _stream(request, answer)
        return _Whole(request, answer)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body, in good time and of a size that a znode may have; raises Fault."""
        _take_as_it_is(request.headers)
        content = request.content
        if content.is_eof():
            body = content.read_nowait()
            if len(body) <= self._limit:
                return body
        elif (request.content_length or 0) <= self._limit:
            if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
                request.transport.write(_CONTINUE)
            try:
                async with asyncio.timeout(_IDLE):
                    return await self._gather(content)
            except TimeoutError:
                raise Fault(408, f"the body did not come within {_IDLE:g} s") from None
            except (web.RequestPayloadError, ConnectionError, RuntimeError) as error:
                # The latter two are how the reader tells that the client has closed the connection.
                raise Fault(400, f"the body is malformed: {error}") from error
        raise self._too_large()

    def _too_large(self) -> Fault:
        return Fault(413, f"a body has at most {self._limit} bytes (jute.maxbuffer)")

    async def _gather(self, content: StreamReader) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await content.readany():
            size += len(piece)
            if size > self._limit:
                raise self._too_large()
            pieces.append(piece)
        return b"".join(pieces)


async def _stream(request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
    """Send what comes until it ends, and the connection with it: it has watches."""
    headers = {"Zxid": str(stream.zxid), "Content-Type": stream.kind, "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    response.force_close()
    with suppress(ConnectionError):  # the client has enough
        await response.prepare(request)
        async with aclosing(stream.chunks) as chunks:
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    return response


def runner(service: Service, dirty: list[Connection], limit: int) -> web.BaseRunner:
    """What makes aiohttp's protocols, once it is set up, and ends them at its cleanup. dirty: the
    connections with something to send, shared with the service; limit: bytes of a request."""
    return web.ServerRunner(_Server(service, dirty, limit), shutdown_timeout=1.0)
