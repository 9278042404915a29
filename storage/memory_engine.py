"""The engine that keeps everything in memory and nothing beyond the process: for tests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path

from .engine import end_of


class MemoryView:
    """One state, as a dict that nobody changes any more."""

    __slots__ = ("_data", "_order")

    def __init__(self, data: Mapping[bytes, bytes]) -> None:
        self._data = data
        self._order: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        return self._data.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        data = self._data
        return ((key, data[key]) for key in self.keys(prefix))

    def keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """See View."""
        order = self._order
        if order is None:
            order = self._order = sorted(self._data)
        end = end_of(prefix)
        low = max(bisect_left(order, prefix), bisect_right(order, after))
        high = len(order) if end is None else bisect_left(order, end, low)
        return map(order.__getitem__, range(low, high))

    def close(self) -> None:
        """See View."""
        self._data = {}
        self._order = None


class MemoryEngine(MemoryView):
    """An Engine in which each commit makes a new dict: simple, and a snapshot costs nothing."""

    __slots__ = ("_committed", "_size")

    def __init__(self, directory: Path) -> None:
        super().__init__({})
        self._committed: dict[bytes, bytes] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """See Engine: the bytes of keys and values."""
        return self._size

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """See Engine."""
        data = self._committed.copy()
        for key, value in changes.items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self._size = sum(map(len, data)) + sum(map(len, data.values()))
        self._committed = data

    def lend(self, seconds: float) -> bool:
        """See Engine: a commit here lets go of the interpreter only when told to."""
        return False

    def refresh(self) -> None:
        """See Engine."""
        if self._data is not self._committed:
            self._data = self._committed
            self._order = None

    def snapshot(self) -> MemoryView:
        """See Engine."""
        return MemoryView(self._committed)

    def close(self) -> None:
        """See Engine."""
        super().close()
        self._committed = {}
