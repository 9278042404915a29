"""A connection to the client port that speaks HTTP, as the server core sees it: one request at a time."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, NamedTuple

from ..storage.session import Session
from .connection import Connection, Service

_XID: Final = 0
"""One request is under way at a time: its answer needs no number."""


class Reply(NamedTuple):
    """What became of a request: zxid as of then, an error code or 0, the answer's body as on the wire."""

    zxid: int
    error: int
    body: bytes


class Lost(Exception):
    """The server closes the connection before the answer, which nobody can know; str() says why."""


class HttpConnection(Connection):
    """Each request brings its session and its identities: there is nothing that outlives it."""

    dialect = "http"

    def __init__(self, transport: asyncio.Transport, service: Service, host: str, port: int) -> None:
        super().__init__(host, port)
        self._transport = transport
        self._service = service
        self._own = self.identities, self.identity_wire
        self._credentials: bytes | None = None
        self._reply: Reply | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._free = asyncio.Event()
        self._free.set()
        self._reason = ""

    def identify(self, credentials: bytes | None) -> bool:
        """Requests from now on are those of user:password, or of nobody in particular; False if that
        is no proof."""
        if credentials == self._credentials:
            return True
        if self._credentials is None:
            self._own = self.identities, self.identity_wire
        self.identities, self.identity_wire = self._own
        self._credentials = None
        if credentials is not None and not self._service.authenticate(self, "digest", credentials):
            return False
        self._credentials = credentials
        return True

    async def ask(self, op: int, body: bytes, session: int = 0) -> Reply:
        """Have a request served, for that session if it is not 0; raises Lost."""
        if self.held:
            await self._free.wait()
        self.session_id = session
        self.heard = monotonic()
        self.packets_received += 1
        self.last_op = op
        self._service.submit(self, _XID, op, body)
        self._service.settle(self, 1, len(body))
        if self._reply is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        reply, self._reply = self._reply, None
        if reply is None:
            raise Lost(self._reason)
        return reply

    def gone(self) -> None:
        """The client has closed the connection."""
        self.waiting.clear()
        self._wake()
        self._service.gone(self)

    @property
    def interest_ops(self) -> int:
        """As a Java selector tells it."""
        writing = 4 if self._transport.get_write_buffer_size() else 0
        return writing | (1 if self._transport.is_reading() else 0)

    def welcome(self, session: Session) -> None:
        """Sessions of this dialect belong to no connection."""
        raise AssertionError("no session was asked for")

    def refused(self) -> None:
        """Sessions of this dialect belong to no connection."""
        raise AssertionError("no session was asked for")

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        """Keep it for who asked."""
        self._reply = Reply(zxid, error, body)
        self.packets_sent += 1
        self._wake()

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Requests of this dialect leave no watches behind."""
        raise AssertionError("no watch was set")

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
        self._reason = reason
        self._service.closing(self, reason)
        self._wake()
        self._free.set()
        # The answer that says so goes out first.
        asyncio.get_running_loop().call_soon(self._transport.close)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
