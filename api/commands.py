"""What each administrative command answers, as data: text and JSON are renderings of it.

Field names are the keys of ZooKeeper's AdminServer (org.apache.zookeeper.server.admin.Commands), so a
rendering as JSON writes them as they are. Whatever may be long is an iterable, to be read in slices.
"""

from __future__ import annotations

import math
import os
import platform
import pwd
import resource
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import IntFlag
from ipaddress import IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from ..storage.ops import NAMES

SPEAKS: Final = "3.9.3"
"""The ZooKeeper release whose answers these are: monitoring scripts read it out of the version line
and decide by it what other lines mean."""

Scalar: TypeAlias = str | int | float
Row: TypeAlias = Mapping[str, Scalar]
Flat: TypeAlias = Mapping[str, Scalar | None]
Query: TypeAlias = Mapping[str, str]
"""A command's arguments by name, as an HTTP query carries them."""


class Trace(IntFlag):
    """The categories of trace lines that a server's trace mask switches; ZooTrace's bits."""

    CLIENT_REQUEST = 1 << 1
    CLIENT_PING = 1 << 3
    SERVER_PACKET = 1 << 4
    SESSION = 1 << 5
    EVENT_DELIVERY = 1 << 6
    SERVER_PING = 1 << 7
    WARNING = 1 << 8
    DEFAULT = CLIENT_REQUEST | SERVER_PACKET | SESSION | WARNING


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


class ConnectionView(Protocol):
    """One connection to the client port. Times are milliseconds, unless they say otherwise."""

    host: str
    port: int
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


