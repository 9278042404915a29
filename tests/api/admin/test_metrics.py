"""`/metrics`: what a monitoring system reads, in the format that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from znoded.api.admin import sending
from znoded.storage import ops

from .test_commands import FakeHistogram, FakeServer
from .test_http import Connection, on, request, unread

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path, tmp_path)


def scrape(server: FakeServer) -> Mapping[str, Metric]:
    """Every metric by its name."""
    status, _, body = on(server, lambda connection: connection.ask(request("/metrics")))
    assert status == 200
    return {family.name: family for family in parse(body.decode())}


def values(server: FakeServer, name: str) -> dict[tuple[str, ...], float]:
    """A metric's samples by their labels' values, in the order of the labels' names."""
    samples = scrape(server)[name].samples
    return {tuple(value for _, value in sorted(one.labels.items())): one.value for one in samples}


class TestFigures:
    def test_a_gauge(self, server: FakeServer) -> None:
        assert values(server, "znoded_znodes") == {(): 10}
        assert values(server, "znoded_uptime_seconds") == {(): 30.672}
        assert values(server, "znoded_serving") == {(): 1}

    def test_a_counter(self, server: FakeServer) -> None:
        server.quotas_exceeded = {"app": 2, "else": 1}
        assert values(server, "znoded_packets_received") == {(): 27}
        assert values(server, "znoded_quota_excesses") == {(): 3}
        assert scrape(server)["znoded_quota_excesses"].samples[0].name == "znoded_quota_excesses_total"

    def test_one_of_the_server_s_own_counters(self, server: FakeServer) -> None:
        assert values(server, "znoded_sessions_expired") == {(): 0}
        server.counters = {"stale_sessions_expired": 4}
        assert values(server, "znoded_sessions_expired") == {(): 4}

    def test_connections_are_added_up(self, server: FakeServer) -> None:
        server.anna.dialect = "http"
        server.anna.outstanding, server.bert.outstanding = 3, 4
        server.bert.held = True
        assert values(server, "znoded_connections") == {("zookeeper",): 2, ("http",): 1}
        assert values(server, "znoded_waiting_requests") == {(): 7}
        assert values(server, "znoded_held_connections") == {(): 1}

    def test_a_dialect_that_nobody_speaks_any_more_has_no_connections(self, server: FakeServer) -> None:
        server.latencies = {("websocket", ops.GET_DATA): FakeHistogram((1, 0, 0))}
        server.connections.clear()
        assert values(server, "znoded_connections") == {("websocket",): 0}

    def test_which_server_it_is(self, server: FakeServer) -> None:
        server.mode = "follower"
        assert values(server, "znoded_build_info") == {("false", "0.1.0"): 1}
        assert values(server, "znoded_role") == {("follower",): 1}

    def test_room_is_told_of_directories_that_are_there(self, server: FakeServer, tmp_path: Path) -> None:
        server.log_dir = tmp_path / "none"
        (key,) = values(server, "znoded_disk_free_bytes")
        assert key == ("data",)

    def test_the_process_is_told_of(self, server: FakeServer) -> None:
        names = scrape(server).keys()
        assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= names

    def test_a_server_that_does_not_serve_is_measured_too(self, server: FakeServer) -> None:
        server.serving = False
        assert values(server, "znoded_serving") == {(): 0}


class TestHistograms:
    def test_buckets_hold_those_below_them(self, server: FakeServer) -> None:
        server.latencies = {("http", ops.GET_DATA): FakeHistogram((3, 0, 2), 4.5)}
        samples = scrape(server)["znoded_request_latency_seconds"].samples
        labels = {"dialect": "http", "operation": "getData"}
        assert [(sample.name.rpartition("_")[2], sample.labels, sample.value) for sample in samples] == [
            ("bucket", labels | {"le": "0.001"}, 3),
            ("bucket", labels | {"le": "1.0"}, 3),
            ("bucket", labels | {"le": "+Inf"}, 5),
            ("count", labels, 5),
            ("sum", labels, 4.5),
        ]

    def test_only_what_was_asked_for_has_series(self, server: FakeServer) -> None:
        assert scrape(server)["znoded_request_latency_seconds"].samples == []

    def test_fsyncs(self, server: FakeServer) -> None:
        server.sync_latency = FakeHistogram((0, 1, 0), 0.5)
        samples = scrape(server)["znoded_fsync_seconds"].samples
        assert [sample.value for sample in samples] == [0, 1, 1, 1, 0.5]


class TestHttp:
    def ask(self, server: FakeServer, accept: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        text = f"{method} /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
        return on(server, lambda connection: connection.ask(text))

    def test_without_a_wish(self, server: FakeServer) -> None:
        _, headers, body = self.ask(server, "*/*")
        assert headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b"# TYPE znoded_znodes gauge\nznoded_znodes 10.0\n" in body

    def test_openmetrics(self, server: FakeServer) -> None:
        server.latencies = {("http", ops.GET_DATA): FakeHistogram((3, 0, 2), 4.5)}
        _, headers, body = self.ask(server, OPENMETRICS)
        assert headers["content-type"].startswith(OPENMETRICS)
        names = {family.name for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
        assert {"znoded_znodes", "znoded_packets_received", "znoded_request_latency_seconds"} <= names

    def test_head(self, server: FakeServer) -> None:
        status, headers, _ = self.ask(server, "*/*", "HEAD")
        assert status == 200
        assert int(headers["content-length"]) > 1000

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_it_is_read(self, server: FakeServer, method: str) -> None:
        status, headers, _ = self.ask(server, "*/*", method)
        assert (status, headers["allow"]) == (405, "get,head")

    def test_one_connection_serves_scrape_after_scrape(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> list[int]:
            return [(await connection.ask(request("/metrics")))[0] for _ in range(3)]

        assert on(server, session) == [200, 200, 200]

    def test_who_does_not_read_is_dropped(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        server.version = "0" * 20_000_000
        assert unread(server, "/metrics", sending._log, monkeypatch) < 20_000_000
