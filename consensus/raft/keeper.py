"""Keeps what a server must know after a crash besides its log: its term and vote, and where logs begin."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..identity import NO_CLUSTER
from ..kept import Kept

_MAGIC: Final = b"znoderft"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">I16sQqI")  # version, cluster, term, vote, bases
_BASE: Final = struct.Struct(">QQQQ")
_NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Base:
    """Where a log began anew: behind the entry of that index, term and key (journal.py), with the state as of
    zxid, which may hold a part of the entry that follows."""

    zxid: int
    key: int
    index: int
    term: int


@dataclass(frozen=True, slots=True)
class Promises:
    """bases: the last one, and the one before, for the log may not have begun there yet. cluster: whose data
    these are; a server without data makes one up, and takes that of its first leader."""

    term: int = 0
    vote: int | None = None
    bases: tuple[Base, ...] = ()
    cluster: bytes = NO_CLUSTER


class Keeper:
    """promises: as they are on disk. fresh: nothing was ever promised."""

    def __init__(self, path: Path) -> None:
        """Read them; a file that is not there holds none. Raises PromisesDamaged, OSError."""
        self._kept = Kept(path, _MAGIC)
        self.promises = Promises()
        data = self._kept.read()
        self.fresh = data is None
        if data is None:
            return
        try:
            version, cluster, term, vote, count = _HEAD.unpack_from(data)
        except struct.error:
            raise self._kept.damaged() from None
        bases = data[_HEAD.size :]
        if version != _VERSION or len(bases) != count * _BASE.size:
            raise self._kept.damaged()
        pairs = tuple(Base(*base) for base in _BASE.iter_unpack(bases))
        self.promises = Promises(term, None if vote == _NOBODY else vote, pairs, cluster)

    def save(self, promises: Promises) -> None:
        """Make them durable. Raises NotKept; then what is on disk is the one or the other."""
        bases = b"".join(_BASE.pack(base.zxid, base.key, base.index, base.term) for base in promises.bases)
        vote = _NOBODY if promises.vote is None else promises.vote
        head = _HEAD.pack(_VERSION, promises.cluster, promises.term, vote, len(promises.bases))
        self._kept.save(head + bases)
        self.promises = promises

    def begin(self, base: Base) -> None:
        """The log is to begin there. Raises NotKept."""
        bases = (*[known for known in self.promises.bases if known.key != base.key], base)
        self.save(replace(self.promises, bases=bases[-2:]))
