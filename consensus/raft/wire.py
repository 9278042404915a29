"""The messages as bytes: each one CBOR array of numbers, truths and bytes, and nothing else is taken.

Any but an append begins with its kind. An append begins with its entries, the same bytes for all who are sent
them; index and order of each are told by its place. No pickle is made or read, and no command gets in for
which the library would read one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Final, TypeAlias, cast

from ...storage import cbor
from ..channel import Shared
from .command import Malformed, unpack
from .messages import (
    Append,
    AskBarrier,
    AskVote,
    Barrier,
    Canvass,
    Confirm,
    Confirmed,
    Entry,
    Forward,
    Install,
    Message,
    Next,
    Refused,
    Supported,
    TimeoutNow,
    Vote,
)

CORE: Final = 1
"""The channel's kind of them."""

_Read: TypeAlias = Callable[[object], object]

_BEYOND: Final = 1 << 63
_LAST_TERM: Final = 1 << 31
"""It is the upper half of zxids."""
_CLUSTER: Final = 16
"""Bytes of a cluster's id."""

_Entries: Final = struct.Struct(">BBI")
"""An array of 7, and of any number in its place 0."""
_Entry: Final = struct.Struct(">BBQBI")
"""An array of 2: a number, and bytes that follow."""


class Packer:
    """Messages as frames for the channel. What goes to several peers one after the other is packed once."""

    def __init__(self) -> None:
        self._span = (0, 0, 0)
        self._shared: Shared | None = None

    def pack(self, message: Message) -> tuple[Shared | None, bytes]:
        """What others are sent as well, and what follows that."""
        if not isinstance(message, Append) or not message.entries:
            return None, encode(message)
        # Between one place and an entry of some term, all who hold that entry hold the same.
        _, last, term = message.entries[-1]
        span = message.prev, last, term
        if self._shared is None or span != self._span:
            self._span, self._shared = span, Shared(CORE, _pack_entries(message.entries))
        return self._shared, _pack_own(message)


def encode(message: Message) -> bytes:
    """A message as it goes to a peer."""
    if isinstance(message, Append):
        return _pack_entries(message.entries) + _pack_own(message)
    kind, names = _PACK[type(message)]
    return cbor.encode([kind, *[getattr(message, name) for name in names]])


def decode(data: bytes) -> Message:
    """What a peer sent; raises Malformed."""
    try:
        values = cbor.decode(data)
    except ValueError as error:
        raise Malformed(f"not a message: {error}") from error
    if type(values) is not list or not values:
        raise Malformed("not a message: no array")
    if type(values[0]) is list:
        return _append(values)
    known = _UNPACK.get(values[0]) if type(values[0]) is int else None
    if known is None or len(values) != len(known[1]) + 1:
        raise Malformed(f"not a message: {len(values)} values, of no kind that there is")
    make, readers = known
    return make(*[read(value) for read, value in zip(readers, values[1:], strict=True)])


def _pack_entries(entries: Sequence[Entry]) -> bytes:
    head = _Entry.pack
    parts = [_Entries.pack(0x87, 0x9A, len(entries))]
    for command, _, term in entries:
        parts.append(head(0x82, 0x1B, term, 0x5A, len(command)))
        parts.append(command)
    return b"".join(parts)


def _pack_own(append: Append) -> bytes:
    numbers = append.term, append.round, append.commit, append.prev, append.prev_term
    # Without the head of their own array: they are the rest of another.
    return cbor.encode([*numbers, append.cluster])[1:]


def _append(values: list[object]) -> Message:
    if len(values) != 7:
        raise Malformed("not a message: an append of another length")
    term = _term(values[1])
    round_, commit, prev, prev_term = [_number(value) for value in values[2:6]]
    index, before = prev, prev_term
    entries = []
    for value in cast(list[object], values[0]):
        if type(value) is not list or len(value) != 2 or type(value[1]) is not bytes:
            raise Malformed("an entry is a term and a command")
        at, command = _number(value[0]), value[1]
        if at < before:
            raise Malformed(f"an entry of term {at} behind one of term {before}")
        unpack(command)
        before = at
        index += 1
        entries.append((command, index, at))
    if before > term or index >= _BEYOND:
        raise Malformed(f"entries up to index {index} and term {before}, in term {term}")
    return Append(term, round_, commit, prev, prev_term, tuple(entries), _cluster(values[6]))


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < _BEYOND:
        raise Malformed(f"no number: {type(value).__name__}")
    return value


def _term(value: object) -> int:
    term = _number(value)
    if term >= _LAST_TERM:
        raise Malformed(f"no term: {term}")
    return term


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise Malformed(f"neither true nor false: {type(value).__name__}")
    return value


def _cluster(value: object) -> bytes:
    if type(value) is not bytes or len(value) != _CLUSTER:
        raise Malformed(f"no cluster's id: {type(value).__name__}")
    return value


def _txns(value: object) -> tuple[bytes, ...]:
    if type(value) is not list or not value or any(type(txn) is not bytes for txn in value):
        raise Malformed("no transactions")
    return tuple(value)


_KINDS: Final[tuple[type[Message], ...]] = (
    Next,
    AskVote,
    Vote,
    TimeoutNow,
    Forward,
    Refused,
    AskBarrier,
    Barrier,
    Confirm,
    Confirmed,
    Install,
    Canvass,
    Supported,
)
"""By number, from 1 on."""
_OTHERS: Final[dict[str, _Read]] = {
    "term": _term,
    "last_term": _term,
    "entry_term": _term,
    "reset": _flag,
    "success": _flag,
    "txns": _txns,
    "cluster": _cluster,
}
"""Fields that are more than a number, or none."""
_NAMES: Final = {one: tuple(field.name for field in fields(one)) for one in _KINDS}
_PACK: Final = {one: (kind, _NAMES[one]) for kind, one in enumerate(_KINDS, 1)}
_UNPACK: Final[dict[int, tuple[Callable[..., Message], tuple[_Read, ...]]]] = {
    kind: (one, tuple(_OTHERS.get(name, _number) for name in _NAMES[one]))
    for kind, one in enumerate(_KINDS, 1)
}
