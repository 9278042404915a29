"""What the commands answer, as data; the keys are AdminServer's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from znoded.api.admin import commands
from znoded.api.admin.access import Access
from znoded.api.admin.commands import COMMANDS, Refused
from znoded.api.admin.ensemble import Ensemble
from znoded.api.admin.view import Sample, Scalar, Znode
from znoded.storage import ops
from znoded.storage.watches import CHILD, DATA, PERSISTENT, Watches

ANNA, BERT = 0x100000FA9050000, 0x100000FA9050001


@dataclass
class Values:
    """A Summary that keeps every value."""

    values: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.count = len(self.values)
        self.total = sum(self.values)
        self.minimum = min(self.values, default=0)
        self.maximum = max(self.values, default=0)

    def percentile(self, fraction: float) -> int:
        return sorted(self.values)[round(fraction * (self.count - 1))] if self.values else 0


@dataclass
class FakeHistogram:
    """Up to 1 ms, up to a second, longer."""

    counts: Sequence[int] = (0, 0, 0)
    total: float = 0.0
    bounds: Sequence[float] = (0.001, 1.0)


@dataclass(eq=False)
class FakeConnection:
    host: str = "127.0.0.1"
    port: int = 34182
    established: int = 1795253963327
    heard: float = 1000.0
    session_id: int = ANNA
    session_timeout: int = 10000
    packets_received: int = 11
    packets_sent: int = 12
    last_op: int = ops.GET_DATA
    last_cxid: int = 10
    last_zxid: int = 8
    last_response: int = 1056591
    last_latency: int = 1
    min_latency: int = 0
    max_latency: int = 7
    latency_total: int = 19
    latency_count: int = 11
    outstanding: int = 0
    interest_ops: int = 1
    secure: bool = False
    held: bool = False
    dialect: str = "zookeeper"


class FakeBackup:
    """Counts a row a chunk."""

    zxid = 0x1F
    node_count = 9

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.rows = self.size = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.rows += 1
            self.size += len(chunk)
            yield chunk

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeServer:
    """A server with two clients and a third connection that asks a word."""

    data_dir: Path
    log_dir: Path
    trace_mask: int = int(commands.Trace.DEFAULT)
    version: str = "0.1.0"
    mode: str = "standalone"
    serving: bool = True
    uptime: int = 30672
    zxid: int = 8
    node_count: int = 10
    ephemerals_count: int = 3
    data_size: int = 184
    outstanding: int = 0
    compiled: bool = False
    refusing: bool = False
    unflushed: int = 0
    flush_behind: bool = False
    flush_failing: bool = False
    flush_failures: int = 0
    log_size: int = 300
    engine_size: int = 4096
    latencies: Mapping[tuple[str, int], FakeHistogram] = field(default_factory=dict)
    sync_latency: FakeHistogram = field(default_factory=FakeHistogram)
    packets_received: int = 27
    packets_sent: int = 28
    response_sizes: tuple[int, int, int] = (93, 16, 93)
    auth_failed_count: int = 0
    fsync_threshold_exceed_count: int = 0
    counters: Mapping[str, int] = field(default_factory=lambda: {"bytes_received_count": 806})
    quotas_exceeded: Mapping[str, int] = field(default_factory=dict)
    quota_list: Sequence[tuple[str, int, int, int, int]] = ()
    digest_list: Sequence[tuple[int, int]] = ()
    expiry: Mapping[int, Sequence[int]] = field(default_factory=lambda: {1020_000: [BERT], 1010_000: [ANNA]})
    history: Sequence[Sample] = ()
    resets: list[str] = field(default_factory=list)
    access: Access = field(default_factory=Access)
    ensemble: Ensemble | None = None
    last_flush: tuple[int, int] = (0x1F, 1795253963)
    chunks: Iterable[bytes] | OSError = (b"header", b"rows", b"end")
    backups: list[FakeBackup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.anna = FakeConnection()
        self.bert = FakeConnection(
            port=34196, session_id=BERT, session_timeout=20000, packets_received=7, packets_sent=8,
            established=1795253963338, last_op=ops.CREATE, last_cxid=6, last_latency=0, max_latency=3,
            latency_total=8, latency_count=7, last_response=1056592,
        )  # fmt: skip
        self.asker = FakeConnection(
            port=34206, session_id=0, session_timeout=0, packets_received=1, packets_sent=0,
            interest_ops=0, last_op=0, last_cxid=-1,
        )  # fmt: skip
        self.connections = [self.bert, self.anna, self.asker]
        self.owned = {ANNA: [b"/app/e1", b"/app/e2"], BERT: [b"/app/e3"], 5: []}
        self.sessions = self.owned.keys()
        self.watches: Watches[FakeConnection] = Watches()
        self.summaries = {"readlatency": Values([0, 0, 1, 0, 3]), "updatelatency": Values([1, 1, 7, 1])}
        self.config: dict[str, Scalar] = {
            "client_port": 2181,
            "secure_client_port": -1,
            "data_dir": str(self.data_dir),
            "data_log_dir": str(self.log_dir),
            "tick_time": 2000,
            "max_client_cnxns": 60,
            "min_session_timeout": 4000,
            "max_session_timeout": 40000,
            "client_port_listen_backlog": -1,
            "server_id": 0,
        }

    def session_expiry(self) -> Iterator[tuple[int, Sequence[int]]]:
        yield from self.expiry.items()

    def ephemerals(self, session: int) -> Sequence[bytes]:
        return self.owned[session]

    def quotas(self) -> Sequence[tuple[str, int, int, int, int]]:
        return self.quota_list

    def digests(self) -> Sequence[tuple[int, int]]:
        return self.digest_list

    def count_auth_failure(self) -> None:
        self.auth_failed_count += 1

    async def backup(self) -> FakeBackup:
        if isinstance(self.chunks, OSError):
            raise self.chunks
        backup = FakeBackup(self.chunks)
        self.backups.append(backup)
        return backup

    def ephemerals_after(self, session: int, path: bytes, limit: int) -> Sequence[bytes]:
        return [owned for owned in self.owned[session] if owned > path][:limit]

    def session_timeout(self, session: int) -> int | None:
        return 10000 if session in self.sessions else None

    def watched(self, session: int) -> Iterator[tuple[bytes, int]]:
        for connection in self.connections:
            if connection.session_id == session:
                yield from self.watches.watched(connection)

    def znode(self, path: bytes) -> Znode | None:
        return None

    def children_after(self, path: bytes, name: bytes, limit: int) -> Sequence[bytes]:
        return ()

    def reset_stats(self) -> None:
        self.resets.append("server")

    def reset_connection_stats(self) -> None:
        self.resets.append("connections")


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    data, log = tmp_path / "data", tmp_path / "log"
    (data / "engine").mkdir(parents=True)
    log.mkdir()
    (data / "myid").write_bytes(b"1\n")
    (data / "engine" / "data.mdb").write_bytes(bytes(4096))
    (log / "1.log").write_bytes(bytes(300))
    return FakeServer(data, log)


def test_a_command_goes_by_each_of_its_names() -> None:
    assert COMMANDS["configuration"] is COMMANDS["conf"] is COMMANDS["config"] is commands.conf
    assert {command.names for command in COMMANDS.values()} == {
        ("connection_stat_reset", "crst"),
        ("configuration", "conf", "config"),
        ("connections", "cons"),
        ("hash",),
        ("dirs",),
        ("dump",),
        ("environment", "env", "envi"),
        ("get_trace_mask", "gtmk"),
        ("is_read_only", "isro"),
        ("last_snapshot", "lsnp"),
        ("leader", "lead"),
        ("voting_view",),
        ("observers", "obsr"),
        ("zabstate",),
        ("initial_configuration", "icfg"),
        ("monitor", "mntr"),
        ("ruok",),
        ("set_trace_mask", "stmk"),
        ("server_stats", "srvr"),
        ("stats", "stat"),
        ("stat_reset", "srst"),
        ("watches", "wchc"),
        ("watches_by_path", "wchp"),
        ("watch_summary", "wchs"),
    }


def test_without_a_majority_only_what_needs_none_is_answered(server: FakeServer) -> None:
    server.serving = False
    answered = set()
    for name, command in COMMANDS.items():
        try:
            command(server, {"traceMask": "2"})
            answered.add(name)
        except Refused as refused:
            assert str(refused) == "This ZooKeeper instance is not currently serving requests"
    names = "ruok is_read_only isro environment env envi get_trace_mask gtmk set_trace_mask stmk zabstate"
    assert answered == set(names.split())
    assert server.resets == []


def test_last_snapshot_tells_what_a_restart_begins_from(server: FakeServer) -> None:
    assert commands.lsnp(server) == {"zxid": "1f", "timestamp": 1795253963}


def test_before_the_first_there_is_none(server: FakeServer) -> None:
    server.last_flush = (-1, -1)
    assert commands.lsnp(server) == {"zxid": "ffffffffffffffff", "timestamp": -1}


def test_a_standalone_server_has_no_ensemble(server: FakeServer) -> None:
    assert commands.voting_view(server) == {"current_config": {}}
    assert commands.obsr(server) == {"synced_observers": 0, "observers": []}
    assert commands.zabstate(server) == {"voting": False, "zabstate": ""}
    with pytest.raises(Refused, match="standalone"):
        commands.lead(server)


def test_conf_tells_the_size_of_each_directory(server: FakeServer) -> None:
    values = commands.conf(server)
    assert list(values) == [
        "client_port", "secure_client_port", "data_dir", "data_dir_size", "data_log_dir", "data_log_size",
        "tick_time", "max_client_cnxns", "min_session_timeout", "max_session_timeout",
        "client_port_listen_backlog", "server_id",
    ]  # fmt: skip
    assert (values["data_dir_size"], values["data_log_size"]) == (4098, 300)
    assert commands.dirs(server) == {"datadir_size": 4098, "logdir_size": 300}


def test_a_directory_that_is_not_there_has_no_size(server: FakeServer, tmp_path: Path) -> None:
    server.log_dir = tmp_path / "none"
    assert commands.dirs(server)["logdir_size"] == 0


def test_the_version_begins_with_the_zookeeper_it_speaks_like(server: FakeServer) -> None:
    assert commands.srvr(server).version == "3.9.3-znoded-0.1.0"
    assert commands.envi(server)["zookeeper.version"] == "3.9.3-znoded-0.1.0"


def test_srvr_has_adminservers_keys(server: FakeServer) -> None:
    answer = commands.srvr(server)
    assert answer.server_stats == {
        "min_latency": 0,
        "avg_latency": 1.5556,
        "max_latency": 7,
        "packets_received": 27,
        "packets_sent": 28,
        "num_alive_client_connections": 3,
        "outstanding_requests": 0,
        "last_processed_zxid": 8,
        "server_state": "standalone",
        "uptime": 30672,
        "data_dir_size": 4098,
        "log_dir_size": 300,
        "fsync_threshold_exceed_count": 0,
        "auth_failed_count": 0,
    }
    assert answer.client_response == {"last_buffer_size": 93, "min_buffer_size": 16, "max_buffer_size": 93}
    assert (answer.read_only, answer.node_count) == (False, 10)


@pytest.mark.parametrize(
    ("reads", "updates", "latency"),
    [
        ([], [], (0, 0.0, 0)),
        ([3], [], (3, 3.0, 3)),
        ([], [5, 2], (2, 3.5, 5)),
        ([2] * 31, [3], (2, 2.0313, 3)),  # 2.03125: halves go up
    ],
)
def test_latency_is_of_reads_and_updates_together(
    server: FakeServer, reads: list[int], updates: list[int], latency: tuple[int, float, int]
) -> None:
    server.summaries = {"readlatency": Values(reads), "updatelatency": Values(updates)}
    stats = commands.srvr(server).server_stats
    assert (stats["min_latency"], stats["avg_latency"], stats["max_latency"]) == latency


def test_connections_in_full_and_in_brief(server: FakeServer) -> None:
    server.connections = [server.anna]
    full = {
        "remote_socket_address": "127.0.0.1:34182",
        "interest_ops": 1,
        "outstanding_requests": 0,
        "packets_received": 11,
        "packets_sent": 12,
        "session_id": ANNA,
        "last_operation": "GETD",
        "established": 1795253963327,
        "session_timeout": 10000,
        "last_cxid": 10,
        "last_zxid": 8,
        "last_response_time": 1056591,
        "last_latency": 1,
        "min_latency": 0,
        "avg_latency": 1,
        "max_latency": 7,
    }
    assert list(commands.cons(server).connections) == [full]
    assert list(commands.stat(server).connections) == [dict(list(full.items())[:5])]


def test_no_request_yet(server: FakeServer) -> None:
    server.connections = [FakeConnection(last_op=0, latency_count=0, latency_total=0)]
    (row,) = commands.cons(server).connections
    assert (row["last_operation"], row["avg_latency"]) == ("NA", 0)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("::1", "[0:0:0:0:0:0:0:1]:34182"),
        ("2001:db8::a0:0b", "[2001:db8:0:0:0:0:a0:b]:34182"),
        ("fe80::1%eth0", "[fe80:0:0:0:0:0:0:1]:34182"),
    ],
)
def test_ipv6_addresses_are_written_as_java_does(server: FakeServer, host: str, address: str) -> None:
    server.connections = [FakeConnection(host=host)]
    (row,) = commands.cons(server).connections
    assert row["remote_socket_address"] == address


def test_dump_is_in_the_order_of_expiry(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_795_254_000.0)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.5)
    answer = commands.dump(server)
    start = 1_795_254_000_000 - 1_000_500
    assert answer.expiry_time_to_session_ids == [(start + 1010_000, [ANNA]), (start + 1020_000, [BERT])]
    assert answer.expiry_time_to_connections == [
        (start + 1000_000, [("127.0.0.1:34206", 0)]),
        (start + 1010_000, [("127.0.0.1:34182", ANNA)]),
        (start + 1020_000, [("127.0.0.1:34196", BERT)]),
    ]
    assert list(answer.session_id_to_ephemeral_paths) == [
        (ANNA, ["/app/e1", "/app/e2"]),
        (BERT, ["/app/e3"]),
        (5, []),
    ]


def test_envi_says_where_it_runs(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    values = commands.envi(server)
    assert values["user.dir"] == str(Path.cwd())
    assert (values["user.name"], values["user.home"]) == ("4000000000", "<NA>")
    assert not any(name.startswith("java.") for name in values)


def test_mntr_has_a_line_for_what_never_happened(server: FakeServer) -> None:
    values = commands.mntr(server)
    assert values["bytes_received_count"] == 806
    assert values["connection_rejected"] == 0
    assert set(commands.COUNTERS) <= set(values)


def test_mntr_summaries(server: FakeServer) -> None:
    server.summaries["fsynctime"] = Values([1, 2, 2, 9])
    values = commands.mntr(server)
    assert {name: value for name, value in values.items() if name.endswith("_fsynctime")} == {
        "avg_fsynctime": 3.5,
        "min_fsynctime": 1,
        "max_fsynctime": 9,
        "cnt_fsynctime": 4,
        "sum_fsynctime": 14,
        "p50_fsynctime": 2,
        "p95_fsynctime": 9,
        "p99_fsynctime": 9,
        "p999_fsynctime": 9,
    }


def test_mntr_counts_watches_of_both_kinds_and_persistent_ones_twice(server: FakeServer) -> None:
    server.watches.add(b"/a", server.anna, DATA)
    server.watches.add(b"/a", server.anna, CHILD)
    server.watches.add(b"/b", server.bert, PERSISTENT)
    assert commands.mntr(server)["watch_count"] == 4
    assert commands.wchs(server) == {"num_connections": 2, "num_paths": 2, "num_total_watches": 2}


def test_mntr_tells_quotas_by_namespace(server: FakeServer) -> None:
    server.quota_list = [("app", 100, -1, 7, 250)]
    server.quotas_exceeded = {"app": 2}
    values = commands.mntr(server)
    assert {name: value for name, value in values.items() if "quota" in name} == {
        "app_quota_count_limit_per_namespace": 100,
        "app_quota_bytes_limit_per_namespace": -1,
        "app_quota_count_usage_per_namespace": 7,
        "app_quota_bytes_usage_per_namespace": 250,
        "app_quota_exceeded_error_per_namespace": 2,
    }


def test_mntr_counts_files(server: FakeServer, tmp_path: Path) -> None:
    def count() -> int:
        value = commands.mntr(server)["open_file_descriptor_count"]
        assert isinstance(value, int)
        return value

    before = count()
    with (tmp_path / "one more").open("w"):
        assert count() == before + 1


def test_resets(server: FakeServer) -> None:
    assert commands.srst(server) == commands.crst(server) == {}
    assert server.resets == ["server", "connections"]


def test_isro(server: FakeServer) -> None:
    assert commands.isro(server) == {"read_only": False}
    server.mode = "read-only"
    assert commands.isro(server) == {"read_only": True}
    server.serving = False
    assert commands.isro(server) == {"read_only": None}


def test_the_trace_mask_can_be_read_and_set(server: FakeServer) -> None:
    assert commands.gtmk(server) == {"tracemask": 306}
    assert commands.stmk(server, {"traceMask": "-2"}) == {"tracemask": -2}
    assert server.trace_mask == -2


@pytest.mark.parametrize("query", [{}, {"traceMask": ""}, {"traceMask": "all"}])
def test_a_trace_mask_is_a_number(server: FakeServer, query: dict[str, str]) -> None:
    with pytest.raises(Refused, match="setTraceMask requires long traceMask argument"):
        commands.stmk(server, query)
    assert server.trace_mask == 306


def test_watches_by_session_and_by_path(server: FakeServer) -> None:
    server.watches.add(b"/app/cfg", server.bert, DATA)
    server.watches.add(b"/nope", server.bert, DATA)
    server.watches.add(b"/app/cfg", server.anna, DATA)
    by_session = commands.wchc(server).session_id_to_watched_paths
    assert list(by_session) == [(BERT, "/app/cfg"), (BERT, "/nope"), (ANNA, "/app/cfg")]
    by_path = commands.wchp(server).path_to_session_ids
    assert list(by_path) == [("/app/cfg", BERT), ("/app/cfg", ANNA), ("/nope", BERT)]


def test_hash(server: FakeServer) -> None:
    server.digest_list = [(0x80, 13214775912), (0x100, 9844876303)]
    assert list(commands.hash_(server).digests) == [(0x80, 13214775912), (0x100, 9844876303)]
