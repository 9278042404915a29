"""Requests as data: their bodies as a client writes them, their answers as a client reads them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from znoded.storage import ops
from znoded.storage.acl import ALL, READ, Acl, Identity
from znoded.storage.session import encode_identities
from znoded.storage.writes import transaction
from znoded.storage.znode import Stat

OPEN: Final = (Acl(ALL, "world", "anyone"),)
READ_ONLY: Final = (Acl(READ, "world", "anyone"),)
SUPER: Final[tuple[Identity, ...]] = (("super", ""),)

Answer: TypeAlias = "bytes | Stat | tuple[bytes, Stat] | list[Answer | int] | None"
"""A path, a Stat, both, or nothing; of a multi the operations' answers, or the error code of each."""

_CREATES: Final = (ops.CREATE, ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL)
_STAT: Final = struct.Struct(">qqqqiiiqiiq")


@dataclass(frozen=True, slots=True)
class Request:
    """One request; what its kind has no use for stays out of its body."""

    op: int
    path: bytes = b""
    data: bytes | None = b""
    acl: tuple[Acl, ...] = OPEN
    flags: int = 0
    ttl: int = -1
    version: int = -1
    parts: tuple[Request, ...] = ()

    def body(self) -> bytes:
        """As on the wire, behind the request's header."""
        if self.op == ops.MULTI:
            chain = b"".join(struct.pack(">iBi", part.op, 0, -1) + part.body() for part in self.parts)
            return chain + struct.pack(">iBi", -1, 1, -1)
        path, version = buffer(self.path), struct.pack(">i", self.version)
        if self.op in _CREATES:
            ttl = struct.pack(">q", self.ttl) if self.op == ops.CREATE_TTL else b""
            return path + buffer(self.data) + vector(self.acl) + struct.pack(">i", self.flags) + ttl
        if self.op == ops.SET_DATA:
            return path + buffer(self.data) + version
        if self.op == ops.SET_ACL:
            return path + vector(self.acl) + version
        if self.op in (ops.DELETE, ops.CHECK):
            return path + version
        return path

    def transaction(
        self, *, session: int = 0, time: int = 0, flags: int = 0, identities: tuple[Identity, ...] = ()
    ) -> bytes:
        """The request as a server proposes it for a session."""
        wire = encode_identities(identities)
        return transaction(self.op, self.body(), session=session, time=time, flags=flags, identities=wire)

    def answer(self, body: bytes) -> Answer:
        """What the answer to this request says, if it was no refusal."""
        if self.op == ops.MULTI:
            return _results(body)
        found, rest = _read(self.op, body)
        assert rest == b"", f"{len(rest)} bytes behind the answer"
        return found


def buffer(data: bytes | None) -> bytes:
    """Length and bytes."""
    return b"\xff\xff\xff\xff" if data is None else struct.pack(">i", len(data)) + data


def vector(acl: tuple[Acl, ...]) -> bytes:
    """An ACL on the wire."""
    entries = (
        struct.pack(">i", perms) + buffer(scheme.encode()) + buffer(id.encode()) for perms, scheme, id in acl
    )
    return struct.pack(">i", len(acl)) + b"".join(entries)


def _read(op: int, body: bytes) -> tuple[Answer, bytes]:
    if op == ops.CREATE:
        return _path(body)
    if op in _CREATES:
        path, rest = _path(body)
        return (path, Stat(*_STAT.unpack(rest[:68]))), rest[68:]
    if op in (ops.SET_DATA, ops.SET_ACL, ops.EXISTS):
        return Stat(*_STAT.unpack(body[:68])), body[68:]
    return None, body


def _path(body: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack_from(">i", body)
    return body[4 : 4 + size], body[4 + size :]


def _results(body: bytes) -> list[Answer | int]:
    results: list[Answer | int] = []
    while True:
        op, done, error = struct.unpack_from(">iBi", body)
        body = body[9:]
        if done:
            assert (op, error, body) == (-1, -1, b"")
            return results
        if op == -1:
            assert struct.unpack_from(">i", body) == (error,)
            results.append(error)
            body = body[4:]
        else:
            found, body = _read(op, body)
            results.append(found)
