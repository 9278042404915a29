"""The WebSocket's vocabulary: requests in CBOR to requests as on ZooKeeper's wire, answers and events back.

docs/websocket.md is its description. What comes in is decoded by cbor2 and believed in nothing; what goes
out is written here: jute and CBOR both put big-endian lengths and numbers before bytes, so that most of an
answer is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Final, NamedTuple, NoReturn, TypeAlias

from cbor2 import CBORDecodeError, CBORDecoder

from ..storage import acl as acls
from ..storage import ops
from ..storage.errors import Code
from ..storage.jute import INT, LONG, Malformed, Reader, pack_buffer, pack_texts
from ..storage.session import Session
from ..storage.znode import STAT

MOST: Final = 1000
"""Requests in one message."""
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
EVENTS: Final = {1: "created", 2: "deleted", 3: "changed", 4: "children"}
"""What happened to a watched znode (Watcher.Event.EventType)."""
WATCHES: Final = {"children": 1, "data": 2, "any": 3, "persistent": 4, "recursive": 5}
"""The kinds of watches that can be looked for and removed (Watcher.WatcherType)."""
STAT_FIELDS: Final = (
    "czxid",
    "mzxid",
    "ctime",
    "mtime",
    "version",
    "cversion",
    "aversion",
    "ephemeralOwner",
    "dataLength",
    "numChildren",
    "pzxid",
)

_DEPTH: Final = 8
"""How deep the deepest goes: an ACL's entry in a create in a multi."""
_MISSING: Final = object()
_OPEN: Final = acls.encode([acls.Acl(acls.ALL, "world", "anyone")])
_PART: Final = struct.Struct(">iBi")
_END: Final = _PART.pack(-1, 1, -1)
_OP_BITS: Final = 7
_LOWEST_OP: Final = -16


class Request(NamedTuple):
    """A request as the server core takes it; number holds the xid and which kind of answer it wants."""

    number: int
    op: int
    body: bytes


def xid_of(number: int) -> int:
    """As the client gave it."""
    return number >> _OP_BITS


# what comes in


def _refuse(value: object, immutable: bool = False) -> NoReturn:
    raise ValueError("tags have no meaning here")


class _NoTags(Mapping[int, Callable[[object, bool], object]]):
    """For every tag a decoder that refuses it: cbor2 would make dates, patterns and MIME messages."""

    def __getitem__(self, tag: int) -> Callable[[object, bool], object]:
        return _refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_NO_TAGS: Final = _NoTags()


def decode(message: bytes) -> list[Request]:
    """The requests of a message; Malformed, with a word to who wrote it, if it is not as it should be."""
    stream = BytesIO(message)
    try:
        requests = CBORDecoder(stream, max_depth=_DEPTH, semantic_decoders=_NO_TAGS).decode()
    except CBORDecodeError as error:
        raise Malformed(f"no CBOR that is taken here: {error}") from error
    if stream.tell() != len(message):
        raise Malformed("bytes after the end of the message's array")
    if type(requests) is not list:
        raise Malformed("a message is an array of requests")
    if len(requests) > MOST:
        raise Malformed(f"{len(requests)} requests in a message: {MOST} is the most")
    return [_request(request) for request in requests]


def _request(request: object) -> Request:
    if type(request) is not list or not 2 <= len(request) <= 3:
        raise Malformed("a request is an array [xid, name, arguments]")
    xid, name = request[0], request[1]
    if type(xid) is not int or not 0 <= xid < 1 << 31:
        raise Malformed("an xid is a number from 0 to 2147483647")
    op, body = _translated(_REQUESTS, name, request[2] if len(request) == 3 else {})
    return Request(xid << _OP_BITS | op - _LOWEST_OP, op, body)


