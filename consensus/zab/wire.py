"""The messages as bytes: a byte for the kind, then what it holds; numbers are 8 bytes, the highest first.

A proposal has its records first, and what is told to one learner alone behind them: so the records of a batch
are the same bytes for all, and are packed once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import chain
from typing import Final, cast

from ..channel import Shared
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

CORE: Final = 1
"""The channel's kind of them."""

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
_KIND: Final = bytes((_PROPOSE,))

_Vote: Final = struct.Struct(">Bqqqq??")
_AckEpoch: Final = struct.Struct(">Bqq?qq16s")
_Diff: Final = struct.Struct(">Bqq16s")
_Snapshot: Final = struct.Struct(">Bqq")
_Propose: Final = struct.Struct(">qqqI")
_Forward: Final = struct.Struct(">Bqq")
_Pair: Final = struct.Struct(">qq")
_Record: Final = struct.Struct(">qI")
_Length: Final = struct.Struct(">I")


class Malformed(ValueError):
    """These bytes are no message."""


def encode_all(messages: Sequence[tuple[int, Message]]) -> list[tuple[int, Shared | None, bytes]]:
    """(peer, message) as they go to the peers: (peer, what others are sent as well, what follows that)."""
    batches: dict[tuple[int, int], Shared] = {}
    encoded: list[tuple[int, Shared | None, bytes]] = []
    for peer, message in messages:
        if isinstance(message, Propose) and message.records:
            # Of what lies between two zxids, all who hold it hold the same.
            span = message.after, message.records[-1][0]
            batch = batches.get(span)
            if batch is None:
                batch = batches[span] = Shared(CORE, _pack_records(message.records))
            encoded.append((peer, batch, _pack_own(message)))
        else:
            encoded.append((peer, None, encode(message)))
    return encoded


def encode(message: Message) -> bytes:
    """A message as it goes to a peer."""
    match message:
        case Propose():
            return _pack_records(message.records) + _pack_own(message)
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


def _pack_records(records: Sequence[Record]) -> bytes:
    head = _Record.pack
    return b"".join([_KIND, *[part for zxid, txn in records for part in (head(zxid, len(txn)), txn)]])


def _pack_own(proposal: Propose) -> bytes:
    numbers = [_Pair.pack(*pair) for pair in proposal.own]
    return b"".join((*numbers, _Propose.pack(proposal.link, proposal.after, proposal.commit, len(numbers))))


def _unpack_records(data: bytes, at: int, end: int) -> tuple[Record, ...]:
    records = []
    while at < end:
        zxid, size = _Record.unpack_from(data, at)
        at += _Record.size + size
        records.append((zxid, data[at - size : at]))
    if at != end:
        raise Malformed("a record is cut short")
    return tuple(records)


def _propose(data: bytes) -> Message:
    end = len(data) - _Propose.size
    if end < 1:
        raise Malformed("a proposal is cut short")
    link, after, commit, count = _Propose.unpack_from(data, end)
    at = end - count * _Pair.size
    if at < 1:
        raise Malformed("numbers are cut short")
    own = tuple(_Pair.iter_unpack(data[at:end])) if count else ()
    return Propose(link, after, _unpack_records(data, 1, at), commit, own)


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
