"""Puts load on servers from a process of its own, and says on standard output what came of it.

A line of JSON on standard input says what to do; each line here answers it, and the next line there goes on:
`{"ready": true}` → go → ... → `{"done": ...}` → end. Under faults, lines `{"acks": ...}` come all the while.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol, cast

import uvloop

from . import wire
from .latency import Latencies
from .plan import MIX

ROOT: Final = b"/compare"
_PATIENCE: Final = 1.5
"""Seconds without an answer after which a client tries another server."""
_GREETED: Final = 0.3
"""Seconds within which a server must take a session: one that is paused still takes connections."""
_PAUSE: Final = 0.02
"""Seconds until it tries again."""
_TOLD: Final = 0.05
"""Seconds between lines that tell of acknowledged writes."""
_GRAIN: Final = 0.01
"""Seconds whose acknowledgements are told as one."""
_DRAINED: Final = 20.0
"""Seconds within which what is in flight must be answered once no more is sent."""
_LOOK: Final = 0.1
"""Seconds between looks at who waits."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. mix: writes of ten requests; None: creates under faults, until told to end."""

    ports: Sequence[int]
    connections: int
    depth: int
    size: int
    mix: int | None = None
    warm_up: float = 0.0
    seconds: float = 0.0


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
    """A session that keeps depth requests in flight, at another server when its own is gone.

    An asyncio.Protocol in all but descent, of one connection after the other.
    """

    def __init__(self, ports: Sequence[int], first: int, depth: int, source: Source) -> None:
        """first: which port it begins with."""
        self.idle = asyncio.Event()
        self.ready = asyncio.Event()
        self.running = False
        self._ports = ports
        self._next = first
        self._depth = depth
        self._source = source
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
            self._send(self._depth)

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
                self._send(answers)
                answers = 0
            else:
                self._zxid = zxid
        self._rest = data[at:]
        if answers:
            self._settle(answers, 0, now)
            self._send(answers)

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
        if self.running:
            self._send(self._depth)
        return True

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


class Measured:
    """Requests that repeat themselves, and how long their answers took, while they are counted."""

    def __init__(self, frames: list[bytes], latencies: Latencies) -> None:
        self._frames = frames * 2
        self._period = len(frames)
        self._at = 0
        self._latencies = latencies
        self.counting = False
        self.all = 0
        self.errors = 0

    def take(self, count: int) -> bytes:
        at = self._at
        self._at = (at + count) % self._period
        return b"".join(self._frames[at : at + count])

    def answered(self, count: int, failed: int, sent: float, now: float) -> None:
        self.all += count
        self.errors += failed
        if self.counting:
            self._latencies.add(now - sent, count)

    def lost(self, count: int) -> None:
        self.errors += count


class Creator:
    """Znodes with numbers for names, below a parent of the client's own; which are acknowledged."""

    def __init__(self, parent: bytes, size: int, acknowledged: Callable[[int, float], None]) -> None:
        self.parent = parent
        self.next = 0
        self.acked: list[list[int]] = []
        """[first, last] of each stretch of them."""
        self._value = bytes(size)
        self._oldest = 0
        self._acknowledged = acknowledged

    def take(self, count: int) -> bytes:
        first, self.next = self.next, self.next + count
        create, parent, value = wire.create, self.parent, self._value
        return b"".join([create(b"%b/%d" % (parent, number), value) for number in range(first, self.next)])

    def answered(self, count: int, failed: int, sent: float, now: float) -> None:
        first, self._oldest = self._oldest, self._oldest + count
        if good := count - failed:
            if self.acked and self.acked[-1][1] == first - 1:
                self.acked[-1][1] = first + good - 1
            else:
                self.acked.append([first, first + good - 1])
            self._acknowledged(good, now)

    def lost(self, count: int) -> None:
        self._oldest += count


class Timeline:
    """When writes were acknowledged: [first, last, writes] of each short while."""

    def __init__(self) -> None:
        self._spans: list[list[float]] = []

    def acknowledged(self, count: int, now: float) -> None:
        spans = self._spans
        if spans and now - spans[-1][0] < _GRAIN:
            spans[-1][1] = now
            spans[-1][2] += count
        else:
            spans.append([now, now, count])

    def taken(self) -> list[list[float]]:
        """What is new."""
        spans, self._spans = self._spans, []
        return spans


def parent(client: int) -> bytes:
    """The znode of a client's own."""
    return b"%b/c%d" % (ROOT, client)


def _say(line: object) -> None:
    print(json.dumps(line), flush=True)


async def _told() -> None:
    if not await asyncio.to_thread(sys.stdin.readline):
        raise EOFError("whoever wanted this load is gone")


@asynccontextmanager
async def _connected(clients: Sequence[Client]) -> AsyncIterator[None]:
    """Clients that are connected, and looked after."""

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK)
            now = monotonic()
            for client in clients:
                client.look(now)

    tasks = [asyncio.ensure_future(work) for work in (look(), *(client.stay() for client in clients))]
    try:
        async with asyncio.timeout(_DRAINED):
            for client in clients:
                await client.ready.wait()
        yield
        for client in clients:
            client.close()
    finally:
        for task in tasks:
            task.cancel()


async def _stopped(clients: Sequence[Client]) -> None:
    for client in clients:
        client.stop()
    async with asyncio.timeout(_DRAINED):
        for client in clients:
            await client.idle.wait()


async def _measure(order: Order, mix: int) -> None:
    latencies = Latencies()
    sources = []
    for number in range(order.connections):
        path = parent(number)
        write, read = wire.set_data(path, bytes(order.size)), wire.get_data(path)
        sources.append(Measured([write] * mix + [read] * (MIX - mix), latencies))
    clients = [Client(order.ports, number, order.depth, source) for number, source in enumerate(sources)]
    async with _connected(clients):
        _say({"ready": True})
        await _told()
        for client in clients:
            client.start()
        await asyncio.sleep(order.warm_up)
        began = monotonic()
        for source in sources:
            source.counting = True
        await asyncio.sleep(order.seconds)
        for source in sources:
            source.counting = False
        seconds = monotonic() - began
        await _stopped(clients)
        answers, errors = sum(source.all for source in sources), sum(source.errors for source in sources)
        _say({"seconds": seconds, "answers": answers, "errors": errors, "latencies": latencies.items()})
        await _told()


async def _create(order: Order) -> None:
    timeline = Timeline()
    sources = [
        Creator(parent(number), order.size, timeline.acknowledged) for number in range(order.connections)
    ]
    clients = [Client(order.ports, number, order.depth, source) for number, source in enumerate(sources)]

    async def tell() -> None:
        while True:
            await asyncio.sleep(_TOLD)
            if spans := timeline.taken():
                _say({"acks": spans})

    async with _connected(clients):
        _say({"ready": True})
        await _told()
        for client in clients:
            client.start()
        telling = asyncio.ensure_future(tell())
        await _told()
        telling.cancel()
        await _stopped(clients)
        created = [{"sent": source.next, "acked": source.acked} for source in sources]
        _say({"acks": timeline.taken(), "created": created})
        await _told()


def main() -> None:
    """Do what the first line says."""
    order = Order(**json.loads(sys.stdin.readline()))
    uvloop.run(_create(order) if order.mix is None else _measure(order, order.mix))


if __name__ == "__main__":
    main()
