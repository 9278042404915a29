"""What a client is given: stats, data, events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple, cast

from ..storage.znode import STAT_NAMES

_fields = itemgetter(*STAT_NAMES)


class Stat(NamedTuple):
    """What is known of a znode besides its data (ZooKeeper's Stat).

    czxid, mzxid, pzxid: the transactions that created it, changed its data, changed its children. ctime,
    mtime: when the first two were, ms since 1970. version, cversion, aversion: how often its data, its
    children, its ACL were changed. ephemeral_owner: the session that it ends with, or 0. data_length: bytes.
    """

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

    @property
    def created(self) -> datetime:
        """ctime, with a zone."""
        return datetime.fromtimestamp(self.ctime / 1000, UTC)

    @property
    def modified(self) -> datetime:
        """mtime, with a zone."""
        return datetime.fromtimestamp(self.mtime / 1000, UTC)

    @classmethod
    def of(cls, fields: Mapping[str, int]) -> Stat:
        """From the WebSocket's map."""
        return cls._make(cast(tuple[int, ...], _fields(fields)))


class Created(NamedTuple):
    """A new znode: its path, with its number if it is sequential, and its stat."""

    path: str
    stat: Stat


class Got(NamedTuple):
    """A znode's data (null is given as b"") and stat."""

    data: bytes
    stat: Stat


class Kind(StrEnum):
    """What an event tells."""

    CREATED = "created"
    DELETED = "deleted"
    CHANGED = "changed"
    """Its data."""
    CHILDREN = "children"
    """One came or went; not told to recursive watches, which hear of the child itself."""
    MISSED = "missed"
    """Events may have been missed, as the connection was lost or nobody read them: read again what is
    watched. Its path is the watch's."""


class Event(NamedTuple):
    """What happened to which znode."""

    kind: Kind
    path: str


class State(StrEnum):
    """Of a client's session."""

    CONNECTING = "connecting"
    """There is no session yet."""
    CONNECTED = "connected"
    SUSPENDED = "suspended"
    """The connection is lost; the session lives until its timeout, and is taken up again if it can be."""
    EXPIRED = "expired"
    """The session is over, its ephemerals with it."""
    CLOSED = "closed"