class ServerView(Protocol):
    """What the commands see of a server. Sizes are bytes, times milliseconds."""

    trace_mask: int
    """Bits of Trace."""

    @property
    def version(self) -> str:
        """Our own release: 0.1.0."""
        ...

    @property
    def mode(self) -> str:
        """standalone, leader, follower, observer or read-only."""
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
        """conf's lines in their order, by AdminServer's names: client_port, secure_client_port (-1),
        data_dir, data_log_dir, tick_time, max_client_cnxns, min_session_timeout, max_session_timeout,
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

    def quotas(self) -> Iterable[tuple[str, int, int, int, int]]:
        """(namespace, count limit, bytes limit, count, bytes), quotas of a namespace added up; a hard
        limit goes before a soft one."""
        ...

    def digests(self) -> Iterable[tuple[int, int] | None]:
        """(zxid, the tree's digest after it), oldest first; None is a step on the way to the next."""
        ...

    def reset_stats(self) -> None:
        """Zero the packets, response sizes, counters and summaries."""
        ...

    def reset_connection_stats(self) -> None:
        """Set every connection's counters and latencies to what they are before the first request."""
        ...


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections, and those over TLS (there are none)."""

    connections: Iterator[Row]
    secure_connections: tuple[()] = ()


@dataclass(frozen=True, slots=True)
class Srvr:
    """A server in brief. server_stats and client_response have AdminServer's keys."""

    version: str
    read_only: bool
    server_stats: Row
    client_response: Row
    node_count: int


@dataclass(frozen=True, slots=True)
class Stat(Srvr):
    """The same, and its connections in brief."""

    connections: Iterator[Row]
    secure_connections: tuple[()] = ()


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


Answer: TypeAlias = Flat | Connections | Srvr | Dump | Digests | WatchesBySession | WatchesByPath
A_co = TypeVar("A_co", bound=Answer, covariant=True)


class Refused(Exception):
    """The command has no answer; str() says why."""


@dataclass(frozen=True, slots=True)
class Command(Generic[A_co]):
    """Names, the primary one first; run; needs_server: it is refused while the server isn't serving."""

    names: tuple[str, ...]
    run: Callable[[ServerView, Query], A_co]
    needs_server: bool = True

    def __call__(self, server: ServerView, query: Query = MappingProxyType({})) -> A_co:
        """Raises Refused."""
        if self.needs_server and not server.serving:
            raise Refused("This ZooKeeper instance is not currently serving requests")
        return self.run(server, query)


def _command(
    *names: str, needs_server: bool = True
) -> Callable[[Callable[[ServerView], A_co]], Command[A_co]]:
    return lambda run: Command(names, lambda server, _query: run(server), needs_server)


@_command("connection_stat_reset", "crst")
def crst(server: ServerView) -> Flat:
    """Reset every connection's counters."""
    server.reset_connection_stats()
    return {}


@_command("configuration", "conf", "config")
def conf(server: ServerView) -> Flat:
    """The configuration, each directory followed by its size."""
    values: dict[str, Scalar | None] = {}
    for name, value in server.config.items():
        values[name] = value
        if name == "data_dir":
            values["data_dir_size"] = _size(server.data_dir)
        elif name == "data_log_dir":
            values["data_log_size"] = _size(server.log_dir)
    return values


@_command("connections", "cons")
def cons(server: ServerView) -> Connections:
    """Every connection in full."""
    return Connections(_full(c) for c in list(server.connections))


@_command("hash")
def hash_(server: ServerView) -> Digests:
    """The history of the tree's digests."""
    return Digests(server.digests())


@_command("dirs")
def dirs(server: ServerView) -> Flat:
    """How much room the data takes."""
    return {"datadir_size": _size(server.data_dir), "logdir_size": _size(server.log_dir)}


@_command("dump")
def dump(server: ServerView) -> Dump:
    """Sessions and connections by the time they expire, and the ephemeral znodes by session."""
    zero = round((time.time() - time.monotonic()) * 1000)
    connections: dict[int, list[tuple[str, int]]] = {}
    for c in server.connections:
        second = math.ceil(c.heard + c.session_timeout / 1000)
        connections.setdefault(zero + second * 1000, []).append((_address(c), c.session_id))
    return Dump(
        sorted((zero + when, list(sessions)) for when, sessions in server.session_expiry()),
        Ephemerals(server),
        sorted(connections.items()),
    )


@_command("environment", "env", "envi", needs_server=False)
def envi(server: ServerView) -> Flat:
    """Where the server runs: ZooKeeper's keys, with Python's in the place of Java's."""
    user = os.getuid()
    try:
        name, home = (account := pwd.getpwuid(user)).pw_name, account.pw_dir
    except KeyError:
        name, home = str(user), "<NA>"
    system = platform.uname()
    return {
        "zookeeper.version": _version(server),
        "host.name": system.node,
        "python.version": platform.python_version(),
        "python.implementation": platform.python_implementation(),
        "python.home": sys.prefix,
        "os.name": system.system,
        "os.arch": system.machine,
        "os.version": system.release,
        "user.name": name,
        "user.home": home,
        "user.dir": str(Path.cwd()),
    }


@_command("get_trace_mask", "gtmk", needs_server=False)
def gtmk(server: ServerView) -> Flat:
    """The trace mask."""
    return {"tracemask": server.trace_mask}


@_command("is_read_only", "isro", needs_server=False)
def isro(server: ServerView) -> Flat:
    """Whether writes are refused; None while nothing is served."""
    return {"read_only": _read_only(server) if server.serving else None}


@_command("monitor", "mntr")
def mntr(server: ServerView) -> Flat:
    """Everything there is to watch: gauges, counters, summaries."""
    stats, sizes = _stats(server), _sizes(server)
    values: dict[str, Scalar | None] = {
        "version": _version(server),
        "server_state": server.mode,
        "ephemerals_count": server.ephemerals_count,
        "num_alive_connections": len(server.connections),
        "avg_latency": stats["avg_latency"],
        "outstanding_requests": server.outstanding,
        "znode_count": server.node_count,
        "global_sessions": len(server.sessions),
        "last_client_response_size": sizes["last_buffer_size"],
        "packets_sent": server.packets_sent,
        "packets_received": server.packets_received,
        "max_client_response_size": sizes["max_buffer_size"],
        "connection_drop_probability": 0.0,
        "watch_count": server.watches.count,
        "auth_failed_count": server.auth_failed_count,
        "min_latency": stats["min_latency"],
        "max_file_descriptor_count": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "approximate_data_size": server.data_size,
        "open_file_descriptor_count": sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,
        "local_sessions": 0,
        "uptime": server.uptime,
        "max_latency": stats["max_latency"],
        "min_client_response_size": sizes["min_buffer_size"],
    }
    for namespace, *figures in server.quotas():
        for name, figure in zip(_QUOTA_GAUGES, figures, strict=True):
            values[f"{namespace}_{name}"] = figure
    values |= dict.fromkeys(COUNTERS, 0)
    values |= server.counters
    for namespace, count in server.quotas_exceeded.items():
        values[f"{namespace}_quota_exceeded_error_per_namespace"] = count
    for name, summary in server.summaries.items():
        values[f"avg_{name}"] = _average(summary.total, summary.count)
        values[f"min_{name}"] = summary.minimum
        values[f"max_{name}"] = summary.maximum
        values[f"cnt_{name}"] = summary.count
        values[f"sum_{name}"] = summary.total
        for label, fraction in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)):
            values[f"{label}_{name}"] = summary.percentile(fraction)
    return values


@_command("ruok", needs_server=False)
def ruok(_server: ServerView) -> Flat:
    """An answer shows that the process lives; no more than that."""
    return {}


def _set_trace_mask(server: ServerView, query: Query) -> Flat:
    given = query.get("traceMask", "")
    try:
        mask = int(given)
    except ValueError:
        raise Refused(f"setTraceMask requires long traceMask argument, got {given}") from None
    server.trace_mask = mask
    return {"tracemask": mask}


stmk: Final = Command(("set_trace_mask", "stmk"), _set_trace_mask, needs_server=False)


@_command("server_stats", "srvr")
def srvr(server: ServerView) -> Srvr:
    """The server's counters."""
    return Srvr(_version(server), _read_only(server), _stats(server), _sizes(server), server.node_count)


@_command("stats", "stat")
def stat(server: ServerView) -> Stat:
    """The server's counters, and its connections in brief."""
    brief = srvr(server)
    return Stat(
        brief.version,
        brief.read_only,
        brief.server_stats,
        brief.client_response,
        brief.node_count,
        (_brief(c) for c in list(server.connections)),
    )


