"""The wire's primitives: big-endian integers, buffers, strings and vectors as jute writes them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

INT = struct.Struct(">i")
LONG = struct.Struct(">q")
_int = INT.unpack_from
_long = LONG.unpack_from
_T = TypeVar("_T")


class Malformed(ValueError):
    """Bytes that do not hold what they should; says what was missing or absurd."""


class Reader:
    """Takes values off the front of bytes, never past their end."""

    __slots__ = ("_data", "_pos")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self._data = data
        self._pos = pos

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._pos

    def _take(self, size: int) -> int:
        pos = self._pos
        if size > len(self._data) - pos:
            raise Malformed(f"{size} bytes wanted, {len(self._data) - pos} left")
        self._pos = pos + size
        return pos

    def int32(self) -> int:
        """A signed 32-bit integer."""
        pos = self._take(4)
        value: int = _int(self._data, pos)[0]
        return value

    def int64(self) -> int:
        """A signed 64-bit integer."""
        pos = self._take(8)
        value: int = _long(self._data, pos)[0]
        return value

    def flag(self) -> bool:
        """One byte; anything but zero is true."""
        return self._data[self._take(1)] != 0

    def take(self, size: int) -> bytes:
        """So many bytes as they are."""
        pos = self._take(size)
        return self._data[pos : pos + size]

    def buffer(self) -> bytes | None:
        """Length and bytes; None for length -1."""
        size = self.int32()
        if size < 0:
            if size == -1:
                return None
            raise Malformed(f"a length of {size}")
        pos = self._take(size)
        return self._data[pos : pos + size]

    def text(self) -> bytes:
        """A string's bytes (UTF-8, unchecked); None counts as empty."""
        return self.buffer() or b""

    def vector(self, read: Callable[[], _T]) -> list[_T]:
        """Count and elements; an absent vector (count -1) is empty."""
        count = self.int32()
        if count < -1 or count > self.left:  # no element is shorter than a byte
            raise Malformed(f"a vector of {count} elements in {self.left} bytes")
        return [read() for _ in range(count)]


def pack_buffer(data: bytes | None) -> bytes:
    """Length and bytes."""
    return INT.pack(-1) if data is None else INT.pack(len(data)) + data


def pack_texts(texts: list[bytes]) -> bytes:
    """A vector of strings."""
    pack = INT.pack
    parts = [pack(len(texts))]
    for text in texts:
        parts.append(pack(len(text)))
        parts.append(text)
    return b"".join(parts)
