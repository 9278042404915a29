"""Keeps a server's promises in a file: whole, checked, and on disk before save() returns."""

from __future__ import annotations

import os
import struct
from errno import ENOSPC
from pathlib import Path
from typing import Final
from zlib import crc32

from ...storage.directories import sync_directory
from .ready import Promises

_MAGIC: Final = b"znodezab"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">8sII16sqqI")  # magic, CRC of the rest, version, cluster, epochs, tails
_CHECKED: Final = 12
_TAIL: Final = struct.Struct(">qq")


class PromisesDamaged(Exception):
    """The file is not what was saved: this server no longer knows what it has promised."""


class NotKept(OSError):
    """Promises could not be saved: nothing may leave that relies on them."""


class Keeper:
    """promises: as they are on disk."""

    def __init__(self, path: Path) -> None:
        """Read them; a file that is not there holds none. Raises PromisesDamaged, OSError."""
        self._path = path
        self.promises = Promises()
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        try:
            magic, crc, version, cluster, accepted, current, count = _HEAD.unpack_from(data)
        except struct.error:
            raise self._damaged() from None
        tails = data[_HEAD.size :]
        whole = len(tails) == count * _TAIL.size and crc32(data[_CHECKED:]) == crc
        if magic != _MAGIC or version != _VERSION or not whole:
            raise self._damaged()
        pairs = tuple((epoch, zxid) for epoch, zxid in _TAIL.iter_unpack(tails))
        self.promises = Promises(accepted, current, pairs, cluster)

    def save(self, promises: Promises) -> None:
        """Make them durable. Raises NotKept; then what is on disk is the one or the other."""
        tails = b"".join(_TAIL.pack(*tail) for tail in promises.tails)
        counts = promises.accepted, promises.current, len(promises.tails)
        head = _HEAD.pack(_MAGIC, 0, _VERSION, promises.cluster, *counts)
        data = bytearray(head + tails)
        struct.pack_into(">I", data, len(_MAGIC), crc32(data[_CHECKED:]))
        try:
            self._write(bytes(data))
        except OSError as error:
            raise NotKept(error.errno, f"{self._path} can't be written: {error.strerror}") from error
        self.promises = promises

    def _write(self, data: bytes) -> None:
        new = self._path.with_name(self._path.name + ".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) < len(data):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            os.fsync(fd)
        finally:
            os.close(fd)
        new.rename(self._path)
        sync_directory(self._path.parent)

    def _damaged(self) -> PromisesDamaged:
        return PromisesDamaged(
            f"{self._path} is damaged: remove this server's data, and it is given those of the others"
        )
