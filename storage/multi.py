"""The wire form of multi and multiRead: a chain of operations, a chain of results."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from . import acl as acls
from . import ops
from .jute import Malformed, Reader

_HEADER: Final = struct.Struct(">iBi")
_ERROR: Final = struct.Struct(">iBii")
_END: Final = _HEADER.pack(-1, 1, -1)
_CREATES: Final = (ops.CREATE, ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL)


def request(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """A request of these operations, each (op, body)."""
    return b"".join([_HEADER.pack(op, 0, -1) + body for op, body in parts]) + _END


def split(body: bytes) -> list[tuple[int, bytes]]:
    """The operations of a request, each (op, body). Malformed if one is no part of a multi."""
    parts: list[tuple[int, bytes]] = []
    reader = Reader(body)
    while True:
        op, done, _ = reader.int32(), reader.flag(), reader.int32()
        if done:
            return parts
        start = len(body) - reader.left
        reader.text()
        if op in _CREATES:
            reader.buffer()
            acls.decode(reader)
            if reader.int32() not in ops.MODES:
                raise Malformed("unknown create flags in a multi")
            if op == ops.CREATE_TTL:
                reader.int64()
        elif op == ops.SET_DATA:
            reader.buffer()
            reader.int32()
        elif op in (ops.DELETE, ops.CHECK):
            reader.int32()
        elif op in (ops.GET_DATA, ops.GET_CHILDREN):
            reader.flag()
        else:
            raise Malformed(f"operation {op} in a multi")
        parts.append((op, body[start : len(body) - reader.left]))


def result(op: int, reply: bytes) -> bytes:
    """The result of an operation that went well; containers and TTL znodes answer as create2 does."""
    return _HEADER.pack(ops.CREATE2 if op in (ops.CREATE_CONTAINER, ops.CREATE_TTL) else op, 0, 0) + reply


def error(code: int) -> bytes:
    """The result of an operation that failed, or was not done since another failed."""
    return _ERROR.pack(ops.ERROR, 0, code, code)


def answer(results: list[bytes]) -> bytes:
    """The whole answer."""
    return b"".join(results) + _END
