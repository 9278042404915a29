"""The WebSocket's requests, in CBOR, to requests as on ZooKeeper's wire (docs/websocket.md).

Nothing that comes is believed: of each value the type is looked at, and no argument goes unnoticed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from ...storage import acl as acls
from ...storage import cbor, multi, ops
from ...storage.jute import INT, LONG, Malformed, pack_buffer, pack_texts

MOST: Final = 1000
"""Requests in one message."""
WATCHES: Final = {"children": 1, "data": 2, "any": 3, "persistent": 4, "recursive": 5}
"""The kinds of watches that can be looked for and removed (Watcher.WatcherType)."""
_MISSING: Final = object()
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


def op_of(number: int) -> int:
    """The operation that it asks for (storage.ops)."""
    return (number & (1 << _OP_BITS) - 1) + _LOWEST_OP


def decode(message: bytes) -> list[Request]:
    """The requests of a message; Malformed, with a word to who wrote it, if it is not as it should be."""
    try:
        requests = cbor.decode(message)
    except ValueError as error:
        raise Malformed(f"no CBOR that is taken here: {error}") from error
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
    body = given.text("path") + given.data("data", b"") + given.acl(acls.OPEN)
    ephemeral, sequential = given.flag("ephemeral"), given.flag("sequential")
    container, ttl = given.flag("container"), given.number("ttl", -1, LONG)
    lasts = ttl == LONG.pack(-1)
    if container + ephemeral + (not lasts) > 1 or (container and sequential):
        raise Malformed("only one of ephemeral, container and ttl, and no sequential container")
    if container:
        return ops.CREATE_CONTAINER, body + INT.pack(ops.CONTAINER_MODE)
    if not lasts:
        return ops.CREATE_TTL, body + INT.pack(ops.TTL_MODES[sequential]) + ttl
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
        parts = []
        for part in given.list("ops"):
            if type(part) is not list or len(part) != 2:
                raise Malformed("an operation is an array [name, arguments]")
            parts.append(_translated(known, part[0], part[1]))
        return op, multi.request(parts)

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
