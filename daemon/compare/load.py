"""Puts load on servers from a process of its own, and says on standard output what came of it.

A line of JSON on standard input says what to do; each line here answers it, and the next line there goes on:
`{"ready": true}` → go → what came of it → end. Under faults, lines `{"acks": ...}` come all the while, until
a line says stop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from time import monotonic
from typing import Final

import uvloop

from . import wire
from .client import Client
from .latency import Latencies
from .plan import MIX
from .sources import Creator, Measured, Timeline

ROOT: Final = b"/compare"
_TOLD: Final = 0.05
"""Seconds between lines that tell of acknowledged writes."""
_PACE: Final = 0.002
_SHARES: Final = 4
"""Under faults a fourth of the clients send a write every 2 ms: 2,000 writes a second from 16."""
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
    clients = [
        Client(order.ports, number, order.depth, source, paced=True) for number, source in enumerate(sources)
    ]

    async def push() -> None:
        # A few clients each time: writes come evenly.
        for share in cycle([clients[first::_SHARES] for first in range(_SHARES)]):
            for client in share:
                client.push()
            await asyncio.sleep(_PACE)

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
        tasks = [asyncio.ensure_future(work) for work in (push(), tell())]
        await _told()
        for task in tasks:
            task.cancel()
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
