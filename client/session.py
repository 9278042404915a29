"""A session's life: found a server, lost it, found another, until it is closed or expires."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from typing import Final

import aiohttp

from .address import Address
from .connection import PROTOCOL, Answer, Arguments, Call, Connection, Granted, Limits, OnEvent
from .errors import (
    AuthFailed,
    ClientError,
    ConnectionClosed,
    NoConnection,
    OutcomeUnknown,
    Refused,
    SessionExpired,
    TooLarge,
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
_NOT_UNDERSTOOD: Final = (aiohttp.WSCloseCode.UNSUPPORTED_DATA, aiohttp.WSCloseCode.INVALID_TEXT)
"""How a server closes that can't make sense of a message: it never will."""

Credentials = tuple[str, bytes]
"""scheme, and for digest user:password."""


class Session:
    """Takes requests at any time, and has them answered by whichever server there is.

    A request that was not sent waits for the next connection; one that was sent and not answered is sent
    again if that is safe, and else ends in OutcomeUnknown. So do changes that waited behind it: none is made
    where one before it may not have been.
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
        rearm: Callable[[int], list[Arguments]],
        on_state: Callable[[State], None],
    ) -> None:
        """timeout: in seconds, that is asked for. renew: begin a new session when one expires. largest: bytes
        of a message. rearm: the arguments of setWatches, for a connection that knows none of them yet, in
        requests of so many bytes.

        ended: whether nothing will be answered any more."""
        self.state = State.CONNECTING
        self.ended = False
        self.granted: Granted | None = None
        self._address = address
        self._timeout = timeout
        self._credentials = list(credentials)
        self._tls = tls
        self._renew = renew
        self._limits = Limits(largest)
        self._on_event = on_event
        self._rearm = rearm
        self._on_state = on_state
        self._waiting: deque[Call] = deque()
        self._connection: Connection | None = None
        self._seen = 0
        self._confirmed = 0.0
        self._pause = 0.0
        self._last_error = "none has answered yet"
        self._over: Callable[[], ClientError] | None = _not_opened
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    @property
    def renews(self) -> bool:
        """Whether a session that expires is followed by another."""
        return self._renew

    @property
    def alive_until(self) -> float:
        """When (the loop's time) it can expire at the earliest: a timeout after the last thing was sent that
        a server is known to have heard. Minus infinity if there is none, or it is being closed."""
        if self.granted is None or self._over is not None:
            return float("-inf")
        confirmed = self._connection.confirmed if self._connection is not None else self._confirmed
        return confirmed + self.granted.timeout

    async def start(self, patience: float) -> None:
        """Begin; NoConnection if no server takes it within that many seconds."""
        if self._over is not _not_opened:
            raise ConnectionClosed("a client is opened once: make another one")
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
        if self.ended:  # the credentials were refused, for one
            await self.close()
            self._check()

    def submit(self, call: Call) -> None:
        """Put a request in line; raises what ended the session, if it is over."""
        self._check()
        self._waiting.append(call)
        if self._connection is not None:
            self._connection.wake()

    def remember(self, scheme: str, credentials: bytes) -> None:
        """Show these, too, on every connection to come."""
        if (scheme, credentials) not in self._credentials:
            self._credentials.append((scheme, credentials))

    async def close(self) -> None:
        """End the session, its ephemerals with it; without a connection it is left to its timeout. What was
        asked before is answered before."""
        try:
            if self._over is None and self._connection is not None:
                call = Call("close", {}, safe=True)
                self.submit(call)
                self._over = _closed
                with suppress(TimeoutError, ClientError):
                    async with asyncio.timeout(_FAREWELL):
                        await call.answer
            elif self._over is _closed and self._task is not None:  # somebody else does already
                await asyncio.wait([self._task], timeout=_FAREWELL)
        finally:
            self._end(State.CLOSED, _closed)
            if self._task is not None:
                self._task.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        fault: Callable[[], ClientError] = _closed
        try:
            async with aiohttp.ClientSession() as http:
                while not self.ended:
                    await self._serve(await self._connect(http))
        except SessionExpired:  # all were told
            pass
        except Exception as error:
            fault = partial(ConnectionClosed, f"the client failed: {error!r}")
            what = {"message": "a client failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(what)
        finally:  # whatever ends it, nobody waits for ever
            self._end(State.CLOSED, fault)

    async def _connect(self, http: aiohttp.ClientSession) -> Connection:
        """A connection with a session, from whichever server gives one first; SessionExpired when that is
        the end. Those that serve nobody are asked less and less often."""
        while True:
            await asyncio.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            for host, port in self._address.shuffled():
                try:
                    async with asyncio.timeout(max(self._timeout / len(self._address.servers), 1)):
                        return await self._try(http, host, port)
                except _LOST as error:
                    self._last_error = f"{host}:{port}: {str(error) or type(error).__name__}"

    async def _try(self, http: aiohttp.ClientSession, host: str, port: int) -> Connection:
        name = f"[{host}]" if ":" in host else host
        url = f"{'wss' if self._address.tls else 'ws'}://{name}:{port}/ws/v1"
        socket = await http.ws_connect(
            url,
            protocols=(PROTOCOL,),
            max_msg_size=0,
            ssl=self._tls if self._tls is not None else True,
            timeout=aiohttp.ClientWSTimeout(ws_close=0),  # who does not answer is not waited for
        )
        connection = Connection(socket, self._waiting, self._seen, self._limits)
        try:
            self.granted = await connection.connect(self._timeout, self.granted)
        except SessionExpired:
            await connection.close()
            self._expire()
            if self.ended:
                raise
            raise ConnectionClosed("the session has expired") from None
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _serve(self, connection: Connection) -> None:
        """Be connected, until it is lost."""
        assert self.granted is not None
        greeting = [
            Call("auth", {"scheme": scheme, "credentials": shown}, safe=True)
            for scheme, shown in self._credentials
        ]
        for call in greeting:
            call.answer.add_done_callback(self._shown)
        watches = [
            Call("setWatches", {"seen": self._seen, **paths}, safe=True)
            for paths in self._rearm(self._limits.batch)
        ]
        self._waiting.extendleft(reversed([*greeting, *watches]))
        self._connection = connection
        self._become(State.CONNECTED)
        if greeting:
            greeting[-1].answer.add_done_callback(self._settle)
        else:
            self._settled.set()
        connection.wake()
        try:
            self._last_error = await connection.run(self.granted.timeout, self._on_event)
        except _LOST as error:
            self._last_error = str(error) or type(error).__name__
        finally:
            self._connection = None
            self._seen, self._confirmed = connection.seen, connection.confirmed
            if connection.served:
                self._pause = _FIRST_PAUSE
            self._lose(connection, {*greeting, *watches})
            await connection.close()

    def _lose(self, connection: Connection, own: set[Call]) -> None:
        """Put back, in order, what may be sent again; nobody knows of the rest."""
        why = self._last_error
        if connection.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            for call in self._limits.correct(connection.sent.values()):
                if not call.answer.done():
                    call.answer.set_exception(TooLarge(call.path, f"is too large: {why}"))
        again: list[Call] = []
        lost = False
        for call in [*connection.sent.values(), *self._waiting]:
            if call in own:
                call.answer.cancel()
            elif call.answer.done():  # given up, and perhaps not made
                lost = lost or (call.sent and not call.safe)
            elif not call.safe and (call.sent or lost):
                lost = True
                what = "the answer was lost with the connection" if call.sent else "one before it was lost"
                call.answer.set_exception(OutcomeUnknown(f"{_named(call)}: {what}: {why}"))
            elif call.sent and connection.close_code in _NOT_UNDERSTOOD:
                call.answer.set_exception(Refused(call.path, f"{call.name}: {why}"))
            elif self.ended and self._over is not None:
                call.answer.set_exception(self._over())
            else:
                call.sent = False
                again.append(call)
        self._waiting.clear()
        self._waiting.extend(again)
        if self._over is None:
            self._become(State.SUSPENDED)

    def _expire(self) -> None:
        self.granted = None
        if self._over is not None:  # it was being closed
            self._end(State.CLOSED, self._over)
        elif self._renew:
            waiting = [*self._waiting]
            self._waiting.clear()
            self._waiting.extend(call for call in waiting if call.safe)
            _fail((call for call in waiting if not call.safe), SessionExpired)
            self._become(State.EXPIRED)
        else:
            self._end(State.EXPIRED, SessionExpired)

    def _shown(self, answer: asyncio.Future[Answer]) -> None:
        """Credentials that are refused will be refused again."""
        if not answer.cancelled() and answer.exception() is None and answer.result()[0]:
            self._end(State.CLOSED, AuthFailed)

    def _settle(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.cancelled():
            self._settled.set()

    def _check(self) -> None:
        if self._over is not None:
            raise self._over()

    def _become(self, state: State) -> None:
        if self.state is not state:
            self.state = state
            self._on_state(state)

    def _end(self, state: State, error: Callable[[], ClientError]) -> None:
        """Take nothing any more; what waits is told why."""
        if not self.ended:
            self.ended = True
            self._over = error
            self.granted = None
            _fail(self._waiting, error)
            self._waiting.clear()
            self._settled.set()
            self._become(state)


def _fail(calls: Iterable[Call], error: Callable[[], ClientError]) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error())


def _named(call: Call) -> str:
    return f"{call.path}: {call.name}" if call.path else call.name


def _not_opened() -> ClientError:
    return ConnectionClosed("the client is not open: use it in `async with`")


def _closed() -> ClientError:
    return ConnectionClosed("the client is closed")
