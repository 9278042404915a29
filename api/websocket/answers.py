"""Answers and events as the WebSocket's CBOR, from those on ZooKeeper's wire (docs/websocket.md).

Written here and not by cbor2: jute and CBOR both put big-endian lengths and numbers before bytes, so that
most of an answer is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from ...storage import ops
from ...storage.errors import Code
from ...storage.jute import INT, Reader, pack_buffer
from ...storage.session import Session
from ...storage.znode import STAT, STAT_NAMES
from ..connection import EVENTS
from .messages import op_of, xid_of

ERRORS: Final[dict[int, str]] = {
    Code.SYSTEMERROR: "SystemError",
    Code.RUNTIMEINCONSISTENCY: "RuntimeInconsistency",
    Code.DATAINCONSISTENCY: "DataInconsistency",
    Code.CONNECTIONLOSS: "ConnectionLoss",
    Code.MARSHALLINGERROR: "MarshallingError",
    Code.UNIMPLEMENTED: "Unimplemented",
    Code.OPERATIONTIMEOUT: "OperationTimeout",
    Code.BADARGUMENTS: "BadArguments",
    Code.UNKNOWNSESSION: "UnknownSession",
    Code.NEWCONFIGNOQUORUM: "NewConfigNoQuorum",
    Code.RECONFIGINPROGRESS: "ReconfigInProgress",
    Code.APIERROR: "APIError",
    Code.NONODE: "NoNode",
    Code.NOAUTH: "NoAuth",
    Code.BADVERSION: "BadVersion",
    Code.NOCHILDRENFOREPHEMERALS: "NoChildrenForEphemerals",
    Code.NODEEXISTS: "NodeExists",
    Code.NOTEMPTY: "NotEmpty",
    Code.SESSIONEXPIRED: "SessionExpired",
    Code.INVALIDCALLBACK: "InvalidCallback",
    Code.INVALIDACL: "InvalidACL",
    Code.AUTHFAILED: "AuthFailed",
    Code.SESSIONMOVED: "SessionMoved",
    Code.NOTREADONLY: "NotReadOnly",
    Code.EPHEMERALONLOCALSESSION: "EphemeralOnLocalSession",
    Code.NOWATCHER: "NoWatcher",
    Code.REQUESTTIMEOUT: "RequestTimeout",
    Code.RECONFIGDISABLED: "ReconfigDisabled",
    Code.SESSIONCLOSEDREQUIRESASLAUTH: "SessionClosedRequireSaslAuth",
    Code.QUOTAEXCEEDED: "QuotaExceeded",
    Code.THROTTLEDOP: "ThrottledOp",
}
"""The names that go with the codes (KeeperException.getCodeMessage)."""


def _name(name: str) -> bytes:
    """A short text that is known beforehand."""
    return bytes((0x60 | len(name),)) + name.encode()


_HEAD: Final = struct.Struct(">BBIBq").pack
_EVENT_HEAD: Final = struct.Struct(">BBBq").pack
_NUMBER: Final = struct.Struct(">Bq").pack
_NOTHING: Final = b"\xa0"
_BYTES: Final = b"\x5a"
_TEXT: Final = b"\x7a"
_ARRAY: Final = b"\x9a"
"""What stands before a length of 4 bytes, or a count."""
_NULL: Final = b"\xf6"
_SIZES: Final = (8, 8, 8, 8, 4, 4, 4, 8, 4, 4, 8)
_SIGNS: Final = int.from_bytes(b"".join((1 << 8 * size - 1).to_bytes(size) for size in _SIZES))
"""The bits of a Stat that make a number negative: of session ids that a server above 127 gave out."""
_STAT_PARTS: Final = struct.Struct("".join(f"{size}s" for size in _SIZES)).unpack
_STAT: Final = b"\xab" + b"".join(
    _name(name) + (b"\x1b%b" if size == 8 else b"\x1a%b")
    for name, size in zip(STAT_NAMES, _SIZES, strict=True)
)
_KINDS: Final = {kind: _name(name) for kind, name in EVENTS.items()}


def answer(number: int, zxid: int, error: int, body: bytes) -> bytes:
    """What became of a request: [xid, zxid, 0, result] or [xid, zxid, code, name]."""
    head = _HEAD(0x84, 0x1A, xid_of(number), 0x1B, zxid)
    if error:
        return head + _failure(error)
    result = _RESULTS.get(op_of(number))
    return head + b"\0" + (_NOTHING if result is None else result(Reader(body)))


def connected(number: int, session: Session) -> bytes:
    """The answer to connect."""
    return (
        _HEAD(0x84, 0x1A, xid_of(number), 0x1B, 0)
        + b"\0\xa3"
        + (_name("session") + _number(session.id))
        + (_name("timeout") + _number(session.timeout))
        + (_name("password") + _BYTES + pack_buffer(session.password))
    )


def event(kind: int, path: bytes, zxid: int) -> bytes:
    """What a watch tells: [null, zxid, kind, path], zxid 0 if that is not known."""
    return _EVENT_HEAD(0x84, 0xF6, 0x1B, max(zxid, 0)) + _KINDS[kind] + _TEXT + pack_buffer(path)


def array_head(count: int) -> bytes:
    """What stands before that many answers and events to make them one message."""
    return bytes((0x80 | count,)) if count < 24 else _ARRAY + INT.pack(count)


_Render: TypeAlias = Callable[[Reader], bytes]
"""Takes a value off an answer's body, and gives it in CBOR."""


