"""?view=events: what happens to a znode, or to all below it, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Final

from ...storage import ops
from ...storage.znode import STAT
from ..connection import EVENTS
from . import requests
from .exchange import Exchange, Stream
from .forms import Fault

_KIND: Final = "text/event-stream"
_HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment is sent: who is gone is noticed by that."""
_COMMENT: Final = b":\n\n"
_BACKLOG: Final = 4 << 20
"""Bytes that may wait for a client that does not read; it gets no more after that."""


class _Events:
    """Those that have not been sent yet."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._more = asyncio.Event()
        self._ended = False

    def listen(self, kind: int, path: bytes, zxid: int) -> None:
        if kind and not self._ended:
            self.tell(EVENTS[kind], path, zxid)
        else:
            self._ended = True
            self._more.set()

    def tell(self, name: str, path: bytes, zxid: int) -> None:
        told = json.dumps({"type": name, "path": path.decode(), "zxid": zxid})
        event = f"event: {name}\nid: {zxid}\ndata: {told}\n\n".encode()
        self._size += len(event)
        if self._size > _BACKLOG:
            self._ended = True
            self._waiting.clear()
        else:
            self._waiting.append(event)
        self._more.set()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        while not self._ended or self._waiting:
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._more.wait()
            except TimeoutError:
                yield _COMMENT
                continue
            self._more.clear()
            chunk = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            yield chunk


async def serve(exchange: Exchange, path: bytes) -> Stream:
    """Watch from now on; raises Fault, Lost. The first event tells since when: `watching`, or `missed` where
    something may have happened since the one that the client saw last."""
    recursive = exchange.flag("recursive")
    if exchange.incoming.headers.get("Accept", "*/*").partition(";")[0].strip() not in ("*/*", _KIND):
        raise Fault(406, f"events come as {_KIND}")
    events = _Events()
    exchange.incoming.client.listen(events.listen)
    reply = await exchange.ask(requests.watch(path, recursive=recursive), path)
    last = exchange.incoming.headers.get("Last-Event-ID")
    missed = last is not None and await _has_missed(exchange, path, last, recursive=recursive)
    events.tell("missed" if missed else "watching", path, reply.zxid)
    return Stream(reply.zxid, _KIND, events.chunks())


async def _has_missed(exchange: Exchange, path: bytes, last: str, *, recursive: bool) -> bool:
    """Whether anything can have happened between the zxid `last` and now: for one znode its Stat tells, as
    for SetWatches; of a subtree nobody knows."""
    seen = int(last) if last.isascii() and last.isdecimal() and len(last) < 20 else -1
    if seen == exchange.zxid:
        return False
    if recursive or seen > exchange.zxid:
        return True
    try:
        reply = await exchange.ask(requests.read(ops.EXISTS, path), path)
    except Fault:
        return True
    _, mzxid, *_, pzxid = STAT.unpack(reply.body)
    latest: int = max(mzxid, pzxid)
    return latest > seen
