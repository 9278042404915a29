"""What happens, one thing after the other, for who reads it in a loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

_waiting: Final[dict[asyncio.Task[object] | None, object]] = {}
"""task → the feed that it waits for. A feed is held by nobody else, and a task that does nothing but wait
would vanish with it."""


class Feed(Generic[T]):
    """An async iterator that others put things into; it holds `limit` of them at most.

    What is too much takes the place of all that waits, or `overflow` does, which says so.
    """

    def __init__(self, limit: int, overflow: T | None = None) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._overflow = overflow
        self._more = asyncio.Event()
        self._over: Callable[[], Exception] | None = None

    def put(self, item: T) -> None:
        """Add what happened."""
        items = self._items
        if len(items) >= self._limit:
            items.clear()
            item = self._overflow or item
        items.append(item)
        self._more.set()

    def end(self, error: Callable[[], Exception] = StopAsyncIteration) -> None:
        """Nothing will come any more: once all is read, loops end, or raise such an error."""
        if self._over is None:
            self._over = error
            self._more.set()

    def __len__(self) -> int:
        """How many things are there to be read."""
        return len(self._items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._over is not None:
                raise self._over()
            self._more.clear()
            waiter = asyncio.current_task()
            _waiting[waiter] = self
            try:
                await self._more.wait()
            finally:
                del _waiting[waiter]
        return self._items.popleft()
