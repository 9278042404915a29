"""A server that behaves as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeAlias, cast

from aiohttp import web

from znoded.storage import cbor
from znoded.storage.znode import STAT_NAMES

Request: TypeAlias = tuple[int, str, dict[str, object]]


class Line:
    """A client's connection. number: how many there were before it."""

    def __init__(self, socket: web.WebSocketResponse, number: int) -> None:
        self.socket = socket
        self.number = number
        self._requests: list[Request] = []

    async def request(self) -> Request:
        """The next one: xid, name, arguments."""
        while not self._requests:
            message = await self.socket.receive()
            if message.type is not web.WSMsgType.BINARY:
                raise ConnectionError
            for request in cast(list[list[object]], cbor.decode(cast(bytes, message.data))):
                self._requests.append(cast(Request, (*request, {})[:3]))
        return self._requests.pop(0)

    async def until(self, name: str) -> Request:
        """The next request of that name; pings are answered, and all others passed over."""
        while True:
            xid, found, arguments = await self.request()
            if found == name:
                return xid, found, arguments
            if found == "ping":
                await self.say([0, 0, 0, {}])

    async def say(self, *items: object) -> None:
        """A message of these."""
        await self.socket.send_bytes(cbor.encode(list(items)))

    async def grant(self, milliseconds: int = 10_000, session: int = 1) -> dict[str, object]:
        """Answer connect; its arguments."""
        _, name, arguments = await self.request()
        assert name == "connect"
        await self.say([0, 0, 0, {"session": session, "timeout": milliseconds, "password": b"*" * 16}])
        return arguments

    async def expired(self) -> None:
        """Answer connect: there is no such session."""
        await self.request()
        await self.say([0, 0, -112, "SessionExpired"])
        await self.socket.close(code=4001)

    async def serve(self) -> None:
        """Say to all that comes that it was done; every znode has `data`."""
        while True:
            xid, name, _ = await self.request()
            await self.say([xid, 1, 0, {"data": b"data", "stat": STAT, "path": "/path"}])
            if name == "close":
                await self.socket.close()
                return

    async def hold(self) -> None:
        """Read, and say nothing, until the client leaves."""
        while True:
            await self.request()


STAT = dict.fromkeys(STAT_NAMES, 1)


class Pretender:
    """behave is called with each connection."""

    def __init__(self, behave: Callable[[Line], Awaitable[None]]) -> None:
        self.lines = 0
        self._behave = behave

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/ws/v1", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = "{}:{}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("znoded.v1.cbor",), max_msg_size=0)
        await socket.prepare(request)
        line = Line(socket, self.lines)
        self.lines += 1
        try:
            await self._behave(line)
        except ConnectionError:
            pass
        finally:
            await asyncio.shield(socket.close())
        return socket
