"""The present value of a znode and each later one, as a loop: DataWatch, ChildrenWatch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Generic, Self, TypeAlias, TypeVar

from ..client import Client
from ..errors import ConnectionClosed, NoNode, SessionExpired
from ..values import Kind, Stat
from ..watches import Watch

T = TypeVar("T")

DataAndStat: TypeAlias = tuple[bytes, Stat] | tuple[None, None]
"""Of a znode; of none."""


class ValueWatch(ABC, Generic[T]):
    """An async iterator over what is read below a path, now and after each change.

    What changes faster than it is read is read once; the last value is never left out. It goes on after a
    reconnect, and in the next session if the client renews it; it ends with the client. Letting go of it
    ends it, and so does `close`.
    """

    _passed_over: ClassVar[Kind | None] = None
    """The event that changes nothing of what is read."""
    _recursive: ClassVar[bool] = False

    def __init__(self, client: Client, path: str) -> None:
        self._client: Final = client
        self._path: Final = path
        self._watch: Watch | None = None
        self._stale = True
        self._closed = False
        self._last: list[T] = []

    def close(self) -> None:
        """Watch no more; loops over it end."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._closed:
            try:
                found = await self._next()
            except SessionExpired:
                if not self._client.renews:
                    raise
                self._watch, self._stale = None, True
                continue
            except ConnectionClosed:
                if self._watch is None:
                    raise
                raise StopAsyncIteration from None
            if not self._last or not self._same(self._last[0], found):
                self._last = [found]
                return found
        raise StopAsyncIteration

    async def _next(self) -> T:
        if self._watch is None:
            # One event is as good as many: it is only told that there was any.
            self._watch = self._client.watch(self._path, recursive=self._recursive, limit=1)
        while not self._stale:
            self._stale = (await anext(self._watch)).kind is not self._passed_over
        found = await self._read()
        self._stale = False
        return found

    @abstractmethod
    async def _read(self) -> T: ...

    def _same(self, one: T, other: T) -> bool:
        return one == other


class DataWatch(ValueWatch[DataAndStat]):
    """A znode's data and stat, or (None, None) while it does not exist: `async for data, stat in
    DataWatch(client, "/x")`. Raises NoAuth. (kazoo's DataWatch, as a loop.)"""

    _passed_over = Kind.CHILDREN

    async def _read(self) -> DataAndStat:
        try:
            return await self._client.get(self._path)
        except NoNode:
            return None, None

    def _same(self, one: DataAndStat, other: DataAndStat) -> bool:
        return (one[1] and one[1].mzxid) == (other[1] and other[1].mzxid)


class ChildrenWatch(ValueWatch[list[str] | None]):
    """The sorted names below a znode, or None while it does not exist: `async for names in
    ChildrenWatch(client, "/x")`. Raises NoAuth. (kazoo's ChildrenWatch, as a loop; that one ends with the
    znode, this one waits for the next.)"""

    _passed_over = Kind.CHANGED

    async def _read(self) -> list[str] | None:
        try:
            return await self._client.children(self._path)
        except NoNode:
            return None
