"""A client's watches: which loops are told of an event, and what a new connection must be told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet

from .connection import Answer, Arguments, Call
from .errors import ClientError, refusal
from .feed import Feed
from .values import Event, Kind

_BESIDE: Final = 80
_BEFORE: Final = 9
"""Bytes of a request that sets watches again, at most, beside its paths and before each."""


class Watch:
    """Events of one path, or of all below it, as an async iterator.

    It watches from the moment it is made: what is read afterwards, and the events, leave no gap. Leaving
    `async with`, `close`, or letting go of it ends it.
    """

    def __init__(self, registry: Registry, path: str, recursive: bool, armed: Call, limit: int) -> None:
        """path: whole, without a chroot. armed: the request that sets it."""
        self._closed = True
        self._registry = registry
        self._armed: Call | None = armed
        self._loop = armed.answer.get_loop()
        self.path = path
        self.recursive = recursive
        self.feed: Feed[Event] = Feed(limit, Event(Kind.MISSED, registry.shown(path)))
        armed.answer.add_done_callback(_seen)
        self._closed = False

    async def ready(self) -> Self:
        """Wait until a server has set it; raises why it did not."""
        if self._armed is not None:
            code, result = await asyncio.shield(self._armed.answer)
            if code:
                raise refusal(code, str(result), self._registry.shown(self.path))
            self._armed = None
        return self

    def close(self) -> None:
        """Watch no more; loops over it end."""
        self.feed.end()
        if not self._closed:
            self._closed = True
            self._registry.leave(self)

    async def __aenter__(self) -> Self:
        return await self.ready()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._armed is not None:
            await self.ready()
        return await self.feed.__anext__()

    def __del__(self) -> None:
        if not self._closed:
            self._closed = True
            # On whatever thread this is. When the event loop is closed, nobody needs to be told.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._registry.left, self.path, self.recursive)

    @property
    def closed(self) -> bool:
        """Whether nobody reads it any more."""
        return self._closed


class Registry:
    """path → its watches, by kind; they are let go of when nobody reads them any more."""

    def __init__(self, root: str, submit: Callable[[Call], None]) -> None:
        self._root = root
        self._submit = submit
        self._kinds: dict[bool, dict[str, WeakSet[Watch]]] = {False: {}, True: {}}

    def watch(self, path: str, recursive: bool, limit: int) -> Watch:
        """A new one."""
        armed = Call("addWatch", {"path": path, "recursive": recursive}, safe=True)
        self._submit(armed)
        watch = Watch(self, path, recursive, armed, limit)
        self._kinds[recursive].setdefault(path, WeakSet()).add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        """It is read no more."""
        if held := self._kinds[watch.recursive].get(watch.path):
            held.discard(watch)
            self.left(watch.path, watch.recursive)

    def left(self, path: str, recursive: bool) -> None:
        """One of that path is read no more; the last one tells the server so."""
        watched = self._kinds[recursive]
        if path not in watched or not all(watch.closed for watch in watched[path]):
            return
        del watched[path]
        kind = "recursive" if recursive else "persistent"
        call = Call("removeWatches", {"path": path, "kind": kind}, safe=True)
        call.answer.add_done_callback(_seen)
        try:
            self._submit(call)
        except ClientError:  # it is over, and all its watches with it
            call.answer.cancel()

    def told(self, kind: str, path: str) -> None:
        """An event came."""
        event = Event(Kind(kind), self.shown(path))
        for watch in tuple(self._kinds[False].get(path, ())):
            watch.feed.put(event)
        recursive = self._kinds[True]
        if recursive and event.kind is not Kind.CHILDREN:
            for above in _upwards(path):
                for watch in tuple(recursive.get(above, ())):
                    watch.feed.put(event)

    def rearm(self, most: int) -> list[Arguments]:
        """What setWatches is asked for a new connection, in requests of so many bytes; all are told that
        they may have missed something."""
        for watch in self._all():
            watch.feed.put(Event(Kind.MISSED, self.shown(watch.path)))
        requests: list[Arguments] = []
        for kind, watched in (("persistent", self._kinds[False]), ("recursive", self._kinds[True])):
            paths: list[str] = []
            size = _BESIDE
            for path in watched:
                more = len(path.encode()) + _BEFORE
                if paths and size + more > most:
                    requests.append({kind: paths})
                    paths, size = [], _BESIDE
                paths.append(path)
                size += more
            if paths:
                requests.append({kind: paths})
        return requests

    def end(self, error: Callable[[], Exception]) -> None:
        """The session is over."""
        for watch in self._all():
            watch.feed.end(error)
        for watched in self._kinds.values():
            watched.clear()

    def shown(self, path: str) -> str:
        """A path as who is below the chroot knows it."""
        return path[len(self._root) :] or "/" if self._root else path

    def _all(self) -> Iterator[Watch]:
        for watched in self._kinds.values():
            for held in tuple(watched.values()):
                yield from tuple(held)


def _seen(answer: asyncio.Future[Answer]) -> None:
    """Let nobody wonder that an error is not looked at."""
    if not answer.cancelled():
        answer.exception()


def _upwards(path: str) -> Iterator[str]:
    """The path itself, then its parents up to /."""
    while len(path) > 1:
        yield path
        path = path[: path.rindex("/")]
    yield "/"
