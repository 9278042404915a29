"""`/metrics` on the admin port: how the server is, in the text formats of Prometheus and OpenMetrics."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import Final, TypeAlias

from aiohttp import web
from prometheus_client import Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ...storage import ops
from .ensemble import Ensemble
from .sending import send
from .view import Histogram, ServerView

_Figures: TypeAlias = tuple[tuple[str, str, Callable[[ServerView], float]], ...]
"""(name without znoded_, help, where it comes from)."""

_METHODS: Final = ("GET", "HEAD")

OPERATIONS: Final = {
    ops.CREATE: "create",
    ops.CREATE2: "create2",
    ops.CREATE_CONTAINER: "createContainer",
    ops.CREATE_TTL: "createTTL",
    ops.DELETE: "delete",
    ops.EXISTS: "exists",
    ops.GET_DATA: "getData",
    ops.SET_DATA: "setData",
    ops.GET_ACL: "getACL",
    ops.SET_ACL: "setACL",
    ops.GET_CHILDREN: "getChildren",
    ops.GET_CHILDREN2: "getChildren2",
    ops.GET_ALL_CHILDREN_NUMBER: "getAllChildrenNumber",
    ops.GET_EPHEMERALS: "getEphemerals",
    ops.SYNC: "sync",
    ops.MULTI: "multi",
    ops.MULTI_READ: "multiRead",
    ops.RECONFIG: "reconfig",
    ops.ADD_WATCH: "addWatch",
    ops.SET_WATCHES: "setWatches",
    ops.SET_WATCHES2: "setWatches2",
    ops.CHECK_WATCHES: "checkWatches",
    ops.REMOVE_WATCHES: "removeWatches",
    ops.WHO_AM_I: "whoAmI",
    ops.CLOSE_SESSION: "closeSession",
}
"""What is measured, by ZooKeeper's names (ZooDefs.OpCode)."""

_GAUGES: Final[_Figures] = (
    ("serving", "1 while requests are served, 0 otherwise", lambda it: it.serving),
    ("uptime_seconds", "Since the start", lambda it: it.uptime / 1000),
    ("zxid", "The last transaction applied", lambda it: it.zxid),
    ("znodes", "Znodes", lambda it: it.node_count),
    ("ephemerals", "Ephemeral znodes", lambda it: it.ephemerals_count),
    ("data_bytes", "Lengths of all paths and data", lambda it: it.data_size),
    ("watches", "Watches; a persistent one counts twice, for data and children", lambda it: it.watches.count),
    ("sessions", "Sessions, with and without a connection", lambda it: len(it.sessions)),
    ("outstanding_requests", "Writes and syncs under way", lambda it: it.outstanding),
    (
        "waiting_requests",
        "Requests in line on their connections, those under way included",
        lambda it: sum(connection.outstanding for connection in it.connections),
    ),
    (
        "held_connections",
        "Connections that are not read from until others are served",
        lambda it: sum(connection.held for connection in it.connections),
    ),
    ("writes_refused", "1 if the last write was refused, as with a full disk", lambda it: it.refusing),
    ("unflushed_rows", "Changed rows that the storage engine does not have yet", lambda it: it.unflushed),
    (
        "flush_behind",
        "1 while the engine can't follow, and clients are held back",
        lambda it: it.flush_behind,
    ),
    ("flush_failing", "1 while the last flush to the engine failed", lambda it: it.flush_failing),
    ("log_bytes", "The transaction log", lambda it: it.log_size),
    ("engine_bytes", "The storage engine", lambda it: it.engine_size),
)

_COUNTERS: Final[_Figures] = (
    ("packets_received", "Requests of all kinds, connects and pings", lambda it: it.packets_received),
    ("packets_sent", "Replies and events", lambda it: it.packets_sent),
    ("slow_fsyncs", "fsyncs beyond fsync.warningthresholdms", lambda it: it.fsync_threshold_exceed_count),
    ("flush_failures", "Flushes to the engine that failed", lambda it: it.flush_failures),
    ("auth_failures", "Wrong proofs of identity, wrong tokens", lambda it: it.auth_failed_count),
    ("quota_excesses", "Writes over a quota, refused or not", lambda it: sum(it.quotas_exceeded.values())),
    (
        "connections_rejected",
        "Connections beyond maxClientCnxns",
        lambda it: it.counters.get("connection_rejected", 0),
    ),
    (
        "connections_dropped",
        "Connections closed by the server, with a reason in its log",
        lambda it: it.counters.get("connection_drop_count", 0),
    ),
    (
        "sessions_expired",
        "Sessions of clients that fell silent",
        lambda it: it.counters.get("stale_sessions_expired", 0),
    ),
)


def routes(server: ServerView) -> list[web.RouteDef]:
    """`/metrics`, for an application's router."""
    metrics = ServerMetrics(server)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(metrics)
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.content_length = len(body)
        await send(request, response, _whole(body))
        return response

    return [web.route("*", "/metrics", answer)]


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


