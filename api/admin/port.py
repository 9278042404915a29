"""The admin port: the first bytes of a connection decide between a four-letter word and HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from ..http import VERBS, Http, finish, hand_over
from ..per_address import PerAddress
from . import words
from .view import ServerView

if TYPE_CHECKING:
    from aiohttp.web import BaseRunner, RequestHandler

_HARMLESS: Final = frozenset((b"isro", b"ruok"))
"""Words that are answered without the token: they tell no more than an open port does."""
_ASK_BY_HTTP: Final = (
    "needs the token, which only HTTP can bring: curl -H 'Authorization: Bearer TOKEN' .../commands/NAME"
)

_log = logging.getLogger(__name__)


class AdminPort(asyncio.Protocol):
    """A connection to the admin port: one word and its answer, or HTTP. Every word is allowed here, unless
    there is a token."""

    def __init__(self, server: ServerView, http: Http, by_address: PerAddress) -> None:
        self._server = server
        self._http = http
        self._by_address = by_address
        self._host: str | None = None
        self._start = b""
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a word, not for ever."""
        self._transport = cast(asyncio.Transport, transport)
        host = (transport.get_extra_info("peername") or ("127.0.0.1", 0))[0]
        if self._by_address.enter(host) is not None:
            self._transport.abort()
            return
        self._host = host
        self._patience = asyncio.get_running_loop().call_later(words.PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """What comes after the word is read and dropped: left unread, it would turn the close into a reset
        that can take the answer with it."""
        if self._answering is not None or self._host is None:
            return
        self._start += data
        if self._start[:4] in VERBS:
            self._transport.pause_reading()
            self._begin(self._hand_over())
        else:
            self._start = self._start[: words.LONGEST]
            if words.complete(self._start):
                self._answer()

    def eof_received(self) -> bool:
        """`nc -N` says that it has said all; the answer still goes out."""
        if self._answering is None:
            if self._start:
                self._answer()
            else:
                self._transport.close()
        return self._transport.get_extra_info("ssl_object") is None  # TLS can't end one side alone

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer comes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for the rest."""
        self._leave()
        if self._answering is not None:
            self._answering.cancel()

    def _leave(self) -> None:
        if self._host is not None:
            self._patience.cancel()
            self._by_address.leave(self._host)
            self._host = None

    def _begin(self, answering: Coroutine[None, None, None]) -> None:
        self._answering = asyncio.get_running_loop().create_task(answering)

    def _answer(self) -> None:
        self._patience.cancel()
        self._begin(self._send())

    async def _send(self) -> None:
        word, rest = self._start[:4], self._start[4:]
        allowed = words.WORDS if self._server.access.token is None else _HARMLESS
        try:
            async with aclosing(words.answer(word, rest, self._server, allowed, _ASK_BY_HTTP)) as chunks:
                await words.send(chunks, self._transport, self._writable)
        except Exception:
            _log.exception("no answer to %r", word)

    async def _hand_over(self) -> None:
        protocol = await self._http.protocol()
        self._patience.cancel()
        if protocol is not None:
            protocol = _Lasting(cast("RequestHandler", protocol), self._leave)
        start, self._start = self._start, b""  # not kept for as long as the connection lasts
        hand_over(self._transport, protocol, start)


class _Lasting(asyncio.Protocol):
    """aiohttp's protocol, which would drop the request of a client that has said all (`nc -N`), made to
    answer it first."""

    def __init__(self, handler: RequestHandler, left: Callable[[], None]) -> None:
        """left is called when the connection has ended."""
        self._handler = handler
        self._left = left
        for name in ("connection_made", "data_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(handler, name))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for an answer."""
        self._left()
        self._handler.connection_lost(exc)

    def eof_received(self) -> bool:
        """End when what is being answered is. TLS has no such half of an end."""
        transport = self._handler.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return False
        self._ending = asyncio.get_running_loop().create_task(finish(self._handler))
        return True


def http(server: ServerView) -> Http:
    """The HTTP side of an admin port."""

    def load() -> Callable[[], BaseRunner]:
        from .http import runner

        return partial(runner, server)

    return Http(load)
