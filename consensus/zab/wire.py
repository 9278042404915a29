"""The messages as bytes: a byte for the kind, then what it holds; numbers are 8 bytes, the highest first."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import chain
from typing import Final, cast

from .messages import (
    Ack,
    AckEpoch,
    AckNewLeader,
    AskBarrier,
    Barrier,
    Diff,
    Forward,
    LeaderInfo,
    LearnerInfo,
    Message,
    NewLeader,
    Notification,
    Ping,
    Pong,
    Propose,
    Record,
    Snapshot,
    Tail,
    UpToDate,
    Vote,
)

_NUMBERS: Final = (
    (2, LearnerInfo),
    (3, LeaderInfo),
    (7, NewLeader),
    (8, AckNewLeader),
    (9, UpToDate),
    (11, Ack),
    (12, Ping),
    (13, Pong),
    (15, AskBarrier),
    (16, Barrier),
)
"""Kinds that hold nothing but numbers."""
_NOTIFICATION: Final = 1
_ACK_EPOCH: Final = 4
_DIFF: Final = 5
_SNAPSHOT: Final = 6
_PROPOSE: Final = 10
_FORWARD: Final = 14

_Vote: Final = struct.Struct(">Bqqqq??")
_AckEpoch: Final = struct.Struct(">Bqq?qq16s")
_Diff: Final = struct.Struct(">Bqq16s")
_Snapshot: Final = struct.Struct(">Bqq")
_Propose: Final = struct.Struct(">BqqqI")
_Forward: Final = struct.Struct(">Bqq")
_Pair: Final = struct.Struct(">qq")
_Record: Final = struct.Struct(">qI")
_Length: Final = struct.Struct(">I")


class Malformed(ValueError):
    """These bytes are no message."""


def encode(message: Message) -> bytes:
    """A message as it goes to a peer."""
    match message:
        case Propose():
            head = _Propose.pack(_PROPOSE, message.link, message.after, message.commit, len(message.own))
            own = [_Pair.pack(*pair) for pair in message.own]
            return b"".join((head, *own, pack_records(message.records)))
        case Forward():
            head = _Forward.pack(_FORWARD, message.link, message.first)
            return b"".join((head, *chain(*((_Length.pack(len(txn)), txn) for txn in message.txns))))
        case Notification():
            vote = message.vote
            return _Vote.pack(_NOTIFICATION, message.round, *vote, message.active, message.leading)
        case AckEpoch():
            head = _AckEpoch.pack(
                _ACK_EPOCH,
                message.link,
                message.epoch,
                message.counts,
                message.current,
                message.last,
                message.cluster,
            )
            return head + _pack_tails(message.tails)
        case Diff():
            return _Diff.pack(_DIFF, message.link, message.after, message.cluster)
        case Snapshot():
            return _Snapshot.pack(_SNAPSHOT, message.link, message.zxid) + _pack_tails(message.tails)
        case _:
            kind, pack, names = _PACK[type(message)]
            return pack(kind, *(getattr(message, name) for name in names))


def decode(data: bytes) -> Message:
    """What a peer sent; raises Malformed."""
    try:
        kind = data[0]
        known = _UNPACK.get(kind)
        if known is None:
            return _SPECIAL[kind](data)
        make, unpack = known
        return make(*unpack(data)[1:])
    except (KeyError, IndexError, struct.error) as error:
        raise Malformed(f"not a message: {data[:40]!r} ({len(data)} bytes)") from error


def pack_records(records: Sequence[Record]) -> bytes:
    """Records one after the other."""
    pack = _Record.pack
    return b"".join([part for zxid, txn in records for part in (pack(zxid, len(txn)), txn)])


def unpack_records(data: bytes, at: int = 0) -> tuple[Record, ...]:
    """All records from there on; raises Malformed."""
    records = []
    end = len(data)
    while at < end:
        zxid, size = _Record.unpack_from(data, at)
        at += _Record.size + size
        records.append((zxid, data[at - size : at]))
    if at != end:
        raise Malformed("a record is cut short")
    return tuple(records)


def _propose(data: bytes) -> Message:
    _, link, after, commit, count = _Propose.unpack_from(data)
    at = _Propose.size + count * _Pair.size
    own = tuple(_Pair.iter_unpack(data[_Propose.size : at])) if count else ()
    if len(own) != count:
        raise Malformed("numbers are cut short")
    return Propose(link, after, unpack_records(data, at), commit, own)


def _forward(data: bytes) -> Message:
    _, link, first = _Forward.unpack_from(data)
    txns = []
    at = _Forward.size
    while at < len(data):
        size = _Length.unpack_from(data, at)[0]
        at += _Length.size + size
        txns.append(data[at - size : at])
    if at != len(data):
        raise Malformed("a transaction is cut short")
    return Forward(link, first, tuple(txns))


def _notification(data: bytes) -> Message:
    _, round_, epoch, zxid, leader, active, leading = _Vote.unpack(data)
    return Notification(round_, Vote(epoch, zxid, leader), active, leading)


def _ack_epoch(data: bytes) -> Message:
    _, link, epoch, counts, current, last, cluster = _AckEpoch.unpack_from(data)
    return AckEpoch(link, epoch, counts, current, last, _unpack_tails(data[_AckEpoch.size :]), cluster)


def _diff(data: bytes) -> Message:
    _, link, after, cluster = _Diff.unpack(data)
    return Diff(link, after, cluster)


def _snapshot(data: bytes) -> Message:
    _, link, zxid = _Snapshot.unpack_from(data)
    return Snapshot(link, zxid, _unpack_tails(data[_Snapshot.size :]))


def _pack_tails(tails: Sequence[Tail]) -> bytes:
    return b"".join(_Pair.pack(*tail) for tail in tails)


def _unpack_tails(data: bytes) -> tuple[Tail, ...]:
    return tuple(cast(Tail, tail) for tail in _Pair.iter_unpack(data))


_SPECIAL: Final[dict[int, Callable[[bytes], Message]]] = {
    _NOTIFICATION: _notification,
    _ACK_EPOCH: _ack_epoch,
    _DIFF: _diff,
    _SNAPSHOT: _snapshot,
    _PROPOSE: _propose,
    _FORWARD: _forward,
}
_PACK: Final = {
    one: (kind, struct.Struct(f">B{len(fields(one))}q").pack, tuple(field.name for field in fields(one)))
    for kind, one in _NUMBERS
}
_UNPACK: Final[dict[int, tuple[Callable[..., Message], Callable[[bytes], tuple[int, ...]]]]] = {
    kind: (one, struct.Struct(f">B{len(fields(one))}q").unpack) for kind, one in _NUMBERS
}
