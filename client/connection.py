"""One WebSocket to one server: requests out many at a time, answers and events in (docs/websocket.md)."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Collection, Mapping
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
"""Bytes that requests are gathered to: an answer need not wait for all that are ahead."""
_LAST_XID: Final = (1 << 31) - 1
_PING: Final = 0
"""The xid of pings and of connect."""
_LAST_WORDS: Final = 0.1
"""Seconds to read why a server hung up, when nothing can be sent any more."""
_REQUEST: Final = struct.Struct(">BBI")
"""What stands before a call's body: an array of three, a number of four bytes."""
_ARRAY: Final = struct.Struct(">BH")
"""Of messages: an array, and how long it is, in two bytes."""


class Call:
    """A request and its answer to come. body: as it is sent, after its xid. path: as its caller knows it, for
    errors. safe: to do it twice is as good as once. sent: it is on the way, or was when the connection was
    lost. when, message: when it was sent (the loop's time), and how many bytes the message had."""

    __slots__ = ("answer", "body", "message", "name", "path", "safe", "sent", "when")

    def __init__(self, name: str, arguments: Arguments, path: str = "", *, safe: bool) -> None:
        self.name = name
        self.path = path
        self.safe = safe
        self.body = cbor.encode([name, arguments])[1:]
        self.sent = False
        self.when = 0.0
        self.message = 0
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Granted:
    """What a server answered to connect; timeout in seconds."""

    __slots__ = ("password", "session", "timeout")

    def __init__(self, result: object) -> None:
        """ValueError if it is no such answer."""
        match result:
            case {"session": int(session), "password": bytes(password), "timeout": int(timeout)}:
                self.session = session
                self.password = password
                self.timeout = timeout / 1000
            case _:
                raise ValueError("the answer to connect names no session")


