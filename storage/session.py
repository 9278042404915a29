"""What a client is to the servers: its session, and the identities that it has proved."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from .acl import Identity
from .jute import INT, Reader, pack_buffer

PASSWORD_SIZE: Final = 16
_SESSION: Final = struct.Struct(">qi16sB")


@dataclass(frozen=True, slots=True)
class Session:
    """A client's session: id, negotiated timeout in ms, and the password that proves its owner.

    server: the id of the one that has its connection, and alone may write for it; 0: any server may."""

    id: int
    timeout: int
    password: bytes
    server: int = 0

    def encode(self) -> bytes:
        """As the transactions that open and move it carry it."""
        return _SESSION.pack(self.id, self.timeout, self.password, self.server)

    @classmethod
    def decode(cls, wire: bytes) -> Session:
        """What encode() gave."""
        return cls(*_SESSION.unpack(wire))


def encode_identities(identities: tuple[Identity, ...]) -> bytes:
    """A client's identities as a transaction carries them."""
    parts = [INT.pack(len(identities))]
    for scheme, name in identities:
        parts += pack_buffer(scheme.encode()), pack_buffer(name.encode())
    return b"".join(parts)


def decode_identities(wire: bytes) -> tuple[Identity, ...]:
    """What encode_identities() gave."""
    reader = Reader(wire)
    return tuple(reader.vector(lambda: (reader.text().decode(), reader.text().decode())))
