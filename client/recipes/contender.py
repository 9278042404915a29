"""What recipes share whose znode stands for somebody: made, found again, held, lost, and taken away."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, TypeVar, overload
from uuid import uuid4

from ..client import Client
from ..errors import (
    ClientError,
    ConnectionClosed,
    NodeExists,
    NoNode,
    OutcomeUnknown,
    ServerError,
    SessionExpired,
)
from ..values import Created, Kind, Stat, State
from ..watches import Watch

T = TypeVar("T")

_PATIENCE: Final = 1.0
"""Seconds that who gives up waits for its znode to go; then that goes on by itself."""

_PAUSE: Final = 0.2
"""Seconds until a server is asked again that could not write."""

_tasks: set[asyncio.Task[None]] = set()
"""What goes on by itself."""


class LockLost(ClientError):
    """It can no longer be sure that the lock, the lease or the leadership is still held."""


class Contender:
    """A znode with a name that nobody else gives, by which it is found if the answer to its making was lost.

    (As Curator protects its creates, and kazoo names its contenders.)
    """

    def __init__(
        self,
        client: Client,
        parent: str,
        kind: str,
        data: bytes,
        *,
        ephemeral: bool = True,
        sequential: bool = True,
    ) -> None:
        """parent: the path that it is to be below; made if it is missing. kind: how its name goes on."""
        self._client = client
        self._parent = parent
        self._ephemeral = ephemeral
        self._prefix = uuid4().hex + kind
        self.path = below(parent, self._prefix)
        self._data = data
        self._sequential = sequential

    async def enter(self) -> Created:
        """Make it; if it is there already, it is left as it is."""
        while True:
            with suppress(OutcomeUnknown, NodeExists, NoNode):  # none: the parent was deleted meanwhile
                return await self._client.create(
                    self.path,
                    self._data,
                    ephemeral=self._ephemeral,
                    sequential=self._sequential,
                    parents=True,
                )
            if found := await self.find():
                return found

    async def find(self) -> Created | None:
        """Where it is, if this session made it, and nobody has deleted it."""
        for name in await names_below(self._client, self._parent):
            if name.startswith(self._prefix):
                path = below(self._parent, name)
                stat = await self._client.exists(path)
                if stat is not None and is_alive(self._client, stat):
                    return Created(path, stat)
        return None

    async def leave(self) -> None:
        """Take it away, whatever became of its making."""
        # A create that was given up may still be under way; its session's reads come behind it.
        while found := await self.find():
            await remove(self._client, found.path)


class Lost:
    """Set when it can no longer be sure that something is held."""

    def __init__(self, client: Client, session: int) -> None:
        """session: what is held ends with that one; 0: with none."""
        self._client = client
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._set = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.check()

    def is_set(self) -> bool:
        """Whether it is, at this very moment; from any thread."""
        return self._set.is_set() or not self._is_sure()

    __bool__ = is_set

    async def wait(self) -> None:
        """Until it is."""
        await self._set.wait()

    def set(self) -> None:
        """From now on it is."""
        self._set.set()
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> None:
        """Look now, and when the session could have expired unless more is heard of it."""
        if self.is_set():
            self.set()
        elif self._session:
            self._timer = self._loop.call_at(self._client.alive_until, self.check)

    def _is_sure(self) -> bool:
        if not self._session:
            return True
        try:
            return self._client.session[0] == self._session and self._loop.time() < self._client.alive_until
        except ConnectionClosed:
            return False


class Held:
    """What is held: path, of its znode; token, that znode's czxid; lost.

    The token is higher than that of any holder before (of a ReadLock: of any writer before). Pass it on with
    what you do elsewhere, and have lower ones than were seen refused there: a fencing token.

    lost is set once the znode is gone, once its session has expired or was closed, and once the session
    could have expired as nothing was heard of a server for as long. That is before anybody else can hold it.
    (Unless somebody else deletes the znode; and if this program itself was stopped for longer than that, the
    token is what protects.) A release sets it, too.
    """

    def __init__(self, client: Client, node: Created) -> None:
        self.path = node.path
        self.token = node.stat.czxid
        self.lost = Lost(client, node.stat.ephemeral_owner)
        self._client = client
        self._session = node.stat.ephemeral_owner
        self._following = [by_itself(self._follow()), by_itself(self._follow_session())]

    async def guard(self, work: Coroutine[object, object, T]) -> T:
        """The result of work, which is cancelled, with LockLost raised, if this is lost before it is done."""
        task, lost = asyncio.create_task(work), asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
            lost.cancel()
            await asyncio.gather(task, lost, return_exceptions=True)
        error = None if task.cancelled() else task.exception()
        raise LockLost(f"{self.path}: it may be held by somebody else by now") from error

    async def release(self) -> None:
        """Hold it no more; returns when its znode is gone, or could be, with its session."""
        self._end()
        removal = by_itself(remove(self._client, self.path))
        over = Lost(self._client, self._session)
        waiting = asyncio.create_task(over.wait())
        try:
            await asyncio.wait({removal, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.set()
            waiting.cancel()
            removal.add_done_callback(_looked_at)
        error = removal.exception() if removal.done() else None
        is_over = isinstance(error, SessionExpired | ConnectionClosed)
        if error is not None and not (is_over and self._session):
            raise error

    def _end(self) -> None:
        self.lost.set()
        for task in self._following:
            task.cancel()

    async def _follow(self) -> None:
        """Until the znode is gone."""
        try:
            with suppress(ClientError):
                await self._disappearance()
        finally:
            self.lost.set()

    async def _disappearance(self) -> None:
        watch = self._client.watch(self.path)
        try:
            while await self._client.exists(self.path) is not None:
                if await told(watch, Kind.DELETED) is Kind.DELETED:
                    break
        finally:
            watch.close()

    async def _follow_session(self) -> None:
        """Until it is over."""
        async for state in self._client.states():
            if state is State.CLOSED or (state is State.EXPIRED and self._session):
                self.lost.set()


class Holder(ABC):
    """Who holds something, from acquire to release: an async context manager that gives Held.

    It stands for one contender: tasks that share it wait for each other, too. It is not reentrant.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = asyncio.Lock()
        self._held: Held | None = None

    @property
    def held(self) -> Held | None:
        """What it holds now, or has lost and not released."""
        return self._held

    @overload
    async def acquire(self, *, timeout: None = None, blocking: Literal[True] = True) -> Held: ...

    @overload
    async def acquire(self, *, timeout: float | None = None, blocking: bool = True) -> Held | None: ...

    async def acquire(self, *, timeout: float | None = None, blocking: bool = True) -> Held | None:
        """Wait until it is held, for `timeout` seconds at most, or not at all if not blocking; None if it is
        not held by then.

        A wait that is given up or cancelled leaves nothing behind. SessionExpired, if the session expires
        meanwhile; a client that renews it begins anew, behind all that wait.
        """
        if not blocking and self._turn.locked():
            return None
        try:
            async with asyncio.timeout(timeout):
                await self._turn.acquire()
                try:
                    self._held = await anew(self._client, lambda: self._obtain(blocking))
                finally:
                    if self._held is None:
                        self._turn.release()
        except TimeoutError:
            return None
        return self._held

    async def release(self) -> None:
        """Let others have it; nothing if it is not held. Returns when its znode is gone; while there is no
        connection, it waits for one, until the session could have expired."""
        held, self._held = self._held, None
        if held is not None:
            try:
                await held.release()
            finally:
                self._turn.release()

    async def __aenter__(self) -> Held:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    @abstractmethod
    async def _obtain(self, blocking: bool) -> Held | None:
        """What is had now; None if it is not to be waited for, or not had."""


