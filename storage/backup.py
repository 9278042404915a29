"""A backup of the state: the rows of one view as a stream of bytes that shows every cut and every damage.

Header, frames of rows in the order of their keys, end mark; docs/backup-format.md has the layout. Each
checksum is over its own part and the checksum before it, so that parts can't change places either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias
from zlib import crc32

from .engine import View
from .state import META, Meta, OtherFormat, unpack_meta

Row: TypeAlias = tuple[bytes, bytes]

_MAGIC: Final = b"znodebak"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIQI")  # magic, CRC of what follows, version, made, length of the row m
_CHECKED: Final = struct.Struct("<IQI")
_FRAME: Final = struct.Struct("<II")  # length of the rows, CRC of that and of them
_ROW: Final = struct.Struct("<II")  # lengths of key and value
_LENGTH: Final = struct.Struct("<I")
_TOTAL: Final = struct.Struct("<QQ")  # rows, and bytes before the end mark
_FULL: Final = 64 << 10
"""A frame takes rows until it has as many bytes: reading and sending go by frames."""
_LARGEST: Final = _FULL + _ROW.size + (1 << 20) + (64 << 20)
"""Bytes of rows in a frame: the largest row that an engine takes may come last."""


class BackupDamaged(Exception):
    """What was read is no whole backup; names source and offset."""


@dataclass(frozen=True, slots=True)
class Header:
    """made: when it was made, in ms since the epoch; row: the row m, which comes last in a restore."""

    made: int
    row: bytes
    meta: Meta


class BackupWriter:
    """The rows of a view as a backup, read once, in frames: a frame is well below a millisecond of work.

    rows and size count what was handed out: rows besides the row m, and bytes.
    """

    def __init__(self, view: View, made: int) -> None:
        """View must hold a state, and is this object's to close."""
        row = view.get(META)
        if row is None:
            raise ValueError("there is no state to back up")
        self.header = Header(made, row, unpack_meta(row))
        self.rows = 0
        self.size = 0
        self._view = view
        self._crc = 0

    @property
    def zxid(self) -> int:
        """The last transaction in it."""
        return self.header.meta.zxid

    @property
    def node_count(self) -> int:
        """The znodes in it."""
        return self.header.meta.node_count

    def __iter__(self) -> Iterator[bytes]:
        row = self.header.row
        rest = _CHECKED.pack(_VERSION, self.header.made, len(row)) + row
        self._crc = crc32(rest)
        yield self._counted(_MAGIC + _LENGTH.pack(self._crc) + rest)
        body = bytearray()
        for key, value in self._view.scan(b""):
            if key == META:
                continue
            body += _ROW.pack(len(key), len(value))
            body += key
            body += value
            self.rows += 1
            if len(body) >= _FULL:
                yield self._frame(len(body), bytes(body))
                body.clear()
        if body:
            yield self._frame(len(body), bytes(body))
        yield self._frame(0, _TOTAL.pack(self.rows, self.size))

    def close(self) -> None:
        """Let go of the view; a second call does nothing."""
        self._view.close()

    def _frame(self, length: int, body: bytes) -> bytes:
        self._crc = crc32(body, crc32(_LENGTH.pack(length), self._crc))
        return self._counted(_FRAME.pack(length, self._crc) + body)

    def _counted(self, data: bytes) -> bytes:
        self.size += len(data)
        return data


class BackupReader:
    """Reads a backup from chunks of any size; holds a frame at a time. header is there from the start.

    rows and size count what was read and found whole: rows besides the row m, and bytes.
    """

    def __init__(self, chunks: Iterable[bytes], name: str) -> None:
        """name says in errors what is read. Raises BackupDamaged, OtherFormat, and what chunks raises."""
        self.rows = 0
        self.size = 0
        self._name = name
        self._read = 0
        self._chunks = iter(chunks)
        self._ahead = bytearray()
        magic, crc, version, made, length = _HEADER.unpack(self._take(_HEADER.size))
        if magic != _MAGIC:
            raise BackupDamaged(f"{name}: not a backup of znoded (offset 0 holds {magic!r})")
        if version != _VERSION:
            raise OtherFormat(f"{name}: the backup has format {version}, this version reads {_VERSION}")
        if length > _FULL:
            raise self._damaged(0)
        row = self._take(length)
        self._crc = crc32(row, crc32(_CHECKED.pack(version, made, length)))
        if self._crc != crc:
            raise self._damaged(0)
        try:
            self.header = Header(made, row, unpack_meta(row))
        except (struct.error, IndexError):
            raise self._damaged(0) from None
        except OtherFormat as error:
            raise OtherFormat(f"{name}: {error}") from None
        self.size = _HEADER.size + length

    def __iter__(self) -> Iterator[list[Row]]:
        """The rows, a frame at a time. An end without BackupDamaged says that all were there."""
        while True:
            length, crc = _FRAME.unpack(self._take(_FRAME.size))
            if length > _LARGEST:
                raise self._damaged(self.size)
            body = self._take(length or _TOTAL.size)
            self._crc = crc32(body, crc32(_LENGTH.pack(length), self._crc))
            if self._crc != crc:
                raise self._damaged(self.size)
            if not length:
                break
            rows = list(self._rows(body))
            self.rows += len(rows)
            self.size += _FRAME.size + length
            yield rows
        if _TOTAL.unpack(body) != (self.rows, self.size):
            raise self._damaged(self.size)
        self.size += _FRAME.size + _TOTAL.size
        if self._ahead or any(self._chunks):
            raise BackupDamaged(f"{self._name}: damaged at offset {self.size}: more follows the end")

    def _rows(self, body: bytes) -> Iterator[Row]:
        at = 0
        while at < len(body):
            try:
                key, value = _ROW.unpack_from(body, at)
            except struct.error:
                raise self._damaged(self.size) from None
            at += _ROW.size + key + value
            if not key or at > len(body):
                raise self._damaged(self.size)
            yield body[at - value - key : at - value], body[at - value : at]

    def _take(self, count: int) -> bytes:
        while len(self._ahead) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise BackupDamaged(
                    f"{self._name}: ends at offset {self._read}, in what begins at offset {self.size}"
                )
            self._ahead += chunk
            self._read += len(chunk)
        taken = bytes(self._ahead[:count])
        del self._ahead[:count]
        return taken

    def _damaged(self, at: int) -> BackupDamaged:
        return BackupDamaged(f"{self._name}: damaged at offset {at}")
