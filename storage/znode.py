"""A znode's record: its data and Stat in wire order, so that a read copies bytes and unpacks nothing.

    int length (-1: no data) | data | Stat, 68 bytes | acl: uint32 | creates: int32

acl is the key of the ACL table; creates counts the children ever made here: the next sequence suffix.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

STAT: Final = struct.Struct(">qqqqiiiqiiq")
STAT_SIZE: Final = STAT.size
TAIL: Final = struct.Struct(">qqqqiiiqiiqIi")
TAIL_SIZE: Final = TAIL.size
EXTRA_SIZE: Final = TAIL_SIZE - STAT_SIZE
"""What follows the wire's part: cut it off and the rest is a getData answer."""

NO_BYTES: Final = b"\0\0\0\0"
"""The head of a record with empty data."""

CONTAINER_OWNER: Final = -(1 << 63)
TTL_MASK: Final = 0xFF << 56
MAX_TTL: Final = 0x00FF_FFFF_FFFF
"""Milliseconds; ZooKeeper's EphemeralType keeps a TTL in the low 40 bits of ephemeralOwner."""


class Stat(NamedTuple):
    """What a client learns about a znode: zxids, times in ms since 1970, versions, owner, sizes."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


def stat_of(record: bytes) -> Stat:
    """The Stat of a record."""
    return Stat(*STAT.unpack_from(record, len(record) - TAIL_SIZE))


def data_of(record: bytes) -> bytes | None:
    """The data of a record."""
    return None if record[0] == 0xFF else record[4:-TAIL_SIZE]


def ttl_owner(ttl: int) -> int:
    """The ephemeralOwner, as signed 64 bits, that marks a TTL of so many milliseconds."""
    return (TTL_MASK | ttl) - (1 << 64)


def ttl_of(owner: int) -> int | None:
    """The TTL in ms that an ephemeralOwner holds, if it holds one."""
    unsigned = owner & 0xFFFF_FFFF_FFFF_FFFF
    if unsigned >> 40 == 0xFF0000:
        return unsigned & MAX_TTL
    return None


def is_session(owner: int) -> bool:
    """Whether an ephemeralOwner is a session: not 0, a container's mark or a TTL's."""
    return owner != 0 and owner != CONTAINER_OWNER and ttl_of(owner) is None