class Limits:
    """Bytes of a message: largest, that a server takes at most; batch, that several requests are gathered
    to. A server that takes less than was thought corrects them."""

    __slots__ = ("batch", "largest")

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.batch = min(_BATCH, largest)

    def correct(self, unanswered: Collection[Call]) -> list[Call]:
        """A message was too large for the server: the largest of those, for one. Those that went alone and
        were too large will never be taken, and were not done."""
        size = max((call.message for call in unanswered), default=0)
        alone = [call for call in unanswered if call.message == size == _alone(call)]
        if alone:
            self.largest = size - 1
        self.batch = min(self.batch, size // 2)
        return alone


class Connection:
    """Sends what waits, as long as it lasts; sent are those whose answers have not come, in order.

    seen: the highest zxid it has heard of. confirmed: when (the loop's time) the last thing was sent that
    the server is known to have heard. close_code: of the WebSocket, once the server has closed it.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, waiting: deque[Call], seen: int, limits: Limits
    ) -> None:
        """waiting: requests in line, the session's."""
        self.seen = seen
        self.sent: dict[int, Call] = {}
        self.close_code: int | None = None
        self._socket = socket
        self._waiting = waiting
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._xid = 0
        self._pings: deque[float] = deque()
        self._begun = self._heard = self._spoke = self.confirmed = self._loop.time()

    @property
    def served(self) -> bool:
        """Whether the server has answered anything but connect."""
        return self.confirmed > self._begun

    async def connect(self, timeout: float, granted: Granted | None) -> Granted:
        """Begin a session, or take up that one; SessionExpired if there is none any more, ConnectionClosed
        or ValueError if this server does not serve it."""
        arguments: dict[str, object] = {"timeout": round(timeout * 1000), "seen": self.seen}
        if granted is not None:
            arguments |= {"session": granted.session, "password": granted.password}
        await self._socket.send_bytes(cbor.encode([[_PING, "connect", arguments]]))
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise ConnectionClosed(self._farewell(message))
        ((_, _, code, result),) = _items(message.data)
        if code == Code.SESSIONEXPIRED and granted is not None:
            raise SessionExpired
        if code:
            raise ConnectionClosed(f"connect was answered with {result}")
        self._heard = self._loop.time()
        return Granted(result)

    def wake(self) -> None:
        """There is something to send."""
        self._more.set()

    async def run(self, timeout: float, on_event: OnEvent) -> str:
        """Send and receive until it is lost; why it was. timeout: the session's, in seconds. What the server
        says that it should not raises ValueError."""
        receiving = asyncio.create_task(self._receive(on_event))
        parts = [receiving, asyncio.create_task(self._send()), asyncio.create_task(self._beat(timeout))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if receiving not in done:
                await asyncio.wait([receiving], timeout=_LAST_WORDS)
            return await (receiving if receiving.done() else done.pop())
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def close(self) -> None:
        """End it, whatever state it is in."""
        await self._socket.close()

    async def _send(self) -> str:
        while True:
            while self._waiting:
                if batch := self._batch():
                    await self._socket.send_bytes(batch)
            self._more.clear()
            await self._more.wait()

    def _batch(self) -> bytes:
        """As many requests as fit; empty if nobody waits for any of them."""
        waiting, limits = self._waiting, self._limits
        taken: list[Call] = []
        parts: list[bytes] = []
        size = _ARRAY.size
        while waiting and len(taken) < _MOST:
            call = waiting[0]
            if call.answer.done():  # given up before it was sent
                waiting.popleft()
                continue
            more = _REQUEST.size + len(call.body)
            if taken and size + more > limits.batch:
                break
            waiting.popleft()
            if _ARRAY.size + more > limits.largest:
                call.answer.set_exception(TooLarge(call.path, f"{more:,} bytes are too large for a message"))
                continue
            self._xid = xid = self._xid % _LAST_XID + 1
            self.sent[xid] = call
            taken.append(call)
            parts += (_REQUEST.pack(0x83, 0x1A, xid), call.body)
            size += more
        if not taken:
            return b""
        self._spoke = now = self._loop.time()
        for call in taken:
            call.sent = True
            call.when = now
            call.message = size
        return _ARRAY.pack(0x99, len(taken)) + b"".join(parts)

    async def _receive(self, on_event: OnEvent) -> str:
        sent = self.sent
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return self._farewell(message)
            self._heard = self._loop.time()
            for xid, zxid, what, result in _items(message.data):
                if zxid > self.seen:
                    self.seen = zxid
                if xid is None:
                    on_event(str(what), str(result))
                elif xid == _PING:
                    if not self._pings:
                        raise ValueError("an answer to a ping that was not sent")
                    self.confirmed = max(self.confirmed, self._pings.popleft())
                else:
                    call = sent.pop(xid, None)
                    if call is None:
                        raise ValueError(f"an answer to {xid}, which was not asked")
                    if call.when > self.confirmed:
                        self.confirmed = call.when
                    if not call.answer.done():
                        call.answer.set_result((cast(int, what), result))

    async def _beat(self, timeout: float) -> str:
        """Say that this client lives when it has nothing else to say; leave a server that is silent."""
        pause = timeout / 9
        while True:
            before = self._loop.time()
            await asyncio.sleep(pause)
            now = self._loop.time()
            late = now - before > 2 * pause  # this program was busy, and may not have read what is here
            if not late and now - self._heard > timeout * 2 / 3:
                return f"silent for {now - self._heard:.1f} s"
            if now - self._spoke > timeout / 3 - pause:
                self._spoke = now
                self._pings.append(now)
                await self._socket.send_bytes(cbor.encode([[_PING, "ping"]]))

    def _farewell(self, message: aiohttp.WSMessage) -> str:
        """Why it ended."""
        self.close_code = code = self._socket.close_code
        if error := self._socket.exception():
            return str(error) or type(error).__name__
        reason = message.extra or (message.data if isinstance(message.data, str) else "")
        return f"closed by the server ({code}{f': {reason}' if reason else ''})"


def _alone(call: Call) -> int:
    """The bytes of a message that holds no other request."""
    return _ARRAY.size + _REQUEST.size + len(call.body)


def _items(message: bytes) -> list[tuple[int | None, int, object, object]]:
    """What stands in a message, as docs/websocket.md has it; ValueError if it is something else."""
    items = cbor.decode(message)
    if type(items) is not list:
        raise ValueError("what came is no list of answers")
    for item in items:
        if type(item) is not list or len(item) != 4 or type(item[1]) is not int:
            raise ValueError("what came is neither an answer nor an event")
        if type(item[2]) is not (str if item[0] is None else int):
            raise ValueError("what came is neither an answer nor an event")
    return cast(list[tuple[int | None, int, object, object]], items)
