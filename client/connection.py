"""One WebSocket to one server: requests out many at a time, answers and events in (docs/websocket.md)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

import aiohttp

from ..storage import cbor
from ..storage.errors import Code
from .errors import ConnectionClosed, SessionExpired, TooLarge

Arguments: TypeAlias = Mapping[str, object]
Answer: TypeAlias = tuple[int, object]
"""(0, result) or (code, its name)."""
OnEvent: TypeAlias = Callable[[str, str], None]
"""Takes a watch's event: kind, path."""

PROTOCOL: Final = "znoded.v1.cbor"
_MOST: Final = 1000
"""Requests in a message."""
_BATCH: Final = 64 << 10
"""Bytes, more or less, that requests are gathered to: an answer need not wait for all that are ahead."""
_ARGUMENTS: Final = 200
"""Bytes of a request beside what its size tells."""
_LAST_XID: Final = (1 << 31) - 1
_PING: Final = 0
"""The xid of pings and of connect."""


class Call:
    """A request and its answer to come. path: as its caller knows it, for errors. safe: to do it twice is as
    good as once. size: bytes of its data, more or less."""

    __slots__ = ("answer", "arguments", "name", "path", "safe", "sent", "size")

    def __init__(self, name: str, arguments: Arguments, path: str = "", *, safe: bool, size: int = 0) -> None:
        self.name = name
        self.arguments = arguments
        self.path = path
        self.safe = safe
        self.size = size
        self.sent = False
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Granted:
    """What a server answered to connect; timeout in seconds."""

    __slots__ = ("password", "session", "timeout")

    def __init__(self, result: Mapping[str, object]) -> None:
        self.session = cast(int, result["session"])
        self.password = cast(bytes, result["password"])
        self.timeout = cast(int, result["timeout"]) / 1000


class Connection:
    """Sends what waits, as long as it lasts; sent are those whose answers have not come, in order.

    seen: the highest zxid it has heard of. confirmed: when (the loop's time) the last thing was sent that
    the server is known to have heard.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, waiting: deque[Call], seen: int, largest: int
    ) -> None:
        """waiting: requests in line, the session's; largest: bytes of a message that the server takes."""
        self.seen = seen
        self.sent: dict[int, Call] = {}
        self._socket = socket
        self._waiting = waiting
        self._largest = largest
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._xid = 0
        self._stamps: deque[tuple[int, float]] = deque()
        self._heard = self._spoke = self._pinged = self.confirmed = self._loop.time()

    async def connect(self, timeout: float, granted: Granted | None) -> Granted:
        """Begin a session, or take up that one; SessionExpired if there is none any more, ConnectionClosed
        if this server does not serve it."""
        arguments: dict[str, object] = {"timeout": round(timeout * 1000), "seen": self.seen}
        if granted is not None:
            arguments |= {"session": granted.session, "password": granted.password}
        await self._socket.send_bytes(cbor.encode([[_PING, "connect", arguments]]))
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise ConnectionClosed(_farewell(self._socket, message))
        ((_, _, code, result),) = _items(message.data)
        if code == Code.SESSIONEXPIRED:
            raise SessionExpired
        if code:
            raise ConnectionClosed(f"connect was answered with {result}")
        self._heard = self._loop.time()
        return Granted(cast(Mapping[str, object], result))

    def wake(self) -> None:
        """There is something to send."""
        self._more.set()

    async def run(self, timeout: float, on_event: OnEvent) -> str:
        """Send and receive until it is lost; why it was. timeout: the session's, in seconds."""
        tasks = [asyncio.create_task(part) for part in (self._send(), self._beat(timeout))]
        try:
            return await self._receive(on_event)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """End it, whatever state it is in."""
        await self._socket.close()

    async def _send(self) -> None:
        while True:
            while self._waiting:
                if batch := self._batch():
                    self._spoke = self._loop.time()
                    await self._socket.send_bytes(batch)
            self._more.clear()
            await self._more.wait()

    def _batch(self) -> bytes:
        """As many requests as fit; empty if nobody waits for any of them."""
        waiting, sent = self._waiting, self.sent
        requests: list[list[object]] = []
        size = 0
        self._stamps.append((self._xid + 1, self._loop.time()))
        while waiting and len(requests) < _MOST and (not requests or size + waiting[0].size <= _BATCH):
            call = waiting.popleft()
            if call.answer.done():  # given up before it was sent
                continue
            self._xid = xid = self._xid % _LAST_XID + 1
            call.sent = True
            sent[xid] = call
            requests.append([xid, call.name, call.arguments])
            size += call.size + _ARGUMENTS
        if not requests:
            return b""
        message = cbor.encode(requests)
        if len(message) > self._largest and len(requests) == 1:
            call = sent.pop(self._xid)
            call.sent = False
            call.answer.set_exception(
                TooLarge(call.path, f"{len(message):,} bytes are too large for a message")
            )
            return b""
        return message

    async def _receive(self, on_event: OnEvent) -> str:
        sent = self.sent
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return _farewell(self._socket, message)
            self._heard = self._loop.time()
            for xid, zxid, what, result in _items(message.data):
                if zxid > self.seen:
                    self.seen = zxid
                if xid is None:
                    on_event(cast(str, what), cast(str, result))
                elif xid == _PING:
                    self.confirmed = self._pinged
                else:
                    call = sent.pop(xid, None)
                    if call is None:
                        raise ValueError(f"an answer to {xid}, which was not asked")
                    if not call.answer.done():
                        call.answer.set_result((cast(int, what), result))
                    while self._stamps and self._stamps[0][0] <= xid:
                        self.confirmed = self._stamps.popleft()[1]

    async def _beat(self, timeout: float) -> None:
        """Say that this client lives when it has nothing else to say; leave a server that is silent."""
        pause = timeout / 9
        while True:
            before = self._loop.time()
            await asyncio.sleep(pause)
            now = self._loop.time()
            late = now - before > 2 * pause  # this program was busy, and may not have read what is here
            if not late and now - self._heard > timeout * 2 / 3:
                await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY, message=b"silent for too long")
                return
            if now - self._spoke > timeout / 3 - pause:
                self._spoke = self._pinged = now
                await self._socket.send_bytes(cbor.encode([[_PING, "ping"]]))


def _items(message: bytes) -> list[tuple[int | None, int, object, object]]:
    """What stands in a message, as docs/websocket.md has it."""
    return cast(list[tuple[int | None, int, object, object]], cbor.decode(message))


def _farewell(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> str:
    """Why a connection ended."""
    if error := socket.exception():
        return str(error) or type(error).__name__
    reason = message.extra or (message.data if isinstance(message.data, str) else "")
    return f"closed by the server ({socket.close_code}{f': {reason}' if reason else ''})"
