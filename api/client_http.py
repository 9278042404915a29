"""HTTP on the client port, what is not plain: aiohttp's server, with our limits on time and size."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Final, cast

from aiohttp import HttpVersion10, StreamReader, web
from aiohttp.abc import AbstractStreamWriter

from . import http_patience
from .connection import Connection, Service
from .http import finish
from .http_quiet import Quiet
from .plain_http import PlainHttp, take_as_it_is, too_slow
from .rest import resources
from .rest.exchange import Answer, Incoming, Stream
from .rest.forms import Fault
from .rest.wire import written
from .websocket import handshake

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Protocol(web.RequestHandler):
    """aiohttp's protocol for one connection, taken over from who serves plain requests."""

    __slots__ = ("_ending", "_impatient", "_reading", "client", "lost", "root", "service")

    def __init__(self, server: web.Server, plain: PlainHttp) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=Quiet(logging.getLogger(__name__)),  # type: ignore[arg-type]  # likewise
            access_log=None,  # type: ignore[arg-type]  # typed too narrowly: it means none
            keepalive_timeout=http_patience.IDLE,
            lingering_time=http_patience.IDLE,
            auto_decompress=False,
        )
        self.service = plain.service
        self.client = plain.client
        self.root = plain.root
        self._reading = plain.reading
        self._impatient = True
        self.lost: Callable[[], None] = self.client.gone

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for an answer."""
        self._reading.goes_on()
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
            self._reading.lags()

    def resume_writing(self) -> None:
        """There is room again."""
        self._reading.goes_on()
        super().resume_writing()

    def become(self, connection: Connection, lost: Callable[[], None]) -> None:
        """From now on the core sees that connection in place of this one: it still is admitted once."""
        connection.secure, connection.subject = self.client.secure, self.client.subject
        self._impatient = False
        self._reading.goes_on()
        self.service.gone(self.client)
        self.service.accept(connection)
        self.lost = lost


class _Whole(web.StreamResponse):
    """An answer that goes out in one write: web.Response takes twice as long for the same bytes."""

    def __init__(self, request: web.BaseRequest, answer: Answer) -> None:
        self._keeps = request.keep_alive and not answer.ends
        connection = "keep-alive" if request.version == HttpVersion10 else ""
        self._bytes = written(answer, request.method, connection if self._keeps else "close")

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


class _Server(web.Server):
    def __init__(self, service: Service, dirty: list[Connection], limit: int) -> None:
        super().__init__(self._handle)
        self._service = service
        self._dirty = dirty
        self._limit = limit
        self._plain: set[PlainHttp] = set()

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # for plain requests, until others come
        return PlainHttp(self._service, self._limit, self._plain, partial(_Protocol, self))

    def pre_shutdown(self) -> None:
        """Streams of events would not end by themselves."""
        for protocol in self.connections:
            cast(_Protocol, protocol).client.end_stream()
        for plain in list(self._plain):
            plain.end()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # aiohttp names it
        """What is being answered gets that long, in seconds."""
        await super().shutdown(timeout)
        tasks = [plain.task for plain in self._plain if plain.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        for plain in self._plain:
            plain.transport.abort()

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
        take_as_it_is(request.headers)
        content = request.content
        if content.is_eof():
            body = content.read_nowait()
            if len(body) <= self._limit:
                return body
        elif (request.content_length or 0) <= self._limit:
            if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
                request.transport.write(_CONTINUE)
            try:
                async with asyncio.timeout(http_patience.IDLE):
                    return await self._gather(content)
            except TimeoutError:
                raise too_slow() from None
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