class _Arguments:
    """Takes a request's arguments one by one, as jute writes them."""

    __slots__ = ("_given",)

    def __init__(self, given: dict[object, object]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> bytes:
        value = self._given.pop(name, default)
        if type(value) is not str:
            raise Malformed(f"{name} must be text")
        wire = value.encode()
        return INT.pack(len(wire)) + wire

    def flag(self, name: str) -> bool:
        value = self._given.pop(name, False)
        if type(value) is not bool:
            raise Malformed(f"{name} must be true or false")
        return value

    def number(self, name: str, default: int | None, size: struct.Struct = INT) -> bytes:
        value = self._given.pop(name, default)
        if type(value) is not int:
            raise Malformed(f"{name} must be a number")
        try:
            return size.pack(value)
        except struct.error:
            raise Malformed(f"{name} must be a number of {8 * size.size} bits") from None

    def data(self, name: str, default: object = _MISSING) -> bytes:
        value = self._given.pop(name, default)
        if value is not None and type(value) is not bytes:
            raise Malformed(f"{name} must be a byte string or null")
        return pack_buffer(value)

    def texts(self, name: str) -> bytes:
        values = self.list(name, [])
        if not all(type(value) is str for value in values):
            raise Malformed(f"{name} must be an array of texts")
        return pack_texts([str(value).encode() for value in values])

    def acl(self, default: bytes | None = None) -> bytes:
        if default is not None and "acl" not in self._given:
            return default
        wires = []
        for entry in self.list("acl"):
            if type(entry) is not dict:
                raise Malformed("an entry of an acl is a map")
            fields = _Arguments(entry)
            wires.append(fields.number("perms", None) + fields.text("scheme") + fields.text("id"))
            fields.end("acl")
        return INT.pack(len(wires)) + b"".join(wires)

    def list(self, name: str, default: object = None) -> list[object]:
        value = self._given.pop(name, default)
        if type(value) is not list:
            raise Malformed(f"{name} must be an array")
        return value

    def one_of(self, name: str, choices: Mapping[str, int]) -> bytes:
        value = self._given.pop(name, None)
        if type(value) is not str or value not in choices:
            raise Malformed(f"{name} must be one of {', '.join(choices)}")
        return INT.pack(choices[value])

    def end(self, where: str) -> None:
        """What is left is a mistake that would else go unnoticed."""
        for name in self._given:
            raise Malformed(f"{where} has no {str(name)[:20]!r}")


_Translate: TypeAlias = Callable[[_Arguments], tuple[int, bytes]]


def _translated(known: Mapping[str, _Translate], name: object, arguments: object) -> tuple[int, bytes]:
    translate = known.get(name) if type(name) is str else None
    if translate is None:
        raise Malformed(f"unknown request {str(name)[:20]!r}")
    if type(arguments) is not dict:
        raise Malformed(f"the arguments of {name} must be a map")
    given = _Arguments(arguments)
    try:
        result = translate(given)
        given.end("it")
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from None
    return result


def _connect(given: _Arguments) -> tuple[int, bytes]:
    version = INT.pack(0)
    seen, timeout = given.number("seen", 0, LONG), given.number("timeout", None)
    return ops.CREATE_SESSION, version + seen + timeout + given.number("session", 0, LONG) + given.data(
        "password", bytes(16)
    )


def _create(given: _Arguments) -> tuple[int, bytes]:
    body = given.text("path") + given.data("data", b"") + given.acl(_OPEN)
    ephemeral, sequential = given.flag("ephemeral"), given.flag("sequential")
    container, ttl = given.flag("container"), given.number("ttl", -1, LONG)
    lasts = ttl == LONG.pack(-1)
    if container + ephemeral + (not lasts) > 1 or (container and sequential):
        raise Malformed("only one of ephemeral, container and ttl, and no sequential container")
    if container:
        return ops.CREATE_CONTAINER, body + INT.pack(4)
    if not lasts:
        return ops.CREATE_TTL, body + INT.pack(6 if sequential else 5) + ttl
    return ops.CREATE2, body + INT.pack(ops.EPHEMERAL_FLAG * ephemeral | ops.SEQUENCE_FLAG * sequential)


def _watched(op: int) -> _Translate:
    return lambda given: (op, given.text("path") + (b"\1" if given.flag("watch") else b"\0"))


def _unwatched(op: int) -> _Translate:
    return lambda given: (op, given.text("path") + b"\0")


def _path(op: int) -> _Translate:
    return lambda given: (op, given.text("path"))


def _versioned(op: int) -> _Translate:
    return lambda given: (op, given.text("path") + given.number("version", -1))


def _kind(op: int) -> _Translate:
    return lambda given: (op, given.text("path") + given.one_of("kind", WATCHES))


def _bare(op: int) -> _Translate:
    return lambda given: (op, b"")


def _set(given: _Arguments) -> tuple[int, bytes]:
    return ops.SET_DATA, given.text("path") + given.data("data") + given.number("version", -1)


def _set_acl(given: _Arguments) -> tuple[int, bytes]:
    return ops.SET_ACL, given.text("path") + given.acl() + given.number("version", -1)


def _auth(given: _Arguments) -> tuple[int, bytes]:
    return ops.AUTH, INT.pack(0) + given.text("scheme") + given.data("credentials")


def _add_watch(given: _Arguments) -> tuple[int, bytes]:
    return ops.ADD_WATCH, given.text("path") + INT.pack(given.flag("recursive"))


def _set_watches(given: _Arguments) -> tuple[int, bytes]:
    body = [given.number("seen", None, LONG)]
    body += [given.texts(name) for name in ("data", "exists", "children", "persistent", "recursive")]
    return ops.SET_WATCHES2, b"".join(body)


def _reconfig(given: _Arguments) -> tuple[int, bytes]:
    texts = [given.text(name, "") for name in ("joining", "leaving", "members")]
    return ops.RECONFIG, b"".join(texts) + given.number("version", -1, LONG)


def _multi(op: int, known: Mapping[str, _Translate]) -> _Translate:
    def translate(given: _Arguments) -> tuple[int, bytes]:
        wires = []
        for part in given.list("ops"):
            if type(part) is not list or len(part) != 2:
                raise Malformed("an operation is an array [name, arguments]")
            kind, body = _translated(known, part[0], part[1])
            wires.append(_PART.pack(kind, 0, -1) + body)
        return op, b"".join(wires) + _END

    return translate


_WRITES: Final[dict[str, _Translate]] = {
    "create": _create,
    "delete": _versioned(ops.DELETE),
    "set": _set,
}
_REQUESTS: Final[dict[str, _Translate]] = {
    **_WRITES,
    "connect": _connect,
    "ping": _bare(ops.PING),
    "auth": _auth,
    "close": _bare(ops.CLOSE_SESSION),
    "exists": _watched(ops.EXISTS),
    "get": _watched(ops.GET_DATA),
    "children": _watched(ops.GET_CHILDREN2),
    "getACL": _path(ops.GET_ACL),
    "setACL": _set_acl,
    "sync": _path(ops.SYNC),
    "multi": _multi(ops.MULTI, {**_WRITES, "check": _versioned(ops.CHECK)}),
    "multiRead": _multi(
        ops.MULTI_READ, {"get": _unwatched(ops.GET_DATA), "children": _unwatched(ops.GET_CHILDREN)}
    ),
    "addWatch": _add_watch,
    "checkWatches": _kind(ops.CHECK_WATCHES),
    "removeWatches": _kind(ops.REMOVE_WATCHES),
    "setWatches": _set_watches,
    "getEphemerals": lambda given: (ops.GET_EPHEMERALS, given.text("path", "/")),
    "getAllChildrenNumber": _path(ops.GET_ALL_CHILDREN_NUMBER),
    "whoAmI": _bare(ops.WHO_AM_I),
    "reconfig": _reconfig,
}


# what goes out


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
    for name, size in zip(STAT_FIELDS, _SIZES, strict=True)
)
_KINDS: Final = {kind: _name(name) for kind, name in EVENTS.items()}


def answer(number: int, zxid: int, error: int, body: bytes) -> bytes:
    """What became of a request: [xid, zxid, 0, result] or [xid, zxid, code, name]."""
    head = _HEAD(0x84, 0x1A, number >> _OP_BITS, 0x1B, zxid)
    if error:
        return head + _failure(error)
    result = _RESULTS.get((number & (1 << _OP_BITS) - 1) + _LOWEST_OP)
    return head + b"\0" + (_NOTHING if result is None else result(Reader(body)))


def connected(number: int, session: Session) -> bytes:
    """The answer to connect."""
    return (
        _HEAD(0x84, 0x1A, number >> _OP_BITS, 0x1B, 0)
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
        fields = zip(STAT_FIELDS, STAT.unpack(wire), strict=True)
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
