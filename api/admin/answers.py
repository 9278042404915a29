"""What the administrative commands answer, as data.

Field names are the keys of ZooKeeper's AdminServer (org.apache.zookeeper.server.admin.Commands), so a
rendering as JSON writes them as they are. Whatever may be long is an iterable, to be read in slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .view import Scalar, ServerView

Row: TypeAlias = Mapping[str, Scalar]
Flat: TypeAlias = Mapping[str, Scalar | None]
Tree: TypeAlias = Mapping[str, object]
"""A short answer with lists or objects in it, as JSON has them."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections, and those over TLS."""

    connections: Iterator[Row]
    secure_connections: Iterator[Row]


@dataclass(frozen=True, slots=True)
class Srvr:
    """A server in brief. server_stats and client_response have AdminServer's keys."""

    version: str
    read_only: bool
    server_stats: Row
    client_response: Row
    proposal_stats: Row | None
    """Of a leader."""
    node_count: int


@dataclass(frozen=True, slots=True)
class Stat(Srvr):
    """The same, and its connections in brief."""

    connections: Iterator[Row]
    secure_connections: Iterator[Row]


@dataclass(frozen=True, slots=True)
class Ephemerals:
    """(session, paths) of every session that owns any. Each iteration looks anew, a session a step."""

    server: ServerView

    def __iter__(self) -> Iterator[tuple[int, Sequence[str]]]:
        for session in list(self.server.sessions):
            yield session, [path.decode() for path in self.server.ephemerals(session)]


@dataclass(frozen=True, slots=True)
class Dump:
    """Times (ms since the epoch) ascend; AdminServer leaves out the connections: (address, session)."""

    expiry_time_to_session_ids: Sequence[tuple[int, Sequence[int]]]
    session_id_to_ephemeral_paths: Ephemerals
    expiry_time_to_connections: Sequence[tuple[int, Sequence[tuple[str, int]]]]


@dataclass(frozen=True, slots=True)
class Digests:
    """(zxid, digest), oldest first; None is a step on the way to the next."""

    digests: Iterable[tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class WatchesBySession:
    """(session, path), session by session."""

    session_id_to_watched_paths: Iterator[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class WatchesByPath:
    """(path, session), path by path."""

    path_to_session_ids: Iterator[tuple[str, int]]


Answer: TypeAlias = Flat | Tree | Connections | Srvr | Dump | Digests | WatchesBySession | WatchesByPath
