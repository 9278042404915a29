"""The administrative commands: functions of the server that return data; text and JSON are renderings."""

from __future__ import annotations

import math
import os
import platform
import pwd
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import IntFlag
from ipaddress import IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

from ...storage.ops import NAMES
from . import ensemble as ensembles
from .answers import (
    Answer,
    Connections,
    Digests,
    Dump,
    Ephemerals,
    Flat,
    Row,
    Srvr,
    Stat,
    Tree,
    WatchesByPath,
    WatchesBySession,
)
from .view import ConnectionView, Scalar, ServerView

SPEAKS: Final = "3.9.3"
"""The ZooKeeper release whose answers these are: monitoring scripts read it out of the version line
and decide by it what other lines mean."""

Query: TypeAlias = Mapping[str, str]
"""A command's arguments by name, as an HTTP query carries them."""


_LONG: Final = struct.Struct(">q")
_UNSIGNED: Final = (1 << 64) - 1


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


A_co = TypeVar("A_co", bound=Answer, covariant=True)


class Refused(Exception):
    """The command has no answer; str() says why."""


@dataclass(frozen=True, slots=True)
class Command(Generic[A_co]):
    """Names, the primary one first; run; needs_server: it is refused while the server isn't serving;
    changes: it does more than tell."""

    names: tuple[str, ...]
    run: Callable[[ServerView, Query], A_co]
    needs_server: bool = True
    changes: bool = False

    def __call__(self, server: ServerView, query: Query = MappingProxyType({})) -> A_co:
        """Raises Refused."""
        if self.needs_server and not server.serving:
            raise Refused("This ZooKeeper instance is not currently serving requests")
        return self.run(server, query)


def _command(
    *names: str, needs_server: bool = True, changes: bool = False
) -> Callable[[Callable[[ServerView], A_co]], Command[A_co]]:
    return lambda run: Command(names, lambda server, _query: run(server), needs_server, changes)


@_command("connection_stat_reset", "crst", changes=True)
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
    return Connections(*_connections(server, _full))


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
        connections.setdefault(zero + second * 1000, []).append((address(c), c.session_id))
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


@_command("last_snapshot", "lsnp")
def lsnp(server: ServerView) -> Flat:
    """What a restart begins from: the last flush."""
    zxid, timestamp = server.last_flush
    return {"zxid": f"{zxid & _UNSIGNED:x}", "timestamp": timestamp}


@_command("leader", "lead")
def lead(server: ServerView) -> Flat:
    """Who leads the ensemble."""
    if server.ensemble is None:
        raise Refused("this server is standalone: there is no leader")
    return ensembles.led(server.ensemble)


@_command("voting_view")
def voting_view(server: ServerView) -> Tree:
    """The ensemble's voting members by their ids; alone, there is none."""
    return {"current_config": {} if server.ensemble is None else ensembles.voters(server.ensemble)}


@_command("observers", "obsr")
def obsr(server: ServerView) -> Tree:
    """The observers that follow this server."""
    ensemble = server.ensemble
    if ensemble is None:
        return {"synced_observers": 0, "observers": []}
    return {
        "synced_observers": ensemble.synced(observers=True),
        "observers": ensembles.observers(ensemble),
    }


@_command("zabstate", needs_server=False)
def zabstate(server: ServerView) -> Flat:
    """How far this server is in joining the ensemble; alone, it takes no part in a vote."""
    if server.ensemble is None:
        return {"voting": False, "zabstate": ""}
    return ensembles.state(server.ensemble, server.zxid)


@_command("initial_configuration", "icfg")
def icfg(_server: ServerView) -> Flat:
    """The configuration that an ensemble was started with."""
    return {"initial_configuration": None}


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
        "txn_log_size": server.log_size,
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
    if server.ensemble is not None:
        values |= dict.fromkeys(ensembles.COUNTERS, 0)
        values |= ensembles.monitored(server.ensemble, server.mode)
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
        _LONG.pack(mask)
    except (ValueError, struct.error):
        raise Refused(f"setTraceMask requires long traceMask argument, got {given}") from None
    server.trace_mask = mask
    return {"tracemask": mask}


stmk: Final = Command(("set_trace_mask", "stmk"), _set_trace_mask, needs_server=False, changes=True)


@_command("server_stats", "srvr")
def srvr(server: ServerView) -> Srvr:
    """The server's counters."""
    ensemble = server.ensemble
    return Srvr(
        _version(server),
        _read_only(server),
        _stats(server),
        _sizes(server),
        _buffers(ensemble.proposal_sizes) if ensemble is not None and ensemble.leads else None,
        server.node_count,
    )


@_command("stats", "stat")
def stat(server: ServerView) -> Stat:
    """The server's counters, and its connections in brief."""
    brief = srvr(server)
    return Stat(
        brief.version,
        brief.read_only,
        brief.server_stats,
        brief.client_response,
        brief.proposal_stats,
        brief.node_count,
        *_connections(server, _brief),
    )


@_command("stat_reset", "srst", changes=True)
def srst(server: ServerView) -> Flat:
    """Reset the server's counters."""
    server.reset_stats()
    return {}


@_command("watches", "wchc")
def wchc(server: ServerView) -> WatchesBySession:
    """The watches by session."""
    return WatchesBySession(
        (watcher.session_id, path.decode(errors="replace")) for watcher, path in server.watches.by_watcher()
    )


@_command("watches_by_path", "wchp")
def wchp(server: ServerView) -> WatchesByPath:
    """The watches by path."""
    return WatchesByPath(
        (path.decode(errors="replace"), watcher.session_id) for path, watcher in server.watches.by_path()
    )


@_command("watch_summary", "wchs")
def wchs(server: ServerView) -> Flat:
    """How many watches there are."""
    connections, paths, total = server.watches.summary()
    return {"num_connections": connections, "num_paths": paths, "num_total_watches": total}


COMMANDS: Final[Mapping[str, Command[Answer]]] = {
    name: command
    for command in (
        *(crst, conf, cons, hash_, dirs, dump, envi, gtmk, icfg, isro, lead, lsnp, mntr, obsr, ruok),
        *(stmk, srvr, stat, srst, voting_view, wchc, wchp, wchs, zabstate),
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
    "unsuccessful_handshake",
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
    return _buffers(server.response_sizes)


def _buffers(sizes: tuple[int, int, int]) -> Row:
    last, smallest, largest = sizes
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


def address(connection: ConnectionView) -> str:
    """Where it comes from, host:port."""
    # As Java writes it: IPv6 in all eight groups, without leading zeros.
    host = connection.host
    if ":" in host:
        groups = IPv6Address(host.partition("%")[0]).exploded.split(":")
        host = f"[{':'.join(f'{int(group, 16):x}' for group in groups)}]"
    return f"{host}:{connection.port}"


def _connections(
    server: ServerView, row: Callable[[ConnectionView], Row]
) -> tuple[Iterator[Row], Iterator[Row]]:
    connections = list(server.connections)
    return (row(c) for c in connections if not c.secure), (row(c) for c in connections if c.secure)


def _brief(c: ConnectionView) -> Row:
    return {
        "remote_socket_address": address(c),
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
