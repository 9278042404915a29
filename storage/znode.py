"""A znode's record: its data and Stat in wire order, so that a read copies bytes and unpacks nothing.

    int length (-1: no data) | data | Stat, 68 bytes | acl: uint32 | creates: int32 | kind: uint8

acl is the key of the ACL table; creates counts the children ever made here: the next sequence suffix.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

STAT: Final = struct.Struct(">qqqqiiiqiiq")
STAT_NAMES: Final = (
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeralOwner", "dataLength",
    "numChildren", "pzxid",
)  # fmt: skip
"""Its fields, as ZooKeeper's jute names them."""
TAIL: Final = struct.Struct(">qqqqiiiqiiqIiB")
TAIL_SIZE: Final = TAIL.size
EXTRA_SIZE: Final = TAIL_SIZE - STAT.size
"""What follows the wire's part: cut it off and the rest is a getData answer."""
NO_BYTES: Final = b"\0\0\0\0"
"""The head of a record with empty data."""

LASTING: Final = 0
CONTAINER: Final = 1
TTL: Final = 2
"""Kinds. A client sees the first in all: ZooKeeper tells no owner of the other two."""
MAX_TTL: Final = 0x00FF_FFFF_FFFF
"""Milliseconds, as in ZooKeeper's EphemeralType."""


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
