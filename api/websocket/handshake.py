"""What becomes a WebSocket: the request that is answered by one, and those that are refused."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import Final

from aiohttp import web

from ..browsers import is_of_another_site
from ..connection import Connection, Service
from .connection import WebSocketConnection

PATH: Final = "/ws/v1"
PROTOCOL: Final = "znoded.v1.cbor"
"""The subprotocol's name."""


async def serve(
    request: web.BaseRequest,
    client: Connection,
    service: Service,
    dirty: list[Connection],
    limit: int,
    become: Callable[[Connection, Callable[[], None]], None],
) -> web.StreamResponse:
    """Answer a request for a WebSocket. client: the request's connection; dirty: as the service's; limit:
    bytes of a message; become: has a connection take the client's place, and calls that when it is lost."""
    refusal = _refusal(request)
    if refusal is not None:
        status, message = refusal
        error = {"request": f"{request.method} {request.path}", "message": message}
        headers = {"Upgrade": "websocket"} if status == 426 else None
        return web.Response(
            status=status, text=dumps(error), content_type="application/json", headers=headers
        )
    # aiohttp refuses what has as many bytes as it is told.
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), compress=False, max_msg_size=limit + 1)
    writer = await socket.prepare(request)
    transport = request.transport
    if transport is None:  # the client has gone meanwhile
        return socket
    connection = WebSocketConnection(
        socket, transport, writer.drain, service, dirty, client.host, client.port
    )
    become(connection, connection.gone)
    await connection.serve()
    return socket


def _refusal(request: web.BaseRequest) -> tuple[int, str] | None:
    """Status and message, if no WebSocket is to be had so."""
    headers = request.headers
    if request.method != "GET" or headers.get("Upgrade", "").lower() != "websocket":
        return 426, "This is for WebSockets"
    if is_of_another_site("POST", headers):  # what comes may change things
        return 403, "A page of another site may not do this"
    if not headers.get("Sec-WebSocket-Key", "").isascii():  # aiohttp expects no such thing
        return 400, "Sec-WebSocket-Key is malformed"
    offered = headers.get("Sec-WebSocket-Protocol")
    if offered is not None and PROTOCOL not in [one.strip() for one in offered.split(",")]:
        return 400, f"The subprotocol here is {PROTOCOL}"
    return None
