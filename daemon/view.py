"""The server as the administrative commands see it."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from zlib import crc32

from ..api.admin.access import Access
from ..api.admin.ensemble import Ensemble, Member
from ..api.admin.view import Histogram, Sample, Scalar, Summary, Znode
from ..api.connection import Connection
from ..consensus.contract import Role
from ..storage import acl as acls
from ..storage import quota
from ..storage.backup import BackupWriter
from ..storage.reads import Client
from ..storage.state import NODES, zxid_in
from ..storage.watches import Watches
from ..storage.znode import CONTAINER, TAIL, TAIL_SIZE, TTL, Stat, data_of
from .config import Server as Line
from .release import COMPILED, release
from .server import Server

_DIGESTS: Final = 1024
"""So many of the digests that were asked for are remembered."""
_STEP: Final = 100
"""Znodes a step of adding up a digest."""


def _member(line: Line) -> Member:
    client = "" if line.client_port is None else _at(line.client_address or "0.0.0.0", line.client_port)  # noqa: S104
    quorum, election = _at(line.host, line.quorum_port), _at(line.host, line.election_port)
    return Member(line.id, line.host, quorum, election, client, line.observer)


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class View:
    """Implements api.admin.commands.ServerView."""

    def __init__(self, server: Server, log_dir: Path, history: Sequence[Sample]) -> None:
        """history: as it is at any time."""
        self._server = server
        self.history = history
        self._digests: dict[int, int] = {}
        self.version = release()
        self.compiled = COMPILED
        self.data_dir = server.config.data_dir
        self.log_dir = log_dir
        config = server.config
        names = frozenset((config.admin_address.lower(), socket.gethostname().lower()))
        self._members = [_member(line) for line in config.servers]
        self.access = Access(config.admin_token, config.admin_unauthenticated, names)

    @property
    def trace_mask(self) -> int:
        """Bits of api.admin.commands.Trace."""
        return self._server.trace_mask

    @trace_mask.setter
    def trace_mask(self, mask: int) -> None:
        self._server.trace_mask = mask

    @property
    def mode(self) -> str:
        """The role, by ZooKeeper's words."""
        return "read-only" if self._server.read_only else self._server.consensus.status.role.value

    @property
    def ensemble(self) -> Ensemble | None:
        """None for a standalone server."""
        if not self._members:
            return None
        status, stats = self._server.consensus.status, self._server.stats
        return Ensemble(
            me=self._server.config.server_id,
            members=self._members,
            leader=status.leader if status.epoch else None,
            epoch=status.epoch,
            phase=status.phase,
            since=status.since,
            peers=status.peers,
            lag=status.lag,
            pending_syncs=status.pending_syncs,
            proposal_sizes=stats.proposal_sizes,
            quorum_latency=stats.quorum_latency,
            proposal_latency=stats.proposal_latency,
        )

    @property
    def standing(self) -> str:
        """What this server is, in words."""
        status = self._server.consensus.status
        if status.role is Role.STANDALONE:
            return status.role.value
        if not status.epoch:
            return "read-only, looking for a leader" if self._server.read_only else "looking for a leader"
        led = "" if status.role is Role.LEADER else f" of server {status.leader}"
        return f"{status.role.value}{led} in epoch {status.epoch}"

    @property
    def serving(self) -> bool:
        """Whether requests are served, be it reads alone."""
        return self._server.serving or self._server.read_only

    @property
    def uptime(self) -> int:
        """Milliseconds since the start."""
        return int((time.monotonic() - self._server.stats.started) * 1000)

    @property
    def zxid(self) -> int:
        """The last transaction applied."""
        return self._server.state.zxid

    @property
    def node_count(self) -> int:
        """As ZooKeeper counts: it has the root under two names."""
        return self._server.state.node_count + 1

    @property
    def ephemerals_count(self) -> int:
        """Ephemeral znodes."""
        return self._server.state.ephemeral_count

    @property
    def data_size(self) -> int:
        """Bytes of all paths and data."""
        return self._server.state.data_size

    @property
    def outstanding(self) -> int:
        """Writes and syncs under way."""
        return self._server.outstanding

    @property
    def refusing(self) -> bool:
        """The last write was refused."""
        return self._server.refusal is not None or self._server.flusher.refusal is not None

    @property
    def unflushed(self) -> int:
        """Rows in the write-back table."""
        return self._server.state.table.unflushed

    @property
    def flush_behind(self) -> bool:
        """The engine can't follow."""
        return self._server.flusher.behind

    @property
    def flush_failing(self) -> bool:
        """The last flush failed."""
        return self._server.flusher.failure is not None

    @property
    def flush_failures(self) -> int:
        """Since the start."""
        return self._server.flusher.failures

    @property
    def log_size(self) -> int:
        """Bytes of transaction log."""
        return self._server.flusher.log_size

    @property
    def engine_size(self) -> int:
        """Bytes that the engine takes."""
        return self._server.state.table.engine.size

    @property
    def latencies(self) -> Mapping[tuple[str, int], Histogram]:
        """By dialect and operation."""
        return self._server.stats.latencies

    @property
    def sync_latency(self) -> Histogram:
        """Of the log."""
        return self._server.stats.sync_latency

    @property
    def packets_received(self) -> int:
        """Requests of all kinds."""
        return self._server.stats.packets(self._server.connections)[0]

    @property
    def packets_sent(self) -> int:
        """Replies and events."""
        return self._server.stats.packets(self._server.connections)[1]

    @property
    def response_sizes(self) -> tuple[int, int, int]:
        """Last, smallest and largest reply."""
        return self._server.stats.reply_sizes(self._server.connections)

    @property
    def auth_failed_count(self) -> int:
        """Clients that could not prove what they said."""
        return self._server.stats.auth_failed

    @property
    def fsync_threshold_exceed_count(self) -> int:
        """Syncs of the log that took long enough for a warning."""
        return self._server.stats.slow_syncs

    @property
    def counters(self) -> Mapping[str, int]:
        """By mntr's names without zk_."""
        return self._server.stats.counters

    @property
    def summaries(self) -> Mapping[str, Summary]:
        """By mntr's names without zk_avg_ and so on."""
        stats = self._server.stats
        summaries = {"readlatency": stats.reads, "updatelatency": stats.updates, "fsynctime": stats.syncs}
        if self._members:
            summaries |= {
                "election_time": stats.elections,
                "proposal_latency": stats.proposals,
                "quorum_ack_latency": stats.agreements,
            }
        return summaries

    @property
    def config(self) -> Mapping[str, Scalar]:
        """conf's lines."""
        config = self._server.config
        told: dict[str, Scalar] = {
            "client_port": -1 if config.client_port is None else config.client_port,
            "secure_client_port": -1 if config.secure_client_port is None else config.secure_client_port,
            "data_dir": str(config.data_dir),
            "data_log_dir": str(self.log_dir),
            "tick_time": config.tick_time,
            "max_client_cnxns": config.max_client_cnxns,
            "min_session_timeout": config.min_session_timeout,
            "max_session_timeout": config.max_session_timeout,
            "client_port_listen_backlog": config.listen_backlog,
            "server_id": config.server_id,
            "client_port_address": config.client_address,
            "consensus": config.consensus.value,
            "storage": config.storage,
            "jute_maxbuffer": config.max_buffer,
            "global_outstanding_limit": config.outstanding_limit,
        }
        if self._members:
            told |= {"init_limit": config.init_limit, "sync_limit": config.sync_limit}
        for member in self._members:
            client = f";{member.client}" if member.client else ""
            election = member.election.rpartition(":")[2]
            told[f"server.{member.id}"] = f"{member.quorum}:{election}:{member.kind}{client}"
        return told

    @property
    def connections(self) -> Collection[Connection]:
        """To the client port."""
        return self._server.connections

    @property
    def sessions(self) -> Collection[int]:
        """All sessions' ids."""
        return self._server.state.sessions

    @property
    def watches(self) -> Watches[Client]:
        """The watch table."""
        return self._server.watches

    @property
    def quotas_exceeded(self) -> Mapping[str, int]:
        """Writes that went over a quota, by the path's first name."""
        return self._server.stats.quotas_exceeded

    def session_expiry(self) -> Iterable[tuple[int, Collection[int]]]:
        """(monotonic ms, the sessions that expire then)."""
        return self._server.sessions.leases.by_deadline().items()

    def ephemerals(self, session: int) -> Sequence[bytes]:
        """The paths that a session owns."""
        return self._server.state.ephemerals(session)

    def ephemerals_after(self, session: int, path: bytes, limit: int) -> Sequence[bytes]:
        """So many of the paths that a session owns."""
        return self._server.state.ephemerals_after(session, path, limit)

    def session_timeout(self, session: int) -> int | None:
        """In ms; None for a session that is gone."""
        found = self._server.state.sessions.get(session)
        return None if found is None else found.timeout

    def watched(self, session: int) -> Iterator[tuple[bytes, int]]:
        """(path, kinds) of what a session watches here."""
        for connection in self._server.connections:
            if connection.session_id == session:
                yield from self._server.watches.watched(connection)

    def znode(self, path: bytes) -> Znode | None:
        """What is at path."""
        state = self._server.state
        record = state.node(path)
        if record is None:
            return None
        *stat, acl_key, _, kind = TAIL.unpack_from(record, len(record) - TAIL_SIZE)
        acl = state.acl(acl_key)
        public = self._server.config.skip_acl or acls.allows(acl, acls.READ, ())
        ttl = state.ttl(path) if kind == TTL else 0
        return Znode(Stat(*stat), acl, data_of(record), kind == CONTAINER, ttl, public)

    def children_after(self, path: bytes, name: bytes, limit: int) -> Sequence[bytes]:
        """The names of so many children."""
        return self._server.state.children_after(path, name, limit)

    def quotas(self) -> Iterable[tuple[str, int, int, int, int]]:
        """Limits and usage, added up by namespace."""
        sums: dict[str, list[int]] = {}
        state = self._server.state
        for path in sorted(state.quotas):
            limits, usage = state.node(quota.limits_path(path)), state.node(quota.stats_path(path))
            if limits is None or usage is None:
                continue
            may, has = quota.parse(data_of(limits)), quota.parse(data_of(usage))
            figures = (
                may.count_hard if may.count_hard > -1 else may.count,
                may.bytes_hard if may.bytes_hard > -1 else may.bytes,
                has.count,
                has.bytes,
            )
            total = sums.setdefault(path.split(b"/")[1].decode(), [0, 0, 0, 0])
            for at, figure in enumerate(figures):
                total[at] += figure
        for namespace, (count, size, used, held) in sums.items():
            yield namespace, count, size, used, held

    def digests(self) -> Iterable[tuple[int, int] | None]:
        """The digest of the tree as of the last flush, after those that were asked for before; None is
        a step that has no result yet: there may be millions of znodes to read.

        It is the sum of every znode's CRC over key and record, after ZooKeeper's AdHash: servers that
        hold the same tree give the same number.
        """
        with closing(self._server.state.table.engine.snapshot()) as view:
            zxid, digest = zxid_in(view), 0
            if zxid not in self._digests:
                for count, (key, record) in enumerate(view.scan(NODES)):
                    digest += crc32(record, crc32(key))
                    if not count % _STEP:
                        yield None
                self._digests[zxid] = digest & (1 << 64) - 1
        for old in list(self._digests)[:-_DIGESTS]:
            del self._digests[old]
        yield from list(self._digests.items())

    def count_auth_failure(self) -> None:
        """A wrong token."""
        self._server.stats.auth_failed += 1

    @property
    def last_flush(self) -> tuple[int, int]:
        """What the engine holds, and since when."""
        flusher = self._server.flusher
        return flusher.flushed, flusher.flushed_at

    async def backup(self) -> BackupWriter:
        """A backup of what the engine holds, once it holds all that was applied."""
        await self._server.flusher.flush()
        return BackupWriter(self._server.state.table.engine.snapshot(), int(time.time() * 1000))

    def reset_stats(self) -> None:
        """Zero the server's counters."""
        self._server.stats.reset(self._server.connections)

    def reset_connection_stats(self) -> None:
        """Zero every connection's counters."""
        for connection in self._server.connections:
            self._server.stats.left(connection)
            connection.reset_stats()