@_command("stat_reset", "srst")
def srst(server: ServerView) -> Flat:
    """Reset the server's counters."""
    server.reset_stats()
    return {}


@_command("watches", "wchc")
def wchc(server: ServerView) -> WatchesBySession:
    """The watches by session."""
    return WatchesBySession(
        (watcher.session_id, path.decode()) for watcher, path in server.watches.by_watcher()
    )


@_command("watches_by_path", "wchp")
def wchp(server: ServerView) -> WatchesByPath:
    """The watches by path."""
    return WatchesByPath((path.decode(), watcher.session_id) for path, watcher in server.watches.by_path())


@_command("watch_summary", "wchs")
def wchs(server: ServerView) -> Flat:
    """How many watches there are."""
    connections, paths, total = server.watches.summary()
    return {"num_connections": connections, "num_paths": paths, "num_total_watches": total}


COMMANDS: Final[Mapping[str, Command[Answer]]] = {
    name: command
    for command in (
        *(crst, conf, cons, hash_, dirs, dump, envi, gtmk, isro, mntr, ruok),
        *(stmk, srvr, stat, srst, wchc, wchp, wchs),
    )
    for name in command.names
}
"""Every command by each of its names."""

COUNTERS: Final = (
    "bytes_received_count",
    "cnxn_closed_without_zk_server_running",
    "connection_drop_count",
    "connection_rejected",
    "connection_request_count",
    "connection_revalidate_count",
    "large_requests_rejected",
    "request_throttle_wait_count",
    "response_bytes",
    "sessionless_connections_expired",
    "stale_requests_dropped",
    "stale_sessions_expired",
    "unrecoverable_error_count",
    "watch_bytes",
)
"""Those of ZooKeeper's counters (ServerMetrics) that have a sense here, by their names."""

_QUOTA_GAUGES: Final = (
    "quota_count_limit_per_namespace",
    "quota_bytes_limit_per_namespace",
    "quota_count_usage_per_namespace",
    "quota_bytes_usage_per_namespace",
)


def _version(server: ServerView) -> str:
    return f"{SPEAKS}-znoded-{server.version}"


def _read_only(server: ServerView) -> bool:
    return server.mode == "read-only"


def _size(directory: Path) -> int:
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            with suppress(FileNotFoundError):  # the log may drop a segment meanwhile
                total += Path(folder, name).lstat().st_size
    return total


def _average(total: int, count: int) -> float:
    # AvgMinMaxCounter: the quotient as a double, four decimals of it, halves up.
    quotient = Decimal(total / count if count else 0)
    return float(quotient.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def _sizes(server: ServerView) -> Row:
    last, smallest, largest = server.response_sizes
    return {"last_buffer_size": last, "min_buffer_size": smallest, "max_buffer_size": largest}


def _stats(server: ServerView) -> Row:
    reads, updates = server.summaries["readlatency"], server.summaries["updatelatency"]
    counted = [summary for summary in (reads, updates) if summary.count]
    return {
        "min_latency": min((summary.minimum for summary in counted), default=0),
        "avg_latency": _average(reads.total + updates.total, reads.count + updates.count),
        "max_latency": max((summary.maximum for summary in counted), default=0),
        "packets_received": server.packets_received,
        "packets_sent": server.packets_sent,
        "num_alive_client_connections": len(server.connections),
        "outstanding_requests": server.outstanding,
        "last_processed_zxid": server.zxid,
        "server_state": server.mode,
        "uptime": server.uptime,
        "data_dir_size": _size(server.data_dir),
        "log_dir_size": _size(server.log_dir),
        "fsync_threshold_exceed_count": server.fsync_threshold_exceed_count,
        "auth_failed_count": server.auth_failed_count,
    }


def _address(connection: ConnectionView) -> str:
    # As Java writes it: IPv6 in all eight groups, without leading zeros.
    host = connection.host
    if ":" in host:
        groups = IPv6Address(host.partition("%")[0]).exploded.split(":")
        host = f"[{':'.join(f'{int(group, 16):x}' for group in groups)}]"
    return f"{host}:{connection.port}"


def _brief(c: ConnectionView) -> Row:
    return {
        "remote_socket_address": _address(c),
        "interest_ops": c.interest_ops,
        "outstanding_requests": c.outstanding,
        "packets_received": c.packets_received,
        "packets_sent": c.packets_sent,
    }


def _full(c: ConnectionView) -> Row:
    return {
        **_brief(c),
        "session_id": c.session_id,
        "last_operation": NAMES.get(c.last_op, "NA"),
        "established": c.established,
        "session_timeout": c.session_timeout,
        "last_cxid": c.last_cxid,
        "last_zxid": c.last_zxid,
        "last_response_time": c.last_response,
        "last_latency": c.last_latency,
        "min_latency": c.min_latency,
        "avg_latency": c.latency_total // c.latency_count if c.latency_count else 0,
        "max_latency": c.max_latency,
    }
