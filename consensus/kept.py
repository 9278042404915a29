"""A small file that is on disk, whole and checked, before save() returns: for what must outlive a crash."""

from __future__ import annotations

import os
import struct
from errno import ENOSPC
from pathlib import Path
from typing import Final
from zlib import crc32

from ..storage.directories import sync_directory

_HEAD: Final = struct.Struct(">8sI")  # magic, CRC of the rest


class PromisesDamaged(Exception):
    """The file is not what was saved: this server no longer knows what it has promised."""


class NotKept(OSError):
    """Promises could not be saved: nothing may leave that relies on them."""


class Kept:
    """magic: the 8 bytes that tell what the file holds."""

    def __init__(self, path: Path, magic: bytes) -> None:
        self._path = path
        self._magic = magic

    def read(self) -> bytes | None:
        """What was saved; None if nothing was. Raises PromisesDamaged, OSError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        if len(data) < _HEAD.size or _HEAD.unpack_from(data) != (self._magic, crc32(data[_HEAD.size :])):
            raise self.damaged()
        return data[_HEAD.size :]

    def save(self, data: bytes) -> None:
        """Make it durable. Raises NotKept; then what is on disk is the one or the other."""
        try:
            self._write(_HEAD.pack(self._magic, crc32(data)) + data)
        except OSError as error:
            raise NotKept(error.errno, f"{self._path} can't be written: {error.strerror}") from error

    def damaged(self) -> PromisesDamaged:
        """What to raise where the file holds what nobody saved."""
        return PromisesDamaged(
            f"{self._path} is damaged: empty this server's directories but for myid, and the others give it "
            "their data"
        )

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