def _number(value: int) -> bytes:
    return _NUMBER(0x1B, value) if value >= 0 else _NUMBER(0x3B, ~value)


def _failure(code: int) -> bytes:
    return _number(code) + _TEXT + pack_buffer(ERRORS[code].encode())


def _stat(reader: Reader) -> bytes:
    wire = reader.take(STAT.size)
    if int.from_bytes(wire) & _SIGNS:
        fields = zip(STAT_NAMES, STAT.unpack(wire), strict=True)
        return b"\xab" + b"".join(_name(name) + _number(value) for name, value in fields)
    return _STAT % _STAT_PARTS(wire)


def _data(reader: Reader) -> bytes:
    data = reader.buffer()
    return _NULL if data is None else _BYTES + INT.pack(len(data)) + data


def _text(reader: Reader) -> bytes:
    return _TEXT + pack_buffer(reader.text())


def _count(reader: Reader) -> bytes:
    return _number(reader.int32())


def _array(item: _Render) -> _Render:
    def render(reader: Reader) -> bytes:
        items = reader.vector(lambda: item(reader))
        return _ARRAY + INT.pack(len(items)) + b"".join(items)

    return render


def _map(**fields: _Render) -> _Render:
    parts = [(_name(name), field) for name, field in fields.items()]
    head = bytes((0xA0 | len(parts),))

    def render(reader: Reader) -> bytes:
        return head + b"".join([name + field(reader) for name, field in parts])

    return render


def _parts(reader: Reader) -> bytes:
    results: list[bytes] = []
    while True:
        op, done, _ = reader.int32(), reader.flag(), reader.int32()
        if done:
            return _ARRAY + INT.pack(len(results)) + b"".join(results)
        if op != ops.ERROR:
            result = _RESULTS.get(op)
            results.append(b"\x82\0" + (_NOTHING if result is None else result(reader)))
        elif code := reader.int32():
            results.append(b"\x82" + _failure(code))
        else:  # nothing was wrong with it, but with another
            results.append(b"\x82\0" + _NULL)


_STAT_ONLY: Final = _map(stat=_stat)
_PATH_AND_STAT: Final = _map(path=_text, stat=_stat)
_DATA_AND_STAT: Final = _map(data=_data, stat=_stat)
_RESULTS: Final[dict[int, _Render]] = {
    ops.CREATE2: _PATH_AND_STAT,
    ops.CREATE_CONTAINER: _PATH_AND_STAT,
    ops.CREATE_TTL: _PATH_AND_STAT,
    ops.EXISTS: _STAT_ONLY,
    ops.SET_DATA: _STAT_ONLY,
    ops.SET_ACL: _STAT_ONLY,
    ops.GET_DATA: _DATA_AND_STAT,
    ops.RECONFIG: _DATA_AND_STAT,
    ops.GET_CHILDREN: _map(children=_array(_text)),
    ops.GET_CHILDREN2: _map(children=_array(_text), stat=_stat),
    ops.GET_ACL: _map(acl=_array(_map(perms=_count, scheme=_text, id=_text)), stat=_stat),
    ops.SYNC: _map(path=_text),
    ops.MULTI: _map(results=_parts),
    ops.MULTI_READ: _map(results=_parts),
    ops.GET_EPHEMERALS: _map(paths=_array(_text)),
    ops.GET_ALL_CHILDREN_NUMBER: _map(number=_count),
    ops.WHO_AM_I: _map(identities=_array(_map(scheme=_text, id=_text))),
}
"""What is not here has nothing to tell but that it went well."""
