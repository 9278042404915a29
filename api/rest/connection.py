"""A connection to the client port that speaks HTTP, as the server core sees it: one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from ...storage.acl import Identity
from ...storage.errors import Code
from ...storage.session import Session
from ..connection import NO_ZXID, Connection, Service, interest_in

_XID: Final = 0
"""One request is under way at a time: its answer needs no number."""


class Reply(NamedTuple):
    """What became of a request: zxid as of then, an error code or 0, the answer's body as on the wire."""

    zxid: int
    error: int
    body: bytes


class Lost(Exception):
    """The server closes the connection before the answer, which nobody can know; str() says why."""


class Refused(Exception):
    """A session can't be had; str() says why."""


class HttpConnection(Connection):
    """Each request brings its session and its identities. Only a stream of events, after which no request
    comes, leaves watches behind; they end with the connection."""

    dialect = "http"

    def __init__(self, transport: asyncio.Transport, service: Service, host: str, port: int) -> None:
        super().__init__(host, port)
        self._transport = transport
        self._service = service
        self._own: tuple[tuple[Identity, ...], bytes] | None = None
        """What the client is without credentials, once it has shown some."""
        self._credentials: bytes | None = None
        self._reply: Reply | None = None
        self._session: Session | None = None
        self._listener: Callable[[int, bytes, int], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._is_lost = False
        self._reason = ""

    def identify(self, credentials: bytes | None) -> bool:
        """Requests from now on are those of user:password, or of nobody in particular; False if that
        is no proof."""
        if credentials == self._credentials:
            return True
        if self._own is None:
            self._own = self.identities, self.identity_wire
        self.identities, self.identity_wire = self._own
        self._credentials = credentials
        if credentials is not None and not self._service.authenticate(self, "digest", credentials):
            self.identities, self.identity_wire = self._own
            self._credentials = None
            return False
        return True

    async def ask(self, op: int, body: bytes, session: int = 0) -> Reply:
        """Have a request served, for that session if it is not 0; raises Lost."""
        if self.held:
            await self._free.wait()
        if self._is_lost:
            raise self._lost()
        if not self._service.serving:
            return Reply(0, Code.CONNECTIONLOSS, b"")
        self.session_id = session
        self.heard = monotonic()
        self.packets_received += 1
        self.last_op = op
        self._service.submit(self, _XID, op, body)
        self._service.settle(self, 1, len(body))
        if self._reply is None:
            await self._wait()
        reply, self._reply = self._reply, None
        if reply is None:
            raise self._lost()
        return reply

    async def begin(self, lifetime: int) -> Session:
        """A new session that belongs to no connection, with about that timeout in ms; raises Refused,
        Lost."""
        refusal = self._service.begin(self, lifetime)
        if refusal is not None:
            raise Refused(refusal)
        if self._session is None:
            await self._wait()
        session, self._session = self._session, None
        if session is None:
            raise self._lost()
        return session

    def living(self, session: int) -> Session | None:
        """The session of that id, unless it is over."""
        return self._service.living(session)

    def touch(self, session: int) -> None:
        """The client of that session has been heard, by this request."""
        self._service.touch(session)

    def listen(self, listener: Callable[[int, bytes, int], None]) -> None:
        """Watches are set by what is asked from now on: their events, and a last one of kind 0 when
        there will be no more, go to the listener as (kind, path, zxid)."""
        self._listener = listener

    def end_stream(self) -> None:
        """Tell who listens that there will be no more."""
        if self._listener is not None:
            self._listener(0, b"", NO_ZXID)

    def gone(self) -> None:
        """The client has closed the connection."""
        self.waiting.clear()
        self._is_lost = True
        self._wake()
        self.end_stream()
        self._service.gone(self)

    @property
    def interest_ops(self) -> int:
        """As a Java selector tells it."""
        return interest_in(self._transport)

    def welcome(self, session: Session) -> None:
        """Keep it for who asked."""
        self._session = session
        self._wake()

    def refused(self) -> None:
        """Nobody takes up a session here."""
        raise AssertionError("no session was to be taken up")

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Keep it for who asked."""
        self._reply = Reply(zxid, error, body)
        self.packets_sent += 1
        self._wake()

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Tell who listens."""
        if self._listener is None:
            raise AssertionError("no watch was set")
        self._listener(kind, path, zxid)
        self.packets_sent += 1

    def flush(self) -> None:
        """An answer goes out when whoever asked for it has put it into words."""

    def hold(self) -> None:
        """The next request waits."""
        self.held = True
        self._free.clear()

    def resume(self) -> None:
        """The next request is served."""
        self.held = False
        self._free.set()

    def close(self, reason: str) -> None:
        """Give up what is being asked, and the connection once that is told."""
        self._is_lost = True
        self._reason = reason
        self._service.closing(self, reason)
        self._wake()
        self._free.set()
        self.end_stream()
        # The answer that says so goes out first.
        asyncio.get_running_loop().call_soon(self._transport.close)

    def _lost(self) -> Lost:
        return Lost(self._reason or "the server is stopping")

    async def _wait(self) -> None:
        """Until there is an answer, or none to be had."""
        if not self._is_lost:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
