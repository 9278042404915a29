"""What the administrative commands see of a server: the contract with the daemon."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from ...storage.acl import Acl
from ...storage.znode import Stat
from .access import Access

if TYPE_CHECKING:
    from .ensemble import Ensemble

Scalar: TypeAlias = str | int | float


class Summary(Protocol):
    """What is kept of a measured quantity. All but count is 0 while count is."""

    total: int
    maximum: int

    @property
    def count(self) -> int: ...

    @property
    def minimum(self) -> int: ...

    def percentile(self, fraction: float) -> int:
        """The value that this fraction of all values (0.5, 0.99) does not exceed."""
        ...


class Histogram(Protocol):
    """How long things took, by buckets."""

    total: float
    """Seconds."""

    @property
    def bounds(self) -> Sequence[float]:
        """The seconds up to which each bucket but the last reaches, ascending."""
        ...

    @property
    def counts(self) -> Sequence[int]:
        """By bucket, without those below it; one more than bounds, for what took longer than all."""
        ...


class ConnectionView(Protocol):
    """One connection to the client port. Times are milliseconds, unless they say otherwise."""

    host: str
    port: int
    secure: bool
    """It is over TLS."""
    held: bool
    """The server does not read from it for now."""
    established: int
    """Since the epoch."""
    heard: float
    """When it last said something, in seconds by time.monotonic."""
    session_id: int
    """0 without a session."""
    session_timeout: int
    packets_received: int
    packets_sent: int
    last_op: int
    """The last request's number, 0 before the first."""
    last_cxid: int
    """The last non-negative xid; -1 before the first."""
    last_zxid: int
    """The zxid in the last reply; -1 before the first."""
    last_latency: int
    min_latency: int
    max_latency: int
    latency_total: int
    latency_count: int

    @property
    def dialect(self) -> str:
        """What it speaks: zookeeper, http, websocket."""
        ...

    @property
    def last_response(self) -> int:
        """By a monotonic clock."""
        ...

    @property
    def outstanding(self) -> int:
        """Requests taken from it and not yet answered."""
        ...

    @property
    def interest_ops(self) -> int:
        """1: it is read from; 4: something waits to be written; 5: both; 0: neither (it asked a word)."""
        ...


class Watcher(Protocol):
    """Who watches."""

    @property
    def session_id(self) -> int: ...


class WatchesView(Protocol):
    """The watch table (storage.watches.Watches). Its iterators may be left and resumed at any time."""

    @property
    def count(self) -> int:
        """Data and child watches; a persistent watch is one of each."""
        ...

    def summary(self) -> tuple[int, int, int]:
        """Connections that watch, paths they watch, and the watches: child watches left out, as below."""
        ...

    def by_path(self) -> Iterator[tuple[bytes, Watcher]]:
        """(path, watcher), path by path."""
        ...

    def by_watcher(self) -> Iterator[tuple[Watcher, bytes]]:
        """(watcher, path), watcher by watcher."""
        ...

    def watchers(self, path: bytes) -> Iterator[tuple[Watcher, int, bytes]]:
        """(watcher, kinds, where) of what a change at path may fire; where is path, or above it. Taken at
        once."""
        ...


class Interval(NamedTuple):
    """What came in one: so many a second; how long they took, in ms (0 when nothing came). p99 is as exact
    as the buckets of a histogram are."""

    rate: float
    mean: float
    p99: float


class Sample(NamedTuple):
    """A server at one time, and what came since the sample before."""

    uptime: int
    """In ms: when this was."""
    reads: Interval
    writes: Interval
    syncs: Interval
    """Of the log."""
    outstanding: int
    connections: int
    sessions: int
    watches: int
    znodes: int


@dataclass(frozen=True, slots=True)
class Znode:
    """A znode as it is kept: digests in acl and secrets in data included."""

    stat: Stat
    acl: Sequence[Acl]
    data: bytes | None
    container: bool
    ttl: int
    """In ms; 0 for none."""
    public: bool
    """Whether anyone may read it, without proof of who they are."""


