"""HTTP on the client port: which handler a path belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from json import dumps
from typing import Final, cast

from aiohttp import web

from . import websocket
from .certificates import introduce
from .connection import Connection, Service
from .http_connection import HttpConnection

_IDLE: Final = 30.0
"""Seconds that a client may take for a request, and leave between two."""


class _Protocol(web.RequestHandler):
    """aiohttp's protocol for one connection, admitted by the server core before it can cost anything."""

    __slots__ = ("client", "lost", "service")

    def __init__(self, server: web.Server, service: Service) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # typed too narrowly: it means none
            keepalive_timeout=_IDLE,
            lingering_time=_IDLE,
            auto_decompress=False,
        )
        self.service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it or not."""
        transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self.client = HttpConnection(transport, self.service, peer[0], peer[1])
        introduce(self.client, transport)
        self.lost: Callable[[], None] = self.client.gone
        if self.service.accept(self.client) is not None:
            transport.abort()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for an answer."""
        self.lost()
        super().connection_lost(exc)

    def become(self, connection: Connection, lost: Callable[[], None]) -> None:
        """From now on the core sees that connection in place of this one: it still is admitted once."""
        connection.secure, connection.subject = self.client.secure, self.client.subject
        self.service.gone(self.client)
        self.service.accept(connection)
        self.lost = lost


class _Server(web.Server):
    def __init__(self, service: Service, dirty: list[Connection], limit: int) -> None:
        super().__init__(self._handle)
        self._service = service
        self._dirty = dirty
        self._limit = limit

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._service)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == websocket.PATH:
            become = cast(_Protocol, request.protocol).become
            return await websocket.serve(request, self._service, self._dirty, self._limit, become)
        error = {"request": f"{request.method} {request.path}", "message": "There is nothing here"}
        return web.Response(status=404, text=dumps(error), content_type="application/json")


def runner(service: Service, dirty: list[Connection], limit: int) -> web.BaseRunner:
    """What makes aiohttp's protocols, once it is set up, and ends them at its cleanup. dirty: the
    connections with something to send, shared with the service; limit: bytes of a request."""
    return web.ServerRunner(_Server(service, dirty, limit), shutdown_timeout=1.0)
