"""A snapshot over HTTP: what curl keeps as a file is the backup, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.api.admin import snapshot
from znoded.api.admin.access import Access

from .test_commands import FakeServer
from .test_http import Admin, Connection, Json, on, request, unread


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    server = FakeServer(tmp_path, tmp_path)
    server.access = Access(unauthenticated=True)
    return server


def ask(server: FakeServer, target: str, method: str = "GET") -> tuple[int, dict[str, str], Json]:
    status, headers, body = on(server, lambda connection: connection.ask(request(target, method)))
    answer: Json = json.loads(body)
    return status, headers, answer


def closed(server: FakeServer) -> list[bool]:
    """Of each backup that was begun."""
    return [backup.closed for backup in server.backups]


@pytest.mark.parametrize("target", ["snapshot", "snap", "snapshot?streaming=true", "snapshot?streaming=TRUE"])
def test_a_backup_is_streamed_as_a_file(server: FakeServer, target: str) -> None:
    status, headers, body = on(server, lambda connection: connection.ask(request(f"/commands/{target}")))
    assert (status, body) == (200, b"headerrowsend")
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == 'attachment; filename="znoded-1f.backup"'
    assert (headers["last_zxid"], headers["node_count"]) == ("0x1f", "9")
    assert closed(server) == [True]


@pytest.mark.parametrize("value", ["false", "no", ""])
def test_without_streaming_it_is_only_flushed(server: FakeServer, value: str) -> None:
    status, headers, answer = ask(server, f"/commands/snapshot?streaming={value}")
    assert (status, answer) == (200, {"command": "snapshot", "error": None})
    assert headers["last_zxid"] == "0x1f"
    assert closed(server) == [True]


def test_head_tells_the_same_without_the_rows(server: FakeServer) -> None:
    async def session(connection: Connection) -> dict[str, str]:
        status, headers, _ = await connection.ask(request("/commands/snapshot", "HEAD"))
        assert status == 200
        assert (await connection.ask(request("/commands/ruok")))[0] == 200
        return headers

    assert on(server, session)["last_zxid"] == "0x1f"
    assert closed(server) == [True]
    assert server.backups[0].size == 0


def test_only_what_tells_is_taken(server: FakeServer) -> None:
    status, headers, answer = ask(server, "/commands/snapshot", "POST")
    assert (status, headers["allow"]) == (405, "get, head")
    assert answer["error"] == "snapshot takes GET and HEAD, not POST"
    assert server.backups == []


def test_a_failed_flush_is_told(server: FakeServer) -> None:
    server.chunks = OSError("flush failed: no space")
    status, _, answer = ask(server, "/commands/snapshot")
    assert (status, answer["error"]) == (503, "no snapshot: flush failed: no space")
    server.chunks = (b"again",)
    assert on(server, lambda connection: connection.ask(request("/commands/snapshot")))[2] == b"again"


def test_while_nothing_is_served_there_is_none(server: FakeServer) -> None:
    server.serving = False
    assert ask(server, "/commands/snapshot")[0] == 503


def test_others_are_served_meanwhile_and_one_snapshot_at_a_time(server: FakeServer) -> None:
    served = asyncio.Event()

    def chunks() -> Iterator[bytes]:
        yield b"first"
        while not served.is_set():
            yield b"more"

    server.chunks = chunks()

    async def session() -> tuple[int, bytes]:
        async with Admin(server) as admin:
            first, other = await admin.connect(), await admin.connect()
            first.writer.write(request("/commands/snapshot").encode())
            await first.reader.readuntil(b"first")
            refused, _, body = await other.ask(request("/commands/snapshot"))
            assert (await other.ask(request("/commands/ruok")))[0] == 200
            assert closed(server) == [False]
            served.set()
            await first.reader.readuntil(b"\r\n0\r\n\r\n")
            server.chunks = (b"next",)
            assert (await other.ask(request("/commands/snapshot")))[2] == b"next"
            return refused, body

    status, body = asyncio.run(session())
    assert status == 429
    assert json.loads(body)["error"] == "another snapshot is being read: wait for its end"


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(1 << 16)


def test_a_client_that_does_not_read_is_dropped(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.chunks = endless()
    unread(server, "/commands/snapshot", snapshot._log, monkeypatch)
    assert closed(server) == [True]
    assert server.backups[0].size < 20_000_000


def test_a_client_that_leaves_takes_its_view_along(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.chunks = endless()

    async def session() -> None:
        told = asyncio.Event()
        monkeypatch.setattr(snapshot._log, "warning", lambda *_: told.set())
        async with Admin(server) as admin:
            connection = await admin.connect()
            connection.writer.write(request("/commands/snapshot").encode())
            await connection.reader.readuntil(b"attachment")
            connection.writer.transport.abort()
            await told.wait()
            assert closed(server) == [True]

    asyncio.run(session())


def test_a_fault_on_the_way_ends_the_connection_before_the_end(server: FakeServer) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the view is broken")

    server.chunks = chunks()

    async def session(connection: Connection) -> bytes:
        connection.writer.write(request("/commands/snapshot").encode())
        return await connection.reader.read()

    assert not on(server, session).endswith(b"0\r\n\r\n")
    assert closed(server) == [True]