class BackupView(Protocol):
    """A backup that is made while it is iterated over, once, in chunks. It keeps space from being reused
    until it is closed. rows and size count what was handed out: rows, and bytes."""

    rows: int
    size: int

    @property
    def zxid(self) -> int:
        """The last transaction that it holds."""
        ...

    @property
    def node_count(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class ServerView(Protocol):
    """What the commands see of a server. Sizes are bytes, times milliseconds."""

    trace_mask: int
    """Bits of Trace."""

    @property
    def access(self) -> Access:
        """Who may ask the admin port."""
        ...

    @property
    def version(self) -> str:
        """Our own release: 0.1.0."""
        ...

    @property
    def compiled(self) -> bool:
        """Whether what each request passes is compiled."""
        ...

    @property
    def mode(self) -> str:
        """standalone, leader, follower, observer or read-only."""
        ...

    @property
    def ensemble(self) -> Ensemble | None:
        """None for a standalone server."""
        ...

    @property
    def serving(self) -> bool:
        """False without a majority (unless in read-only mode), and while starting or stopping."""
        ...

    @property
    def uptime(self) -> int: ...

    @property
    def zxid(self) -> int:
        """The last transaction applied."""
        ...

    @property
    def node_count(self) -> int: ...

    @property
    def ephemerals_count(self) -> int: ...

    @property
    def data_size(self) -> int:
        """The lengths of all paths and data, added up."""
        ...

    @property
    def outstanding(self) -> int:
        """Requests taken and not yet answered, on all connections."""
        ...

    @property
    def refusing(self) -> bool:
        """The last write was refused."""
        ...

    @property
    def unflushed(self) -> int:
        """Changed rows that the engine does not have yet."""
        ...

    @property
    def flush_behind(self) -> bool:
        """So many that clients are held back."""
        ...

    @property
    def flush_failing(self) -> bool:
        """The last flush failed."""
        ...

    @property
    def flush_failures(self) -> int:
        """Since the start."""
        ...

    @property
    def log_size(self) -> int: ...

    @property
    def engine_size(self) -> int: ...

    @property
    def latencies(self) -> Mapping[tuple[str, int], Histogram]:
        """By dialect and operation (storage.ops), since the start: from a request's arrival to its answer."""
        ...

    @property
    def sync_latency(self) -> Histogram:
        """Of the log, since the start."""
        ...

    @property
    def packets_received(self) -> int:
        """Requests, connects and pings; a word on the client port is one, too."""
        ...

    @property
    def packets_sent(self) -> int:
        """Replies and events; each chunk of a word's answer on the client port is one, too."""
        ...

    @property
    def response_sizes(self) -> tuple[int, int, int]:
        """Last, smallest and largest reply without its length prefix; -1 before the first."""
        ...

    @property
    def auth_failed_count(self) -> int: ...

    @property
    def fsync_threshold_exceed_count(self) -> int:
        """fsyncs that took long enough for a warning."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """By the names in COUNTERS, or others of ours; what is not there is 0."""
        ...

    @property
    def summaries(self) -> Mapping[str, Summary]:
        """By mntr's names without zk_avg_ and so on. readlatency (pings included) and updatelatency
        (new and closed sessions included) must be there: together they are the server's latency."""
        ...

    @property
    def config(self) -> Mapping[str, Scalar]:
        """conf's lines in their order, by AdminServer's names: client_port, secure_client_port (-1: there is
        none), data_dir, data_log_dir, tick_time, max_client_cnxns, min_session_timeout, max_session_timeout,
        client_port_listen_backlog, server_id, and what else there is to tell. No sizes."""
        ...

    @property
    def data_dir(self) -> Path: ...

    @property
    def log_dir(self) -> Path: ...

    @property
    def connections(self) -> Collection[ConnectionView]:
        """To the client port, those without a session included."""
        ...

    @property
    def sessions(self) -> Collection[int]: ...

    @property
    def watches(self) -> WatchesView: ...

    @property
    def quotas_exceeded(self) -> Mapping[str, int]:
        """Writes that went over a quota, by namespace (the path's first name)."""
        ...

    def session_expiry(self) -> Iterable[tuple[int, Collection[int]]]:
        """(time by time.monotonic, in ms; the sessions that expire then if they stay silent)."""
        ...

    def ephemerals(self, session: int) -> Sequence[bytes]:
        """The paths that a session owns; none for one that is gone."""
        ...

    def ephemerals_after(self, session: int, path: bytes, limit: int) -> Sequence[bytes]:
        """So many of the paths a session owns that come after that one, ascending; b"" comes before all."""
        ...

    def session_timeout(self, session: int) -> int | None:
        """None for a session that is gone."""
        ...

    def watched(self, session: int) -> Iterator[tuple[bytes, int]]:
        """(path, kinds) of a session's watches on this server. Taken at once."""
        ...

    def znode(self, path: bytes) -> Znode | None:
        """What is at path."""
        ...

    def children_after(self, path: bytes, name: bytes, limit: int) -> Sequence[bytes]:
        """The names of so many of a znode's children that come after that one, ascending."""
        ...

    @property
    def history(self) -> Sequence[Sample]:
        """The last minutes, oldest first."""
        ...

    def quotas(self) -> Iterable[tuple[str, int, int, int, int]]:
        """(namespace, count limit, bytes limit, count, bytes), quotas of a namespace added up; a hard
        limit goes before a soft one."""
        ...

    def digests(self) -> Iterable[tuple[int, int] | None]:
        """(zxid, the tree's digest after it), oldest first; None is a step on the way to the next."""
        ...

    def count_auth_failure(self) -> None:
        """Somebody brought a wrong token: one more of auth_failed_count."""
        ...

    @property
    def last_flush(self) -> tuple[int, int]:
        """(the last transaction that a restart need not replay, when it was flushed in seconds since the
        epoch); -1 for both before the first."""
        ...

    async def backup(self) -> BackupView:
        """A backup with all that was acknowledged before the call. Raises OSError if there can be none."""
        ...

    def reset_stats(self) -> None:
        """Zero the packets, response sizes, counters and summaries."""
        ...

    def reset_connection_stats(self) -> None:
        """Set every connection's counters and latencies to what they are before the first request."""
        ...
