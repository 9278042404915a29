"""The part of ZooKeeper's client protocol that a measuring client speaks: frames and the heads of replies."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ...storage import ops
from ...storage.jute import INT, Reader, pack_buffer

HEAD: Final = struct.Struct(">iiqi")
"""Of a reply with its length: (length, xid, zxid, error)."""
SESSION_TIMEOUT: Final = 10_000
"""ms."""
_CONNECT: Final = struct.Struct(">iqiqi16s?")
_ANYBODY: Final = struct.pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")


def framed(payload: bytes) -> bytes:
    """With its length."""
    return INT.pack(len(payload)) + payload


@dataclass(frozen=True, slots=True)
class Session:
    """What a client needs to take its session along; the one of number 0 is new."""

    number: int = 0
    password: bytes = bytes(16)


def connect(session: Session, zxid: int) -> bytes:
    """The first frame. zxid: the last one that the client has seen."""
    return framed(_CONNECT.pack(0, zxid, SESSION_TIMEOUT, session.number, 16, session.password, False))


def connected(payload: bytes) -> Session:
    """What the first reply says; number 0: the session has expired. Raises Malformed."""
    reader = Reader(payload, 8)
    return Session(reader.int64(), reader.text().ljust(16, b"\0")[:16])


def _request(op: int, body: bytes) -> bytes:
    # Answers come in the requests' order, so that the xid need not tell them apart.
    return framed(struct.pack(">ii", 1, op) + body)


def create(path: bytes, data: bytes) -> bytes:
    """A znode that stays, for anybody."""
    return _request(ops.CREATE, pack_buffer(path) + pack_buffer(data) + _ANYBODY + bytes(4))


def set_data(path: bytes, data: bytes) -> bytes:
    """Whatever its version."""
    return _request(ops.SET_DATA, pack_buffer(path) + pack_buffer(data) + INT.pack(-1))


def get_data(path: bytes) -> bytes:
    """No watch."""
    return _request(ops.GET_DATA, pack_buffer(path) + b"\0")


def get_children(path: bytes) -> bytes:
    """No watch."""
    return _request(ops.GET_CHILDREN, pack_buffer(path) + b"\0")


def sync(path: bytes) -> bytes:
    """All that was acknowledged before is there for what is read behind it."""
    return _request(ops.SYNC, pack_buffer(path))


def close() -> bytes:
    """Ends the session."""
    return _request(ops.CLOSE_SESSION, b"")