def is_alive(client: Client, stat: Stat) -> bool:
    """Whether a znode that this client made does not end with a session that it has no more."""
    return stat.ephemeral_owner in (0, client.session[0])


def below(parent: str, name: str) -> str:
    """The path of a child."""
    return f"{parent.rstrip('/')}/{name}"


async def names_below(client: Client, parent: str) -> list[str]:
    """The names of the children; none of a znode that is not there."""
    try:
        return await client.children(parent)
    except NoNode:
        return []


async def texts(client: Client, parent: str, names: Iterable[str]) -> list[str]:
    """The data of these children, in that order; those that have gone meanwhile are left out."""
    found: list[str] = []
    asked = [client.get(below(parent, name)) for name in names]
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        if not isinstance(answer, BaseException):
            found.append(answer.data.decode(errors="replace"))
        elif not isinstance(answer, NoNode):
            raise answer
    return found


async def remove(client: Client, path: str) -> None:
    """Delete a znode; that it is gone already is as good."""
    while True:
        try:
            await insisting(lambda: client.delete(path))
        except OutcomeUnknown:
            continue
        except SessionExpired:
            if client.renews:
                continue
            raise
        except NoNode:
            pass
        return


async def insisting(change: Callable[[], Awaitable[T]]) -> T:
    """The result, once a server can write: a disk is full for a while, or servers are between two leaders."""
    while True:
        try:
            return await change()
        except ServerError:
            await asyncio.sleep(_PAUSE)


async def anew(client: Client, attempt: Callable[[], Awaitable[T]]) -> T:
    """The result; attempted again with the next session, if there is to be one."""
    while True:
        try:
            return await attempt()
        except SessionExpired:
            if not client.renews:
                raise


async def told(watch: Watch, kind: Kind) -> Kind:
    """Wait until that happens, or may have been missed; which it is. ConnectionClosed if it won't."""
    async for event in watch:
        if event.kind is kind or event.kind is Kind.MISSED:
            return event.kind
    raise ConnectionClosed("the client is closed")


async def gone(client: Client, path: str) -> None:
    """Wait until that znode is, or may be."""
    watch = client.watch(path)
    try:
        if await client.exists(path) is not None:
            await told(watch, Kind.DELETED)
    finally:
        watch.close()


async def give_up(client: Client, *works: Coroutine[object, object, None]) -> None:
    """Do what is to be done when a wait ends in vain, and wait for that a while, if there is a connection; it
    goes on until it is done.

    What a session that is over leaves undone needs not be done.
    """

    async def do(work: Coroutine[object, object, None]) -> None:
        with suppress(ClientError):
            await work

    tasks = [by_itself(do(work)) for work in works]
    await asyncio.wait(tasks, timeout=_PATIENCE if client.state is State.CONNECTED else 0)


def by_itself(work: Coroutine[object, object, None]) -> asyncio.Task[None]:
    """Started, and kept until it is done, whether anybody waits for it or not."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _looked_at(task: asyncio.Task[None]) -> None:
    """What it failed of does not matter any more."""
    if not task.cancelled():
        task.exception()
