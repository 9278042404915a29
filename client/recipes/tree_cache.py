"""A copy of a znode and all below it that is kept up to date: TreeCache."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple, Self
from weakref import WeakSet

from ..client import Client
from ..errors import ConnectionClosed, NoAuth, NoNode
from ..feed import Feed
from ..values import Event, Got, Kind
from ..watches import Watch
from .contender import anew, below, names_below

_AT_ONCE: Final = 256
"""Znodes that are read at the same time."""
_EVENTS: Final = 10_000
"""Events that wait while others are followed; if there are more, all is read again."""


class Change(NamedTuple):
    """What changed in a copy: kind (CREATED, CHANGED, DELETED), path, and what the znode holds, or held
    before it was deleted. Of kind MISSED: changes were not read in time; look at the copy."""

    kind: Kind
    path: str
    found: Got | None


class TreeCache:
    """An async context manager: in it, `get`, `children` and `items` tell without asking a server.

    It is complete when it is entered, and follows all changes, some milliseconds behind. After a reconnect,
    or when events came faster than they were followed, all is read again, and what differs is told by
    `changes`. While there is no connection it stays as it was. What may not be read (NoAuth) is left out.
    (Curator's and kazoo's TreeCache, with one recursive watch in place of one for each znode.)

    Stats are those of the last change of data: a child that comes or goes does not change the num_children,
    cversion and pzxid that are held here; ask `children`.
    """

    def __init__(self, client: Client, path: str = "/") -> None:
        """path: the znode; it need not exist, and may come and go."""
        self.path = path
        self._client = client
        self._found: dict[str, Got] = {}
        self._children: dict[str, set[str]] = {}
        self._feeds: WeakSet[Feed[Change]] = WeakSet()
        self._failure: Exception | None = None
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Read it all. Raises NoAuth if the first znode may not be read."""
        watch = self._client.watch(self.path, recursive=True, limit=_EVENTS)
        await anew(self._client, self._load)
        self._following = asyncio.create_task(self._follow(watch))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        for feed in tuple(self._feeds):
            feed.end()

    def get(self, path: str) -> Got | None:
        """A znode's data and stat; None if there is none. ValueError if it is not below what is copied;
        SessionExpired, ConnectionClosed, NoAuth if that ended what kept the copy up to date."""
        self._check(path)
        return self._found.get(path)

    def children(self, path: str) -> list[str]:
        """The names below a znode, sorted; none if it does not exist. Raises as `get`."""
        self._check(path)
        return sorted(self._children.get(path, ()))

    def items(self) -> list[tuple[str, Got]]:
        """Every path and what is there, each before those below it. Raises as `get`."""
        self._check(self.path)
        return list(self._found.items())

    def changes(self, limit: int = 1000) -> Feed[Change]:
        """An async iterator over the changes from now on. It ends with the cache; if that ends by an error,
        so does this. limit: how many may wait to be read; if there are more, one of kind MISSED takes their
        place. Raises as `get`."""
        self._check(self.path)
        feed = Feed(limit, Change(Kind.MISSED, self.path, None))
        self._feeds.add(feed)
        return feed

    def _check(self, path: str) -> None:
        if path != self.path and not path.startswith(below(self.path, "")):
            raise ValueError(f"{path} is not below {self.path}")
        if self._failure is not None:
            raise self._failure

    async def _follow(self, watch: Watch) -> None:
        try:
            async for event in watch:
                events = [event]
                while len(watch.feed):
                    events.append(await anext(watch))
                await anew(self._client, partial(self._catch_up, events))
            raise ConnectionClosed("the client is closed")
        except Exception as error:
            failure = self._failure = error
            for feed in tuple(self._feeds):
                feed.end(lambda: failure)

    async def _catch_up(self, events: Sequence[Event]) -> None:
        """Read what has changed. Whatever an event says, what is read afterwards is newer."""
        if any(event.kind is Kind.MISSED for event in events):
            await self._load()
            return
        for part in _parts(dict.fromkeys(event.path for event in events)):
            for path, found in zip(part, await asyncio.gather(*map(self._read, part)), strict=True):
                self._take(path, found)

    async def _load(self) -> None:
        """Read it all, and tell what differs."""
        found: dict[str, Got] = {}
        level = [self.path]
        while level:
            under: list[str] = []
            for part in _parts(level):
                reads = await asyncio.gather(*(self._read_with_names(path) for path in part))
                for path, (got, names) in zip(part, reads, strict=True):
                    if got is not None:
                        found[path] = got
                        under += [below(path, name) for name in names]
            level = under
        for path in [path for path in reversed(self._found) if path not in found]:
            self._take(path, None)
        for path, got in found.items():
            self._take(path, got)

    async def _read(self, path: str) -> Got | None:
        try:
            return await self._client.get(path)
        except NoNode:
            return None
        except NoAuth:
            if path == self.path:
                raise
            return None

    async def _read_with_names(self, path: str) -> tuple[Got | None, list[str]]:
        got, names = await asyncio.gather(self._read(path), self._names(path))
        return got, names

    async def _names(self, path: str) -> list[str]:
        try:
            return await names_below(self._client, path)
        except NoAuth:
            return []

    def _take(self, path: str, found: Got | None) -> None:
        """This is what there is now."""
        before = self._found.get(path)
        if found is None:
            self._drop(path)
            return
        self._found[path] = found
        if before is None:
            if path != self.path:
                parent, _, name = path.rpartition("/")
                self._children.setdefault(parent or "/", set()).add(name)
            self._tell(Kind.CREATED, path, found)
        elif before.stat.mzxid != found.stat.mzxid:
            self._tell(Kind.CHANGED, path, found)

    def _drop(self, path: str) -> None:
        """It is gone, and all below it."""
        ahead = [path]
        for each in ahead:
            ahead += [below(each, name) for name in self._children.pop(each, ())]
        for each in reversed(ahead):
            found = self._found.pop(each, None)
            if found is not None:
                parent, _, name = each.rpartition("/")
                self._children.get(parent or "/", set()).discard(name)
                self._tell(Kind.DELETED, each, found)

    def _tell(self, kind: Kind, path: str, found: Got) -> None:
        for feed in tuple(self._feeds):
            feed.put(Change(kind, path, found))


def _parts(paths: Iterable[str]) -> Iterator[Sequence[str]]:
    """As many as are read at the same time, in turns."""
    whole = list(paths)
    for begin in range(0, len(whole), _AT_ONCE):
        yield whole[begin : begin + _AT_ONCE]
