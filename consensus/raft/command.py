"""Transactions that go through the log together, as one command of the library.

A command begins with a byte for its type, and for some types the library would load a pickle. With the first
that stands here it begins a leader's term; the second it puts into order, and does nothing with it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..contract import Record

NO_OP: Final = b"\x01"
"""The whole of the command that a leader's term begins with."""
BATCH: Final = 4
"""The first byte of transactions."""

_Batch: Final = struct.Struct(">BI")
_Segment: Final = struct.Struct(">qqqI")
_Length: Final = struct.Struct(">I")


class Malformed(ValueError):
    """These bytes are no message, or no command."""


class Segment(NamedTuple):
    """Transactions of one server, numbered one by one from first on in that run of it."""

    server: int
    run: int
    first: int
    txns: tuple[bytes, ...]


def pack(segments: Sequence[Segment]) -> bytes:
    """All of them as a command; there is at least one transaction."""
    parts = [_Batch.pack(BATCH, sum([len(segment.txns) for segment in segments]))]
    for server, run, first, txns in segments:
        parts.append(_Segment.pack(server, run, first, len(txns)))
        for txn in txns:
            parts.append(_Length.pack(len(txn)))
            parts.append(txn)
    return b"".join(parts)


def unpack(command: bytes) -> tuple[Segment, ...]:
    """What a command holds; nothing, if a term begins with it. Raises Malformed."""
    if command == NO_OP:
        return ()
    try:
        kind, count = _Batch.unpack_from(command)
        at = _Batch.size
        segments = []
        while at < len(command):
            server, run, first, size = _Segment.unpack_from(command, at)
            at += _Segment.size
            if min(server, run, first) < 0 or not 0 < size <= count:
                raise Malformed("a command's segment is wrong")
            count -= size
            txns = []
            for _ in range(size):
                end = at + _Length.size + _Length.unpack_from(command, at)[0]
                txns.append(command[at + _Length.size : end])
                at = end
            segments.append(Segment(server, run, first, tuple(txns)))
    except struct.error as error:
        raise Malformed("a command is cut short") from error
    if kind != BATCH or count or not segments or at != len(command):
        raise Malformed(f"not a command: {command[:40]!r} ({len(command)} bytes)")
    return tuple(segments)


def records_of(command: bytes, key: int) -> list[Record]:
    """The transactions of a command, whose last one has the zxid key. Raises Malformed."""
    return numbered(unpack(command), key)


def numbered(segments: Sequence[Segment], key: int) -> list[Record]:
    """Their transactions, the last of which has the zxid key."""
    txns = [txn for segment in segments for txn in segment.txns]
    return list(enumerate(txns, key - len(txns) + 1))


def last_zxid(command: bytes, term: int, before: int) -> int:
    """The zxid of a command's last transaction, if the log's end so far has the zxid before: each
    transaction's is one above the last, and a term begins with a NO_OP that has its first.
    Raises Malformed."""
    if command == NO_OP:
        zxid = term << 32
        if zxid <= before:
            raise Malformed(f"term {term} begins behind zxid {before:#x}")
        return zxid
    if len(command) < _Batch.size:
        raise Malformed("a command is cut short")
    zxid = before + int(_Batch.unpack_from(command)[1])
    if zxid >> 32 != term or before >> 32 != term:
        raise Malformed(f"transactions of term {term} behind zxid {before:#x}")
    return zxid
