"""A queue with priorities, each entry of which is taken once: Queue."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import ClassVar, Final, Self, overload

from ..client import Client
from ..errors import (
    ConnectionClosed,
    NoNode,
    OutcomeUnknown,
    SessionExpired,
    TransactionFailed,
)
from ..transaction import Transaction
from ..values import Event, Kind
from ..watches import Watch
from .contender import anew, names_below
from .witness import Witnesses

_LOWEST: Final = 999
"""The last priority, as names have three digits for it."""


class Line:
    """Entries in their order, as far as events have told; some are locked."""

    def __init__(self, names: Iterable[str] = (), locked: Iterable[str] = ()) -> None:
        self._there = set(names)
        self._locked = set(locked)
        self._heap = list(self._there)
        heapify(self._heap)

    def came(self, name: str) -> None:
        if name not in self._there:
            self._there.add(name)
            heappush(self._heap, name)

    def gone(self, name: str) -> None:
        self._there.discard(name)

    def lock(self, name: str) -> None:
        self._locked.add(name)

    def unlock(self, name: str) -> None:
        if name in self._locked:
            self._locked.discard(name)
            heappush(self._heap, name)

    def first(self) -> str | None:
        """What is to be taken next."""
        while self._heap:
            if (name := self._heap[0]) in self._there and name not in self._locked:
                return name
            heappop(self._heap)
        return None


class BaseQueue(ABC):
    """What both queues do: put entries in line, and take the first."""

    _prefix: ClassVar[str]

    def __init__(self, client: Client, path: str, entries: str) -> None:
        self._client = client
        self._path = path
        self._entries = entries
        self._witnesses = Witnesses(client, path)
        self._turn = asyncio.Lock()
        self._watch: Watch | None = None
        self._line: Line | None = None
        self._taking: asyncio.Task[bytes | None] | None = None

    async def put(self, value: bytes, priority: int = 100) -> None:
        """Put one entry in line, once. priority: from 0, which is taken first, to 999. Raises NoAuth,
        QuotaExceeded, TooLarge; OutcomeUnknown only if the session expired while the answer was lost."""
        await self.put_all([value], priority)

    async def put_all(self, values: Sequence[bytes], priority: int = 100) -> None:
        """Put all of them in line, or none if it raises; as `put` otherwise."""
        if not 0 <= priority <= _LOWEST:
            raise ValueError(f"{priority} is no priority from 0 to {_LOWEST}")
        prefix = f"{self._entries}/{self._prefix}{priority:03d}-"

        def fill(transaction: Transaction) -> None:
            for value in values:
                transaction.create(prefix, value, sequential=True)

        while True:
            try:
                await self._witnesses.commit(fill)
            except TransactionFailed as error:
                if not isinstance(error.cause, NoNode):
                    raise error.cause from None
                await anew(self._client, self._ensure)
            except SessionExpired:  # and nothing was done
                if not self._client.renews:
                    raise
            else:
                return

    async def size(self) -> int:
        """How many entries there are, those that are locked among them."""
        stat = await self._client.exists(self._entries)
        return stat.num_children if stat is not None else 0

    @overload
    async def get(self, *, timeout: None = None) -> bytes: ...

    @overload
    async def get(self, *, timeout: float | None) -> bytes | None: ...

    async def get(self, *, timeout: float | None = None) -> bytes | None:
        """The first entry's value; waits until there is one.

        timeout: seconds to wait for one, after which there is None; 0 takes what is there. If the call is
        cancelled while it takes an entry, the next call returns that. Raises NoAuth, SessionExpired, and
        OutcomeUnknown if the session expired and it can't be known who took the first one.
        """
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError:
            return None
        try:
            while True:
                try:
                    value = await self._next(deadline)
                except TimeoutError:
                    return None
                except SessionExpired:
                    if not self._client.renews:
                        raise
                    self._watch = self._line = None
                else:
                    if value is not None:
                        return value
        finally:
            self._turn.release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.get()
        except ConnectionClosed:
            if self._watch is None:
                raise
            raise StopAsyncIteration from None

    async def _next(self, deadline: float | None) -> bytes | None:
        """The first entry; None if another one was faster. TimeoutError if there is none in time."""
        if self._taking is None:
            name = await self._first(deadline)
            # What was begun goes on without who began it: else an entry would be taken, and lost.
            self._taking = asyncio.create_task(self._take(name))
        await asyncio.wait([self._taking])
        task, self._taking = self._taking, None
        return task.result()

    async def _first(self, deadline: float | None) -> str:
        """The name of what is to be taken next, once there is one; TimeoutError if there is none in time."""
        if self._watch is None:
            self._watch = self._client.watch(self._path, recursive=True)
        while True:
            if self._line is None:
                self._line = await self._read()
            if not len(self._watch.feed) and (name := self._line.first()):
                return name
            try:
                async with asyncio.timeout_at(deadline):
                    self._told(await anext(self._watch))
            except StopAsyncIteration:
                raise ConnectionClosed("the client is closed") from None

    def _told(self, event: Event) -> None:
        if event.kind is Kind.MISSED:
            self._line = None
        elif self._line is not None:
            folder, _, name = event.path.rpartition("/")
            self._follow(self._line, event.kind, folder, name)

    def _follow(self, line: Line, kind: Kind, folder: str, name: str) -> None:
        if folder == self._entries and name.startswith(self._prefix):
            if kind is Kind.CREATED:
                line.came(name)
            elif kind is Kind.DELETED:
                line.gone(name)

    async def _names(self, folder: str) -> list[str]:
        """Of the entries in a folder."""
        names = await names_below(self._client, folder)
        return [name for name in names if name.startswith(self._prefix)]

    def _dropped(self, name: str) -> None:
        """Another one has it for good."""
        if self._line is not None:
            self._line.gone(name)

    @abstractmethod
    async def _read(self) -> Line: ...

    @abstractmethod
    async def _take(self, name: str) -> bytes | None:
        """Its value; None if another one has it."""

    @abstractmethod
    async def _ensure(self) -> None:
        """Make what is missing above entries."""


class Queue(BaseQueue):
    """Entries that are taken out once, the one of the lowest priority number first, then the oldest.

    An entry is gone once it is taken: if whoever took it dies, so does it (LockingQueue keeps it). Layout as
    kazoo's Queue: `PATH/entry-PRIORITY-NUMBER`. Beside it, below `-witnesses`, each client that uses it has
    ephemerals, by which it finds out what became of a change whose answer was lost. `async for value in
    queue` takes one after the other, until the client is closed.
    """

    _prefix = "entry-"

    def __init__(self, client: Client, path: str) -> None:
        """path: made, with all above it, by the first `put`."""
        super().__init__(client, path, path)

    async def _read(self) -> Line:
        return Line(await self._names(self._path))

    async def _take(self, name: str) -> bytes | None:
        path = f"{self._path}/{name}"
        while True:
            try:
                value = (await self._client.get(path)).data
                await self._witnesses.commit(lambda transaction: transaction.delete(path))
            except NoNode:
                break
            except TransactionFailed as error:
                if not isinstance(error.cause, NoNode):
                    raise error.cause from None
                break
            except OutcomeUnknown:  # the session has expired, and what it wrote is decided
                with suppress(SessionExpired):
                    if await anew(self._client, lambda: self._client.exists(path)) is not None:
                        continue
                raise
            else:
                return value
        self._dropped(name)
        return None

    async def _ensure(self) -> None:
        await self._client.ensure_path(self._path)
