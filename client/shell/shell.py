"""One shell: its session with the service, and how it does one command after the other."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import click

from ..address import Address, parse
from ..errors import ClientError, ConnectionClosed, NoConnection
from ..values import State
from . import commands, exits
from .output import Output
from .watched import Watched

if TYPE_CHECKING:
    from ..client import Client

T = TypeVar("T")

_NOT_CONNECTED: Final = "Not connected: `connect` begins a session"


class Interrupted(Exception):
    """Ctrl-C ended a command."""


class Shell:
    """What commands are given.

    output: where results go. timeout: of the session, in seconds, and how long a command waits without a
    connection. lines: all that was typed so far, for `history`. watched: the watches. interactive: whether
    somebody types at a prompt. over: set by `quit`. code: the exit code of the last line before that. again:
    set by `redo`, the line to do next. at_rest: what Ctrl-C does between commands.
    """

    def __init__(self, server: str, timeout: float, output: Output, *, interactive: bool = False) -> None:
        self.output = output
        self.timeout = timeout
        self.interactive = interactive
        self.lines: list[str] = []
        self.over = False
        self.code = 0
        self.again = ""
        self.at_rest: Callable[[], None] = lambda: None
        self.watched = Watched(output)
        self._client: Client | None = None
        self._above: Client | None = None
        self._credentials: list[tuple[str, bytes]] = []
        self._left = False
        self._task: asyncio.Task[object] | None = None
        self._interrupted = False
        self._give_up: asyncio.TimerHandle | None = None
        self._gave_up = False
        self._patient = False
        self._serve(server)

    # the session

    @property
    def state(self) -> State:
        """Of the session, now."""
        return self._client.state if self._client is not None else State.CLOSED

    @property
    def address(self) -> Address:
        """Which servers it is for; shown, it says no password."""
        return self._address

    @property
    def place(self) -> str:
        """The servers and the chroot, as a prompt shows them."""
        return ",".join(f"{host}:{port}" for host, port in self._address.servers) + self._address.root

    async def connected(self) -> Client:
        """The client, with a session: begun now if there is none, or the last one has expired. NoConnection
        if no server can be reached in time; ConnectionClosed after `close`."""
        client = self._client
        if self._left:
            raise ConnectionClosed(_NOT_CONNECTED)
        if client is None or client.state in (State.EXPIRED, State.CLOSED):
            client = self.client_for(self._server, self._changed)
            self._client = client  # before it is open, so that its state can be told
            await client.__aenter__()
        return client

    async def begin(self) -> int:
        """Begin a session before anything is asked; the exit code of that."""
        try:
            await self.attend(self.connected())
        except Interrupted:
            return exits.INTERRUPTED
        except (ClientError, OSError) as error:
            return self.output.fail(error)
        return 0

    async def connect(self, server: str = "") -> None:
        """End the session, and begin another, there if it is said where."""
        await self.close()
        self._left = False
        self._credentials.clear()
        if server:
            self._serve(server)
        await self.connected()

    async def close(self) -> None:
        """End the session, and its ephemerals and watches with it."""
        self._left = True
        self.watched.close()
        for client in (self._client, self._above):
            if client is not None:
                await client.close()
        self._client = self._above = None

    async def add_auth(self, scheme: str, credentials: bytes) -> None:
        """Show an identity, in this session and those that follow it; AuthFailed if it is refused."""
        client = await self.connected()
        await client.add_auth(scheme, credentials)
        if self._above is not None:
            await self._above.add_auth(scheme, credentials)
        self._credentials.append((scheme, credentials))

    async def whole(self) -> Client:
        """A client that sees what is above the chroot, too, such as /zookeeper; a session of its own, if
        there is a chroot."""
        client = await self.connected()
        if not self._address.root:
            return client
        above = self._above
        if above is None or above.state in (State.EXPIRED, State.CLOSED):
            server, mark, options = self._server.partition("?")
            above = self.client_for(server.rstrip("/").removesuffix(self._address.root) + mark + options)
            self._above = await above.__aenter__()
        return above

    # commands

    async def line(self, text: str) -> int:
        """Do what a line says, quoted as in a POSIX shell; its exit code. An empty one does nothing."""
        code = await self._line(text)
        if not self.over:
            self.code = code
        return code

    async def _line(self, text: str) -> int:
        try:
            words = shlex.split(text)
        except ValueError as error:
            return self.output.fail(click.UsageError(f"{text!r}: {error}"))
        if not words:
            return self.code
        self.lines.append(text)
        code = await self.perform(words)
        if self.again:
            self.lines[-1], self.again = self.again, ""
            code = await self.perform(shlex.split(self.lines[-1]))
        return code

    async def perform(self, words: Sequence[str]) -> int:
        """Do one command, and show what it found; its exit code."""
        try:
            command = commands.find(words[0])
            result = await self.attend(command.begin(self, list(words[1:])))
        except click.exceptions.Exit as ended:
            return ended.exit_code
        except click.UsageError as error:
            if error.ctx is not None:
                self.output.tell(error.ctx.get_usage())
            return self.output.fail(error)
        except Interrupted:
            return exits.INTERRUPTED
        except BrokenPipeError:  # nobody reads what is printed
            raise
        except (ClientError, OSError, UnicodeError, click.ClickException) as error:
            return self.output.fail(error)
        if result is not None:
            self.output.show(result)
        return 0

    async def attend(self, work: Awaitable[T]) -> T:
        """What the work comes to; Interrupted by Ctrl-C, NoConnection if it waits in vain for one."""
        loop = asyncio.get_running_loop()
        self._task = task = asyncio.ensure_future(work)
        self._interrupted = self._gave_up = False
        if self.state is State.SUSPENDED:
            self._waits()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            return await task
        except asyncio.CancelledError:
            if self._interrupted:
                raise Interrupted from None
            if self._gave_up:
                raise NoConnection(f"no connection to {self.place} for {self.timeout:g} s") from None
            raise
        finally:
            loop.add_signal_handler(signal.SIGINT, self.at_rest)
            self._task = None
            self._stop_waiting()

    @contextmanager
    def yielding(self) -> Iterator[asyncio.Event]:
        """Leave Ctrl-C to the program that runs at this terminal meanwhile; it is set if it came."""
        loop = asyncio.get_running_loop()
        pressed = asyncio.Event()
        loop.add_signal_handler(signal.SIGINT, pressed.set)  # not SIG_IGN, which the program would inherit
        try:
            yield pressed
        finally:
            loop.add_signal_handler(signal.SIGINT, self._interrupt)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Wait for a connection as long as it takes."""
        before, self._patient = self._patient, True
        self._stop_waiting()
        try:
            yield
        finally:
            self._patient = before
            if self.state is State.SUSPENDED:
                self._waits()

    def _interrupt(self) -> None:
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    def _waits(self) -> None:
        """Have the command end if there is no connection soon."""
        if self._task is not None and self._give_up is None and not self._patient:
            self._give_up = asyncio.get_running_loop().call_later(self.timeout, self._gives_up)

    def _gives_up(self) -> None:
        if self._task is not None:
            self._gave_up = True
            self._task.cancel()

    def _stop_waiting(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None

    # how it connects

    def _serve(self, server: str) -> None:
        self._server = server
        self._address = parse(server)

    def client_for(self, server: str, on_state: Callable[[State], None] | None = None) -> Client:
        """A client that is not open yet, for these servers or others: with this shell's identities, and as
        patient."""
        from ..client import Client  # slow to import

        return Client(
            server,
            timeout=self.timeout,
            connect_timeout=self.timeout,
            auth=tuple(self._credentials),
            on_state=on_state,
        )

    def _changed(self, state: State) -> None:
        match state:
            case State.SUSPENDED:
                self._waits()
                self.output.tell(f"The connection to {self.place} is lost; looking for another")
            case State.CONNECTED:
                if self._give_up is not None or self.interactive:
                    self.output.tell(f"Connected to {self.place}")
                self._stop_waiting()
            case State.EXPIRED:
                self.watched.close()
                self.output.tell("The session has expired, and its ephemerals and watches with it")
