"""A session's life: found a server, lost it, found another, until it is closed or expires."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from ssl import SSLContext
from typing import Final

import aiohttp

from .address import Address
from .connection import PROTOCOL, Answer, Arguments, Call, Connection, Granted, OnEvent
from .errors import (
    AuthFailed,
    ClientError,
    ConnectionClosed,
    NoConnection,
    OutcomeUnknown,
    SessionExpired,
)
from .values import State

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
"""Seconds after all servers were tried in vain, at first and at most; each pause is cut at random, so that
clients of a server that died do not come all at once."""
_FAREWELL: Final = 2.0
"""Seconds that closing a session waits for its answer."""
_LOST: Final = (OSError, aiohttp.ClientError, TimeoutError, ConnectionClosed, ValueError)
"""What comes of a server that does not serve, or is none."""

Credentials = tuple[str, bytes]
"""scheme, and for digest user:password."""


class Session:
    """Takes requests at any time, and has them answered by whichever server there is.

    A request that was not sent waits for the next connection; one that was sent and not answered is sent
    again if that is safe, and else ends in OutcomeUnknown.
    """

    def __init__(
        self,
        address: Address,
        timeout: float,
        credentials: Iterable[Credentials],
        *,
        tls: SSLContext | None,
        renew: bool,
        largest: int,
        on_event: OnEvent,
        rearm: Callable[[], list[Arguments]],
        on_state: Callable[[State], None],
    ) -> None:
        """timeout: in seconds, that is asked for. renew: begin a new session when one expires. rearm: the
        arguments of setWatches, for a connection that knows none of them yet."""
        self.state = State.CONNECTING
        self.granted: Granted | None = None
        self._address = address
        self._timeout = timeout
        self._credentials = list(credentials)
        self._tls = tls
        self._renew = renew
        self._largest = largest
        self._on_event = on_event
        self._rearm = rearm
        self._on_state = on_state
        self._waiting: deque[Call] = deque()
        self._connection: Connection | None = None
        self._seen = 0
        self._confirmed = 0.0
        self._last_error = "none was tried"
        self._over: Callable[[], ClientError] | None = _not_opened
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    @property
    def renews(self) -> bool:
        """Whether a session that expires is followed by another."""
        return self._renew

    @property
    def confirmed(self) -> float:
        """When (the loop's time) the last thing was sent that a server is known to have heard: the session
        lives for its timeout from then on, at the least."""
        return self._connection.confirmed if self._connection is not None else self._confirmed

    async def start(self, patience: float) -> None:
        """Begin; NoConnection if no server takes it within that many seconds."""
        self._over = None
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(patience):
                await self._settled.wait()
        except TimeoutError:
            await self.close()
            names = ", ".join(f"{host}:{port}" for host, port in self._address.servers)
            raise NoConnection(f"no connection to {names} in {patience:g} s: {self._last_error}") from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if self.state is not State.CONNECTED:  # refused, for good
            await self.close()
            self.submit(Call("ping", {}, safe=True))

    def submit(self, call: Call) -> None:
        """Put a request in line; raises what ended the session, if it is over."""
        if self._over is not None:
            raise self._over()
        self._waiting.append(call)
        if self._connection is not None:
            self._connection.wake()

    def remember(self, scheme: str, credentials: bytes) -> None:
        """Show these, too, on every connection to come."""
        self._credentials.append((scheme, credentials))

    async def close(self) -> None:
        """End the session, its ephemerals with it; without a connection it is left to its timeout."""
        if self._over is None and self._connection is not None:
            call = Call("close", {}, safe=True)
            self.submit(call)
            with suppress(TimeoutError, ClientError):
                async with asyncio.timeout(_FAREWELL):
                    await call.answer
        self._end(State.CLOSED, _closed)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        try:
            async with aiohttp.ClientSession() as http:
                while self._over is None:
                    await self._serve(await self._connect(http))
        finally:  # whatever ends it, nobody waits for ever
            self._end(State.CLOSED, _closed)

    async def _connect(self, http: aiohttp.ClientSession) -> Connection:
        """A connection with a session, from whichever server gives one; each is asked in turn."""
        servers = self._address.shuffled()
        pause = _FIRST_PAUSE
        while True:
            for host, port in servers:
                try:
                    async with asyncio.timeout(max(self._timeout / len(servers), 1)):
                        return await self._try(http, host, port)
                except _LOST as error:
                    self._last_error = f"{host}:{port}: {error or type(error).__name__}"
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try(self, http: aiohttp.ClientSession, host: str, port: int) -> Connection:
        name = f"[{host}]" if ":" in host else host
        url = f"{'wss' if self._address.tls else 'ws'}://{name}:{port}/ws/v1"
        socket = await http.ws_connect(
            url,
            protocols=(PROTOCOL,),
            max_msg_size=0,
            ssl=self._tls if self._tls is not None else True,
            timeout=aiohttp.ClientWSTimeout(ws_close=_FAREWELL),
        )
        connection = Connection(socket, self._waiting, self._seen, self._largest)
        try:
            self.granted = await connection.connect(self._timeout, self.granted)
        except SessionExpired:
            self._expire()
            if self._over is not None:
                return connection
            raise ConnectionClosed("the session has expired") from None
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _serve(self, connection: Connection) -> None:
        """Be connected, until it is lost."""
        if self._over is not None or self.granted is None:
            await connection.close()
            return
        greeting = [
            Call("auth", {"scheme": scheme, "credentials": shown}, safe=True)
            for scheme, shown in self._credentials
        ]
        for call in greeting:
            call.answer.add_done_callback(self._shown)
        watches = [Call("setWatches", {"seen": self._seen, **paths}, safe=True) for paths in self._rearm()]
        self._waiting.extendleft(reversed([*greeting, *watches]))
        self._connection = connection
        self._become(State.CONNECTED)
        self._settled.set()
        connection.wake()
        try:
            self._last_error = await connection.run(self.granted.timeout, self._on_event)
        except _LOST as error:
            self._last_error = str(error)
        finally:
            self._connection = None
            self._seen, self._confirmed = connection.seen, connection.confirmed
            await connection.close()
            self._lose(connection, {*greeting, *watches})

    def _lose(self, connection: Connection, own: set[Call]) -> None:
        """Put back what may be sent again; nobody knows of the rest."""
        again: list[Call] = []
        for call in [*connection.sent.values(), *self._waiting]:
            if call in own or call.answer.done():
                call.answer.cancel()
            elif call.safe or not call.sent:
                call.sent = False
                again.append(call)
            else:
                what = f"{call.path}: the answer" if call.path else "the answer"
                call.answer.set_exception(
                    OutcomeUnknown(f"{what} to {call.name} was lost with the connection: {self._last_error}")
                )
        self._waiting.clear()
        self._waiting.extend(again)
        if self._over is None:
            self._become(State.SUSPENDED)

    def _expire(self) -> None:
        self.granted = None
        if not self._renew:
            self._end(State.EXPIRED, SessionExpired)
            return
        self._become(State.EXPIRED)
        self._fail(SessionExpired)

    def _shown(self, answer: asyncio.Future[Answer]) -> None:
        """Credentials that are refused will be refused again."""
        if not answer.cancelled() and answer.exception() is None and answer.result() != (0, {}):
            self._end(State.CLOSED, AuthFailed)

    def _become(self, state: State) -> None:
        if self.state is not state:
            self.state = state
            self._on_state(state)

    def _end(self, state: State, error: Callable[[], ClientError]) -> None:
        """Take nothing any more; what waits is told why."""
        if self._over is None or self._over is _not_opened:
            self._over = error
            self._fail(error)
            self._settled.set()
            self._become(state)

    def _fail(self, error: Callable[[], ClientError]) -> None:
        for call in self._waiting:
            if not call.answer.done():
                call.answer.set_exception(error())
        self._waiting.clear()


def _not_opened() -> ClientError:
    return ConnectionClosed("the client is not open: use it in `async with`")


def _closed() -> ClientError:
    return ConnectionClosed("the client is closed")