class ServerMetrics(Collector):
    """A server's metrics, and its process's, as of each collect()."""

    def __init__(self, server: ServerView) -> None:
        self._server = server
        self._of_process = (ProcessCollector(registry=None), PlatformCollector(registry=None))

    def collect(self) -> Iterator[Metric]:
        """Each with all its samples."""
        server = self._server
        build = server.version, str(server.compiled).lower()
        yield _labelled("build_info", "Which znoded it is", ("version", "compiled"), [(build, 1)])
        yield _labelled("role", "1 for what the server is now", ("role",), [((server.mode,), 1)])
        for name, text, figure in _GAUGES:
            yield GaugeMetricFamily(f"znoded_{name}", text, float(figure(server)))
        for name, text, figure in _COUNTERS:
            yield CounterMetricFamily(f"znoded_{name}", text, float(figure(server)))
        dialects = Counter({(dialect,): 0 for dialect, _ in server.latencies})  # 0 rather than a gap
        dialects.update((connection.dialect,) for connection in server.connections)
        yield _labelled("connections", "Connections to the client ports", ("dialect",), dialects.items())
        yield _labelled("disk_free_bytes", "Room for dataDir and dataLogDir", ("directory",), _room(server))
        synced = HistogramMetricFamily("znoded_fsync_seconds", "Writing and syncing the log", labels=())
        _add(synced, (), server.sync_latency)
        yield synced
        if server.ensemble is not None:
            yield from _ensemble(server.ensemble, server)
        yield self._latencies()
        for collector in self._of_process:
            yield from collector.collect()

    def _latencies(self) -> Metric:
        family = HistogramMetricFamily(
            "znoded_request_latency_seconds",
            "From a request's arrival to its answer",
            labels=("dialect", "operation"),
        )
        for (dialect, op), histogram in sorted(self._server.latencies.items()):
            _add(family, (dialect, OPERATIONS[op]), histogram)
        return family


def _ensemble(ensemble: Ensemble, server: ServerView) -> Iterator[Metric]:
    """What a standalone server does not have."""
    elections = server.summaries["election_time"]
    gauges = (
        ("epoch", "The leadership that is served; 0 without a leader", ensemble.epoch),
        ("leader", "The number of the server that leads; 0 without one", ensemble.leader or 0),
        ("unapplied_transactions", "In the log, not applied yet", ensemble.lag),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily(f"znoded_{name}", text, float(value))
    counters = (
        ("elections", "Times that a leader was found", float(elections.count)),
        ("leaderless_seconds", "Time without a leader, before each was found", elections.total / 1000),
        ("proposals", "Transactions that this leader ordered", server.counters.get("proposal_count", 0)),
    )
    for name, text, total in counters:
        yield CounterMetricFamily(f"znoded_{name}", text, total)
    peers = [((str(peer.id),), peer) for peer in ensemble.peers]
    connected = [(key, int(peer.connected)) for key, peer in peers]
    yield _labelled("peer_connected", "1 for servers that are connected", ("peer",), connected)
    sent = CounterMetricFamily("znoded_peer_sent_bytes", "Sent to other servers", labels=("peer",))
    messages = CounterMetricFamily("znoded_peer_sent_messages", "Sent to other servers", labels=("peer",))
    for key, peer in peers:
        sent.add_metric(key, peer.sent)
        messages.add_metric(key, peer.messages)
    yield sent
    yield messages
    agreed = HistogramMetricFamily("znoded_quorum_ack_seconds", "From proposal to majority", labels=())
    _add(agreed, (), ensemble.quorum_latency)
    yield agreed
    passed = HistogramMetricFamily(
        "znoded_proposal_seconds", "From proposal here to being applied here", labels=()
    )
    _add(passed, (), ensemble.proposal_latency)
    yield passed
    if ensemble.leads:
        yield from _learners(ensemble)


def _learners(ensemble: Ensemble) -> Iterator[Metric]:
    """What a leader alone knows."""
    learners = [peer for peer in ensemble.peers if peer.follows]
    gauges = (
        ("followers", "Of this leader, observers not counted", sum(not peer.observer for peer in learners)),
        ("synced_followers", "Those of them that are up to date", ensemble.synced(observers=False)),
        ("synced_observers", "Observers that are up to date", ensemble.synced(observers=True)),
        ("pending_syncs", "Syncs that wait for a majority's word", ensemble.pending_syncs),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily(f"znoded_{name}", text, float(value))
    lag = [((str(peer.id),), peer.lag) for peer in learners]
    yield _labelled("peer_lag", "Transactions that a learner has not acknowledged", ("peer",), lag)


def _labelled(
    name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], int]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"znoded_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    counts = [*map(float, accumulate(histogram.counts))]
    family.add_metric(labels, [*zip(bounds, counts, strict=True)], histogram.total)


def _room(server: ServerView) -> Iterator[tuple[tuple[str, ...], int]]:
    for name, directory in (("data", server.data_dir), ("log", server.log_dir)):
        with suppress(OSError):
            disk = os.statvfs(directory)
            yield (name,), disk.f_bavail * disk.f_frsize
