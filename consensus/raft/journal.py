"""The log as Raft's library sees it: by positions; what is of late in memory, what is older read from disk.

An entry is a record of the log. Its key there is the zxid of its last transaction, the record holds index and
command, and the term is the key's upper half: zxids rise from entry to entry, and are told by the place in
the log, never by a peer. The entry where the log begins is held by nobody; its place is all that is known.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, overload

from ...storage.log import Log, LogGap
from .command import NO_OP, Segment, last_zxid, pack
from .keeper import Base, Keeper
from .messages import Entry

_Index: Final = struct.Struct(">Q")
_COUNTER: Final = (1 << 32) - 1
_AHEAD: Final = 2
"""So much is the index ahead of the zxid where not Raft has ordered: an empty log ends with index 1."""
_KEPT: Final = 8 << 20
_PIECE: Final = 256 << 10
"""So large a message may become."""
_PIECES: Final = 8
"""That were read from disk last."""

Added: TypeAlias = Callable[[bytes, int], None]
"""Hears of every entry that comes: its command and its key."""


@dataclass(frozen=True, slots=True)
class Place:
    """An entry's."""

    index: int
    term: int
    key: int


class Journal:
    """Implements hooks.Journal. base: where the log begins; last: its end; durable: the last index that is
    on disk. kept: bytes of entries that stay in memory, though they are on disk and delivered. piece: bytes
    that a slice has, more or less."""

    def __init__(
        self, txn_log: Log, keeper: Keeper, applied: int, added: Added, *, restoring: bool = False
    ) -> None:
        """applied: zxid of the state. restoring: a snapshot was taking the place of state and log. Raises
        LogGap, where the two don't meet: nobody knows what else is missing; LogDamaged, NotKept, OSError."""
        self._log = txn_log
        self._keeper = keeper
        self._added = added
        self.kept = _KEPT
        self.piece = _PIECE
        self._pieces: deque[list[Entry]] = deque(maxlen=_PIECES)
        self._readers: dict[int, Iterator[tuple[int, bytes]]] = {}
        """By the index of the entry that each reads next."""
        self._entries: list[Entry] = []
        self._keys: list[int] = []
        self._size = 0
        """Bytes of them."""
        if restoring:
            self._agree_with_state(applied)
        self.base = self.last = self._before = self._begins()
        """The last is the one before those in memory."""
        self.durable = self.base.index
        # A base may be where a term begins, which no state tells; or the state has a part of what comes next.
        states = [base.zxid for base in keeper.promises.bases if base.key == self.base.key]
        if applied < min([self.base.key, *states]):
            raise LogGap(f"the log begins after zxid {self.base.key:#x}, the state is that of {applied:#x}")
        self._load(self._on_disk(applied))
        if applied > max([self.last.key, *states]):
            raise LogGap(f"the log ends with zxid {self.last.key:#x}, not {applied:#x}")

    # the library's side

    @property
    def term(self) -> int:
        """The current term, on disk."""
        return self._keeper.promises.term

    @property
    def vote(self) -> int | None:
        """To whom it went."""
        return self._keeper.promises.vote

    def promise(self, term: int, vote: int | None) -> None:
        """A term and a vote, on disk when this returns. Raises NotKept."""
        self._keeper.save(replace(self._keeper.promises, term=term, vote=vote))

    def __len__(self) -> int:
        return self.last.index - self.base.index + 1

    @overload
    def __getitem__(self, position: int) -> Entry: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Entry]: ...
    def __getitem__(self, position: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(position, int):
            if position == -1:
                # Where the log ends is asked for at every tick, and no more than that.
                return self._entries[-1] if self._entries else (NO_OP, self.last.index, self.last.term)
            return self._entry(self.base.index + position)
        first = self.base.index + position.start
        beyond = self.last.index + 1
        if position.stop is not None:
            beyond = min(beyond, self.base.index + position.stop)
        if beyond - first == 1:
            return [self._entry(first)]
        if first >= beyond:
            return []
        if first == self.base.index:
            return [self._entry(first), *self._some(first + 1, beyond)]
        return self._some(first, beyond)

    def add(self, command: bytes, index: int, term: int) -> None:
        """The next entry; one that is there already is passed over. Raises Malformed."""
        if index <= self.last.index:
            return
        assert index == self.last.index + 1, f"entry {index} behind {self.last.index}"
        key = last_zxid(command, term, self.last.key)
        self._log.append(key, _Index.pack(index) + command)
        self._entries.append((command, index, term))
        self._keys.append(key)
        self._size += len(command)
        self.last = Place(index, term, key)
        self._added(command, key)

    # ours

    @property
    def fresh(self) -> bool:
        """Whether nothing that anybody proposed was ever here: only beginnings of terms."""
        return self._before.key == 0 and not any(key & _COUNTER for key in self._keys)

    def term_at(self, index: int) -> int | None:
        """Of the entry there; None, if the log does not hold one."""
        if index == self._before.index:
            return self._before.term
        if self.base.index <= index <= self.last.index:
            return self._entry(index)[2]
        return None

    def key_at(self, index: int) -> int:
        """Of an entry that is not delivered yet, or the last that is."""
        at = index - self._before.index
        return self._keys[at - 1] if at > 0 else self._before.key

    def count_beyond(self, index: int) -> int:
        """So many transactions follow that entry; those of earlier terms are not counted, nor those that are
        no longer in memory."""
        key, last = self.key_at(index), self.last.key
        return last - key if key >> 32 == last >> 32 else last & _COUNTER

    def place(self, zxid: int) -> Place:
        """Of the last entry that ends at zxid or before it. Raises LogGap, LogDamaged, OSError."""
        if zxid < self._before.key:
            return self._on_disk(zxid)
        at = bisect_right(self._keys, zxid)
        if at == 0:
            return self._before
        _, index, term = self._entries[at - 1]
        return Place(index, term, self._keys[at - 1])

    def first_of(self, term: int) -> int:
        """The index of the first entry of that term among those in memory, or beyond them."""
        return self._before.index + bisect_right(self._keys, (term << 32) - 1) + 1

    def beyond(self, index: int) -> list[tuple[bytes, int]]:
        """Commands and keys of what follows an index that is delivered."""
        at = index - self._before.index
        return [(entry[0], key) for entry, key in zip(self._entries[at:], self._keys[at:], strict=True)]

    def synced(self) -> None:
        """The log may have more on disk."""
        self.durable = self._before.index + bisect_right(self._keys, self._log.durable_zxid)

    def truncate(self, after: int) -> None:
        """What lies beyond that index is off the log; nothing that is delivered does."""
        self._pieces.clear()
        self._readers.clear()
        at = after - self._before.index
        self._size -= sum([len(entry[0]) for entry in self._entries[at:]])
        del self._entries[at:], self._keys[at:]
        self._end()

    def forget(self, delivered: int) -> None:
        """Let go of what is delivered and on disk, once it is much."""
        if self._size <= self.kept:
            return
        count = excess = 0
        for command, index, _ in self._entries:
            if index > delivered or self._size - excess <= self.kept // 2:
                break
            excess += len(command)
            count += 1
        self._drop(count)

    def begin_at(self, zxid: int) -> None:
        """What lies before may go, for all that this server's peers need of it; all of it is delivered."""
        if self.base.key < zxid:
            self.base = self.place(zxid)
            self._drop(self.base.index - self._before.index)

    def begin(self, base: Base) -> None:
        """The log is empty, and goes on there."""
        self.base = Place(base.index, base.term, base.key)
        self._pieces.clear()
        self._readers.clear()
        self._load(self.base)

    # inside

    def _drop(self, count: int) -> None:
        """The first of those in memory."""
        if count > 0:
            _, index, term = self._entries[count - 1]
            self._before = Place(index, term, self._keys[count - 1])
            self._size -= sum([len(command) for command, _, _ in self._entries[:count]])
            del self._entries[:count], self._keys[:count]

    def _agree_with_state(self, applied: int) -> None:
        """A crash may have come before the log began behind the snapshot."""
        for base in self._keeper.promises.bases[-1:]:
            if base.zxid == applied and self._log.first_zxid - 1 != base.key:
                self._log.restart(base.key)

    def _begins(self) -> Place:
        key = self._log.first_zxid - 1
        record = next(self._log.read(key), None)
        if record is not None:
            return Place(_index(record[1]) - 1, key >> 32, key)
        for base in self._keeper.promises.bases:
            if base.key == key:
                return Place(base.index, base.term, key)
        if key == 0:
            return Place(1, 0, 0)
        if not self._keeper.fresh:
            raise LogGap(f"the log is to begin after zxid {key:#x}, and nobody knows which entry that is")
        # Data from elsewhere, which others may have been given, too: all come to the same place.
        base = base_at(key, key)
        self._keeper.begin(base)
        return Place(base.index, base.term, key)

    def _load(self, before: Place) -> None:
        self._before = before
        self._entries.clear()
        self._keys.clear()
        self._size = 0
        for key, payload in self._log.read(before.key):
            self._entries.append((command_of(payload), _index(payload), key >> 32))
            self._keys.append(key)
            self._size += len(payload)
        self._end()

    def _end(self) -> None:
        self.last = self._before
        if self._entries:
            _, index, term = self._entries[-1]
            self.last = Place(index, term, self._keys[-1])
        self.synced()

    def _entry(self, index: int) -> Entry:
        at = index - self._before.index
        if at > 0:
            return self._entries[at - 1]
        if index == self.base.index:
            return NO_OP, index, self.base.term
        return self._read(index)[0]

    def _some(self, first: int, beyond: int) -> Sequence[Entry]:
        at = first - self._before.index
        if at <= 0:
            return self._read(first)[: beyond - first]
        size = 0
        for end in range(at - 1, beyond - self._before.index - 1):
            size += len(self._entries[end][0])
            if size >= self.piece and end >= at:
                return self._entries[at - 1 : end + 1]
        return self._entries[at - 1 : beyond - self._before.index - 1]

    def _read(self, index: int) -> list[Entry]:
        """What is no longer in memory, from there on."""
        for piece in self._pieces:
            if piece[0][1] <= index <= piece[-1][1]:
                return piece[index - piece[0][1] :]
        reader = self._readers.pop(index, None)
        piece = [] if reader is None else _piece(reader, index, self.piece)
        if reader is None or not piece:
            starts = [max(start - 1, self.base.key) for start in self._log.starts]
            reader = self._log.read(max(key for key in starts if self._index_behind(key) <= index))
            piece = _piece(reader, index, self.piece)
        if len(self._readers) >= _PIECES:
            self._readers.clear()
        self._readers[piece[-1][1] + 1] = reader
        self._pieces.append(piece)
        return piece

    def _index_behind(self, key: int) -> int:
        """Of the first entry behind that key."""
        record = next(self._log.read(key), None)
        return self.last.index + 1 if record is None else _index(record[1])

    def _on_disk(self, zxid: int) -> Place:
        """As place(), of what is on disk."""
        zxid = min(zxid, self._log.durable_zxid)
        if zxid <= self.base.key:
            return self.base
        if zxid + 1 in self._log.starts and zxid < self._log.durable_zxid:
            # Not read from the segment's other end.
            return Place(self._index_behind(zxid) - 1, zxid >> 32, zxid)
        key, payload = next(self._log.read(zxid - 1))
        if key == zxid:
            return Place(_index(payload), key >> 32, key)
        # In the middle of an entry: the one before it.
        start = max([start - 1 for start in self._log.starts if start <= zxid], default=0)
        start = max(start, self.base.key)
        found = Place(_index(payload) - 1, start >> 32, start)
        for key, payload in self._log.read(start):
            if key > zxid:
                break
            found = Place(_index(payload), key >> 32, key)
        return found


def base_at(key: int, zxid: int) -> Base:
    """Where a log begins behind data that Raft has not ordered: wherever that is done, at the same place."""
    return Base(zxid, key, key + _AHEAD, key >> 32)


def record_at(zxid: int, txn: bytes) -> tuple[int, bytes]:
    """A record of the log, for a transaction that Raft has not ordered: an entry of its own, by nobody."""
    return zxid, _Index.pack(zxid + _AHEAD) + pack([Segment(0, 0, 0, (txn,))])


def _piece(records: Iterator[tuple[int, bytes]], index: int, enough: int) -> list[Entry]:
    """The next entries of these, from index on, until their bytes are enough."""
    piece: list[Entry] = []
    size = 0
    for key, payload in records:
        at = _index(payload)
        if at >= index:
            piece.append((command_of(payload), at, key >> 32))
            size += len(payload)
            if size >= enough:
                break
    return piece


def command_of(payload: bytes) -> bytes:
    """What a record of the log holds besides its index."""
    return payload[_Index.size :]


def _index(payload: bytes) -> int:
    return int(_Index.unpack_from(payload)[0])
