"""Keeps a server's promises in a file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from ..kept import Kept
from .ready import Promises

_MAGIC: Final = b"znodezab"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">I16sqqI")  # version, cluster, epochs, tails
_TAIL: Final = struct.Struct(">qq")


class Keeper:
    """promises: as they are on disk."""

    def __init__(self, path: Path) -> None:
        """Read them; a file that is not there holds none. Raises PromisesDamaged, OSError."""
        self._kept = Kept(path, _MAGIC)
        self.promises = Promises()
        data = self._kept.read()
        if data is None:
            return
        try:
            version, cluster, accepted, current, count = _HEAD.unpack_from(data)
        except struct.error:
            raise self._kept.damaged() from None
        tails = data[_HEAD.size :]
        if version != _VERSION or len(tails) != count * _TAIL.size:
            raise self._kept.damaged()
        pairs = tuple((epoch, zxid) for epoch, zxid in _TAIL.iter_unpack(tails))
        self.promises = Promises(accepted, current, pairs, cluster)

    def save(self, promises: Promises) -> None:
        """Make them durable. Raises NotKept; then what is on disk is the one or the other."""
        tails = b"".join(_TAIL.pack(*tail) for tail in promises.tails)
        counts = promises.accepted, promises.current, len(promises.tails)
        self._kept.save(_HEAD.pack(_VERSION, promises.cluster, *counts) + tails)
        self.promises = promises
