"""A client as a load has it: a session that keeps requests in flight, wherever there is a server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final, Protocol, cast

from . import wire

_PATIENCE: Final = 1.5
"""Seconds without an answer after which a client tries another server."""
_GREETED: Final = 0.3
"""Seconds within which a server must take a session: one that is paused still takes connections."""
_PAUSE: Final = 0.02
"""Seconds until it tries again."""


class Source(Protocol):
    """Where a client's requests come from, and whom it tells what became of them."""

    def take(self, count: int) -> bytes:
        """The next requests."""
        ...

    def answered(self, count: int, failed: int, sent: float, now: float) -> None:
        """The oldest ones of those under way are; failed: so many of them, at the end, with an error."""
        ...

    def lost(self, count: int) -> None:
        """These never will be: nobody knows what became of them."""
        ...


class Client:
    """A session that keeps depth requests in flight, at another server when its own is gone. paced: it sends
    by push() alone, and no more than depth are in flight.

    An asyncio.Protocol in all but descent, of one connection after the other.
    """

    def __init__(
        self, ports: Sequence[int], first: int, depth: int, source: Source, *, paced: bool = False
    ) -> None:
        """first: which port it begins with."""
        self.idle = asyncio.Event()
        self.ready = asyncio.Event()
        self.running = False
        self._ports = ports
        self._next = first
        self._depth = depth
        self._source = source
        self._paced = paced
        self._session = wire.Session()
        self._zxid = 0
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._greeted = False
        self._rest = b""
        self._under_way: deque[tuple[float, int]] = deque()
        self.heard = 0.0
        """When a server last said anything, monotonic."""

    async def stay(self) -> None:
        """Be connected, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            port = self._ports[self._next % len(self._ports)]
            self._next += 1
            self._gone.clear()
            self.heard = monotonic()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await loop.create_connection(lambda: cast(asyncio.Protocol, self), "127.0.0.1", port)
            except OSError:
                pass
            else:
                await self._gone.wait()
            await asyncio.sleep(_PAUSE)

    def start(self) -> None:
        """Send from now on."""
        self.running = True
        self.idle.clear()
        if self._greeted:
            self._fill(self._depth)

    def push(self) -> None:
        """Send one request, unless many are in flight."""
        if self._greeted and len(self._under_way) < self._depth:
            self._send(1)

    def stop(self) -> None:
        """Send no more; idle is set once all is answered, or lost."""
        self.running = False
        if not self._under_way:
            self.idle.set()

    def close(self) -> None:
        """End the session."""
        if self._transport is not None and self._greeted:
            self._transport.write(wire.close())

    def look(self, now: float) -> None:
        """Give a server up that does not answer."""
        if self._transport is None or (self._greeted and not self._under_way):
            return
        if now - self.heard > (_PATIENCE if self._greeted else _GREETED):
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who this is."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(wire.connect(self._session, self._zxid))

    def data_received(self, data: bytes) -> None:
        """Take every whole reply, and send as many requests."""
        self.heard = now = monotonic()
        data = self._rest + data
        at, end, answers = 0, len(data), 0
        if not self._greeted:
            if end < 4 or end < 4 + int.from_bytes(data[:4]):
                self._rest = data
                return
            at = 4 + int.from_bytes(data[:4])
            if not self._greet(data[4:at]):
                return
        unpack, head = wire.HEAD.unpack_from, wire.HEAD.size
        while end - at >= head:
            size, _, zxid, error = unpack(data, at)
            stop = at + 4 + size
            if stop > end:
                break
            at = stop
            answers += 1
            if error:
                self._settle(answers, 1, now)
                self._fill(answers)
                answers = 0
            else:
                self._zxid = zxid
        self._rest = data[at:]
        if answers:
            self._settle(answers, 0, now)
            self._fill(answers)

    def eof_received(self) -> None:
        """The transport closes."""

    def pause_writing(self) -> None:
        """No more is under way than depth allows."""

    def resume_writing(self) -> None:
        """Likewise."""

    def connection_lost(self, _error: Exception | None) -> None:
        """Nobody knows what became of what was under way."""
        self._transport = None
        self._greeted = False
        self._rest = b""
        lost = sum(count for _, count in self._under_way)
        self._under_way.clear()
        if lost:
            self._source.lost(lost)
        if not self.running:
            self.idle.set()
        self._gone.set()

    def _greet(self, payload: bytes) -> bool:
        session = wire.connected(payload)
        if not session.number:
            self._session = wire.Session()
            assert self._transport is not None
            self._transport.abort()
            return False
        self._session = session
        self._greeted = True
        self.ready.set()
        self._fill(self._depth)
        return True

    def _fill(self, count: int) -> None:
        if not self._paced:
            self._send(count)

    def _send(self, count: int) -> None:
        if self.running and self._transport is not None:
            self._transport.write(self._source.take(count))
            self._under_way.append((monotonic(), count))

    def _settle(self, answers: int, failed: int, now: float) -> None:
        """These are answered, and the last of them, if it failed, not well."""
        under_way = self._under_way
        while answers:
            sent, count = under_way[0]
            if count > answers:
                under_way[0] = (sent, count - answers)
                self._source.answered(answers, failed, sent, now)
                break
            under_way.popleft()
            answers -= count
            self._source.answered(count, 0 if answers else failed, sent, now)
        if not under_way and not self.running:
            self.idle.set()
