"""The client port: tells a connection's dialect by its first bytes, then hands it over for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, cast

from .admin import words
from .admin.view import ServerView
from .certificates import introduce
from .connection import PATIENCE, Connection, Service
from .http import VERBS, Http, hand_over
from .zookeeper import ZooKeeperConnection

if TYPE_CHECKING:
    from aiohttp.web import BaseRunner


class ClientPort(asyncio.Protocol):
    """A connection that has not said yet what it speaks."""

    def __init__(
        self,
        service: Service,
        dirty: list[Connection],
        view: ServerView,
        http: Http,
        allowed: frozenset[bytes],
        frame_limit: int,
    ) -> None:
        """dirty: the connections with something to send, shared with the service."""
        self._service = service
        self._dirty = dirty
        self._view = view
        self._http = http
        self._allowed = allowed
        self._frame_limit = frame_limit
        self._start = b""
        self._task: asyncio.Task[None] | None = None
        """Sends a word's answer, or hands over to HTTP."""
        self._answered = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit it or not, before it can cost anything."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self._connection = ZooKeeperConnection(
            self._transport, self._service, self._dirty, peer[0], peer[1], self._frame_limit
        )
        introduce(self._connection, self._transport)
        refusal = self._service.accept(self._connection)
        if refusal is not None:
            self._transport.abort()
            return
        self._connection.patience(asyncio.get_running_loop().call_later(PATIENCE, self._expire))

    def data_received(self, data: bytes) -> None:
        """Decide by the first four bytes."""
        if self._task is not None:
            return
        self._start += data
        if len(self._start) < 4:
            return
        word = self._start[:4]
        if word in words.WORDS:
            if words.complete(self._start):
                self._answer()
            return
        if word in VERBS:
            self._transport.pause_reading()
            self._begin(self._hand_over())
            return
        start, self._start = self._start, b""
        self._transport.set_protocol(cast(asyncio.Protocol, self._connection))
        self._connection.data_received(start)

    def eof_received(self) -> bool:
        """`nc -N` says that it has said all; a word's answer still goes out."""
        if self._task is None and self._start[:4] in words.WORDS:
            self._answer()
        return self._task is not None and not self._connection.secure  # TLS can't end one side alone

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before it had a dialect, or after its word was answered."""
        if self._task is not None:
            self._task.cancel()
        self._connection.packets_sent += self._answered
        self._connection.connection_lost(exc)

    def _expire(self) -> None:
        self._service.closing(self._connection, f"has had no session for {PATIENCE:g} s")
        self._transport.abort()

    def _begin(self, task: Coroutine[None, None, None]) -> None:
        self._connection.patience(None)
        self._task = asyncio.get_running_loop().create_task(task)

    def _answer(self) -> None:
        self._answered = True
        self._begin(self._send())

    async def _send(self) -> None:
        word, rest = self._start[:4], self._start[4:]
        self._connection.packets_received += 1
        async with aclosing(words.answer(word, rest, self._view, self._allowed)) as chunks:
            await words.send(chunks, self._transport, self._writable)

    async def _hand_over(self) -> None:
        protocol = await self._http.protocol()
        self._service.gone(self._connection)  # the protocol has its own, and asks for itself to be admitted
        hand_over(self._transport, protocol, self._start)


def http(service: Service, dirty: list[Connection], limit: int) -> Http:
    """The HTTP side of a client port; dirty and limit as there."""

    def load() -> Callable[[], BaseRunner]:
        from .client_http import runner

        return partial(runner, service, dirty, limit)

    return Http(load)
