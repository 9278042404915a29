"""The shell's watches: each prints what it sees, as zkCli does, while other commands run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ..errors import ClientError, NoWatcher
from ..values import Event, Kind, Stat
from .output import Output, Result

if TYPE_CHECKING:
    from ..client import Client
    from ..watches import Watch

Sort = Literal["children", "data", "persistent", "recursive"]

_FIRING: Final = {
    "children": (Kind.CHILDREN, Kind.DELETED),
    "data": (Kind.CREATED, Kind.CHANGED, Kind.DELETED),
}
"""What watches that fire once wait for."""
_TYPES: Final = {
    Kind.CREATED: "NodeCreated",
    Kind.DELETED: "NodeDeleted",
    Kind.CHANGED: "NodeDataChanged",
    Kind.CHILDREN: "NodeChildrenChanged",
}
"""As ZooKeeper calls them (Watcher.Event.EventType)."""


@dataclass(frozen=True, eq=False, slots=True)
class _Watching:
    """One watch, and the task that prints for it."""

    path: str
    sort: Sort
    task: asyncio.Task[None]


class Watched:
    """printing: `printwatches on`."""

    def __init__(self, output: Output) -> None:
        self.printing = True
        self._output = output
        self._all: set[_Watching] = set()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._all)

    async def once(self, client: Client, path: str, sort: Literal["children", "data"]) -> _Once:
        """A watch of a znode's data or children that fires once: `begin` it with what was read after."""
        return _Once(self, client, await client.watch(path).ready(), path, sort)

    async def follow(self, client: Client, path: str, *, recursive: bool) -> None:
        """Watch a path, or all below it too, until it is removed."""
        watch = await client.watch(path, recursive=recursive).ready()
        self.add(path, "recursive" if recursive else "persistent", watch)

    def add(self, path: str, sort: Sort, events: AsyncIterator[Event]) -> None:
        """Print these as they come."""

        async def printed() -> None:
            try:
                async for event in events:
                    self._print(event)
            except ClientError:  # the session is over, which is told elsewhere
                pass
            finally:
                self._all.discard(watching)

        watching = _Watching(path, sort, asyncio.create_task(printed()))
        self._all.add(watching)

    def remove(self, path: str, sort: Sort | None) -> None:
        """Watch a path no more; sort: only so. NoWatcher if nothing did."""
        found = [each for each in self._all if each.path == path and sort in (None, each.sort)]
        if not found:
            raise NoWatcher(path)
        for each in found:
            each.task.cancel()
            self._all.discard(each)

    async def drained(self) -> None:
        """Wait until the last watch has fired."""
        while self._all:
            done, _ = await asyncio.wait({each.task for each in self._all})
            for task in done:
                if not task.cancelled():
                    task.result()  # nobody may read what it prints

    def close(self) -> None:
        """The session ends."""
        for each in self._all:
            each.task.cancel()
        self._all.clear()

    def _print(self, event: Event) -> None:
        if not self.printing:
            return
        kind, path = event
        if kind is Kind.MISSED:
            said = f"WATCHER:: events of {path} may have been missed: read it again"
        else:
            said = f"WATCHER:: WatchedEvent state:SyncConnected type:{_TYPES[kind]} path:{path}"
        self._output.show(Result({"event": str(kind), "path": path}, said))


@dataclass(frozen=True, slots=True)
class _Once:
    """A watch that is awake already, for what is read now."""

    watched: Watched
    client: Client
    watch: Watch
    path: str
    sort: Literal["children", "data"]

    def begin(self, read: Stat | None) -> None:
        """Fire at the first change after this was read; None: there was no znode."""
        self.watched.add(self.path, self.sort, self._events(read))

    async def _events(self, read: Stat | None) -> AsyncIterator[Event]:
        async with self.watch:
            async for event in self.watch:
                found = await self._missed(read) if event.kind is Kind.MISSED else event
                if found is not None and found.kind in _FIRING[self.sort]:
                    yield found
                    return

    async def _missed(self, read: Stat | None) -> Event | None:
        """What has happened meanwhile, as far as it can be seen."""
        now = await self.client.exists(self.path)
        if now is None:
            return Event(Kind.DELETED, self.path) if read is not None else None
        if read is None:
            return Event(Kind.CREATED, self.path)
        if now.czxid != read.czxid:
            return Event(Kind.DELETED, self.path)
        if self.sort == "data":
            return Event(Kind.CHANGED, self.path) if now.mzxid != read.mzxid else None
        return Event(Kind.CHILDREN, self.path) if now.pzxid != read.pzxid else None
