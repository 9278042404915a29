"""The admin port over HTTP: AdminServer's answers, on the port that answers words by nc, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from logging import Logger
from pathlib import Path
from typing import TypeAlias, TypeVar

import pytest

from znoded.api.admin import sending, words
from znoded.api.admin.commands import COMMANDS, lead
from znoded.api.admin.port import AdminPort, http
from znoded.api.per_address import PerAddress
from znoded.storage.watches import DATA

from .test_commands import ANNA, BERT, FakeServer

T = TypeVar("T")
Json: TypeAlias = dict[str, object]


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path, tmp_path)


class Connection:
    """A client's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, text: str) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers and the body that answer a request."""
        self.writer.write(text.encode())
        return await self.answer(has_body=not text.startswith("HEAD"))

    async def answer(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = b""
        if not has_body:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return int(first.split()[1]), headers, body


class Admin:
    """An admin port that listens."""

    def __init__(self, server: FakeServer, most: int = 0) -> None:
        """most: connections of an address."""
        self.server = server
        self.by_address = PerAddress(most, "connections to the admin port")

    async def __aenter__(self) -> Admin:
        self.http = http(self.server)
        self.listener = await asyncio.get_running_loop().create_server(
            lambda: AdminPort(self.server, self.http, self.by_address), "127.0.0.1", 0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        await self.http.close()

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(*self.listener.sockets[0].getsockname()))


def on(server: FakeServer, session: Callable[[Connection], Awaitable[T]]) -> T:
    """What a session on one connection comes to."""

    async def run() -> T:
        async with Admin(server) as admin:
            connection = await admin.connect()
            try:
                async with asyncio.timeout(20):
                    return await session(connection)
            finally:
                connection.writer.close()

    return asyncio.run(run())


def request(target: str, method: str = "GET") -> str:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def ask(server: FakeServer, target: str, method: str = "GET") -> tuple[int, dict[str, str], Json]:
    status, headers, body = on(server, lambda connection: connection.ask(request(target, method)))
    assert headers["content-type"] == "application/json"
    answer = json.loads(body)
    assert isinstance(answer, dict)
    return status, headers, answer


def command(server: FakeServer, name: str) -> Json:
    status, _, answer = ask(server, f"/commands/{name}")
    assert status == 200
    return answer


def unread(server: FakeServer, target: str, log: Logger, monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes that come to a client which begins to read when that log has warned of it."""
    told = asyncio.Event()
    monkeypatch.setattr(log, "warning", lambda *_: told.set())
    monkeypatch.setattr(words, "PATIENCE", 0.05)

    async def session() -> int:
        async with Admin(server) as admin:
            await admin.http.protocol()  # the import may take longer than this patience
            connection = await admin.connect()
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            connection.writer.write(request(target).encode())
            await told.wait()
            connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
            try:
                return len(await connection.reader.read())
            except ConnectionResetError:
                return 0

    return asyncio.run(session())


def watch(server: FakeServer) -> None:
    server.watches.add(b"/app/cfg", server.bert, DATA)
    server.watches.add(b"/app/cfg", server.anna, DATA)
    server.watches.add(b"/nope", server.bert, DATA)


class TestAnswers:
    def test_an_answer_has_its_command_and_no_error(self, server: FakeServer) -> None:
        assert command(server, "ruok") == {"command": "ruok", "error": None}

    def test_all_of_a_flat_answer_s_keys_are_at_the_top(self, server: FakeServer) -> None:
        answer = command(server, "configuration")
        assert (answer["client_port"], answer["tick_time"]) == (2181, 2000)
        assert list(answer)[-2:] == ["command", "error"]

    def test_server_stats(self, server: FakeServer) -> None:
        answer = command(server, "server_stats")
        assert list(answer) == [
            "version", "read_only", "server_stats", "client_response", "node_count", "command", "error",
        ]  # fmt: skip
        assert answer["client_response"] == {
            "last_buffer_size": 93, "min_buffer_size": 16, "max_buffer_size": 93,
        }  # fmt: skip

    def test_stats_have_the_connections_in_brief(self, server: FakeServer) -> None:
        answer = command(server, "stats")
        assert list(answer)[5:] == ["connections", "secure_connections", "command", "error"]
        assert isinstance(answer["connections"], list)
        assert answer["connections"][0] == {
            "remote_socket_address": "127.0.0.1:34196", "interest_ops": 1, "outstanding_requests": 0,
            "packets_received": 7, "packets_sent": 8,
        }  # fmt: skip

    def test_connections(self, server: FakeServer) -> None:
        answer = command(server, "connections")
        assert isinstance(answer["connections"], list)
        assert [row["session_id"] for row in answer["connections"]] == [BERT, ANNA, 0]
        assert answer["secure_connections"] == []

    def test_dump(self, server: FakeServer) -> None:
        answer = command(server, "dump")
        assert isinstance(answer["expiry_time_to_session_ids"], dict)
        assert list(answer["expiry_time_to_session_ids"].values()) == [[ANNA], [BERT]]
        assert answer["session_id_to_ephemeral_paths"] == {
            str(ANNA): ["/app/e1", "/app/e2"],
            str(BERT): ["/app/e3"],
        }
        assert len(answer) == 4

    def test_hash(self, server: FakeServer) -> None:
        server.digest_list = [(0x80, 13214775912), (0x100, 9844876303)]
        assert command(server, "hash")["digests"] == [
            {"zxid": 0x80, "digest_version": 2, "digest": 13214775912},
            {"zxid": 0x100, "digest_version": 2, "digest": 9844876303},
        ]

    def test_watches(self, server: FakeServer) -> None:
        watch(server)
        by_session = command(server, "watches")["session_id_to_watched_paths"]
        assert by_session == {str(BERT): ["/app/cfg", "/nope"], str(ANNA): ["/app/cfg"]}
        by_path = command(server, "watches_by_path")["path_to_session_ids"]
        assert by_path == {"/app/cfg": [BERT, ANNA], "/nope": [BERT]}

    def test_no_watches(self, server: FakeServer) -> None:
        assert command(server, "watches_by_path")["path_to_session_ids"] == {}

    def test_paths_are_quoted(self, server: FakeServer) -> None:
        server.watches.add('/"\n\\é'.encode(), server.anna, DATA)
        assert command(server, "wchp")["path_to_session_ids"] == {'/"\n\\é': [ANNA]}

    def test_a_server_that_does_not_serve_says_so(self, server: FakeServer) -> None:
        server.serving = False
        assert command(server, "srvr") == {
            "command": "server_stats",
            "error": "This ZooKeeper instance is not currently serving requests",
        }
        assert command(server, "ruok")["error"] is None


class TestNames:
    def test_every_name_leads_to_its_command(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> None:
            for name, known in COMMANDS.items():
                method = "POST" if known.changes else "GET"
                status, _, body = await connection.ask(request(f"/commands/{name}?traceMask=2", method))
                answer = json.loads(body)
                assert (status, answer["command"]) == (200, known.names[0])
                assert (answer["error"] is None) == (known is not lead)  # standalone, there is none

        on(server, session)

    def test_every_word_is_one(self) -> None:
        assert {word.decode() for word in words.WORDS} <= COMMANDS.keys()

    @pytest.mark.parametrize("target", ["/commands", "/commands/"])
    def test_the_list(self, server: FakeServer, target: str) -> None:
        status, _, answer = ask(server, target)
        assert (status, answer["command"], answer["error"]) == (200, "commands", None)
        listed = answer["commands"]
        assert isinstance(listed, list)
        assert {"name": "environment", "aliases": ["env", "envi"], "methods": ["GET", "HEAD"]} in listed
        assert {"name": "stat_reset", "aliases": ["srst"], "methods": ["POST"]} in listed
        assert {"name": "snapshot", "aliases": ["snap"], "methods": ["GET", "HEAD"]} in listed
        assert len(listed) == len(set(COMMANDS.values())) + 1

    def test_an_unknown_one(self, server: FakeServer) -> None:
        status, _, answer = ask(server, "/commands/nope")
        assert (status, answer) == (404, {"command": "nope", "error": "Unknown command: nope"})

    @pytest.mark.parametrize(
        "target", ["/else", "/page/data.py", "/commands/ruok/more", "/commands/%2F", "/%ff"]
    )
    def test_elsewhere_there_is_nothing(self, server: FakeServer, target: str) -> None:
        status, _, answer = ask(server, target)
        assert status == 404
        assert answer["error"]


class TestMethods:
    @pytest.mark.parametrize("name", ["srst", "crst", "stmk", "stat_reset"])
    def test_what_changes_something_needs_post(self, server: FakeServer, name: str) -> None:
        status, headers, answer = ask(server, f"/commands/{name}?traceMask=2")
        assert (status, headers["allow"]) == (405, "post")
        assert answer["error"]
        assert (server.resets, server.trace_mask) == ([], 306)

    def test_it_does_it_by_post(self, server: FakeServer) -> None:
        assert ask(server, "/commands/srst", "POST")[0] == 200
        assert ask(server, "/commands/crst", "POST")[0] == 200
        assert server.resets == ["server", "connections"]
        assert ask(server, "/commands/stmk?traceMask=42", "POST")[2]["tracemask"] == 42
        assert server.trace_mask == 42

    @pytest.mark.parametrize("mask", ["", "x", "9223372036854775808", "-9223372036854775809"])
    def test_a_mask_that_is_none(self, server: FakeServer, mask: str) -> None:
        _, _, answer = ask(server, f"/commands/stmk?traceMask={mask}", "POST")
        assert answer["error"] == f"setTraceMask requires long traceMask argument, got {mask}"
        assert server.trace_mask == 306

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    @pytest.mark.parametrize("target", ["/commands", "/commands/ruok"])
    def test_what_tells_is_read(self, server: FakeServer, target: str, method: str) -> None:
        status, headers, answer = ask(server, target, method)
        assert (status, headers["allow"]) == (405, "get, head")
        assert answer["error"]

    def test_head(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> None:
            status, headers, _ = await connection.ask(request("/commands/wchp", "HEAD"))
            assert (status, headers["content-type"]) == (200, "application/json")
            status, _, body = await connection.ask(request("/commands/ruok"))
            assert (status, json.loads(body)["command"]) == (200, "ruok")

        on(server, session)


class TestConnections:
    def test_words_and_http_on_one_port(self, server: FakeServer) -> None:
        async def session() -> tuple[bytes, int]:
            async with Admin(server) as admin:
                by_http, by_nc = await admin.connect(), await admin.connect()
                by_nc.writer.write(b"ruok\n")
                status, _, _ = await by_http.ask(request("/commands/ruok"))
                return await by_nc.reader.read(), status

        assert asyncio.run(session()) == (b"imok", 200)

    def test_a_request_in_pieces(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> int:
            for piece in ("G", "ET /comm", "ands/ruok HTTP/1.1\r\nHost: l"):
                connection.writer.write(piece.encode())
                await connection.writer.drain()
                await asyncio.sleep(0)
            return (await connection.ask("ocalhost\r\n\r\n"))[0]

        assert on(server, session) == 200

    def test_pipelined_requests(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> list[str]:
            connection.writer.write((request("/commands/ruok") + request("/commands/isro")).encode())
            return [json.loads((await connection.answer())[2])["command"] for _ in range(2)]

        assert on(server, session) == ["ruok", "is_read_only"]

    def test_http_1_0(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> bytes:
            _, _, body = await connection.ask("GET /commands/ruok HTTP/1.0\r\n\r\n")
            return body

        assert json.loads(on(server, session)) == {"command": "ruok", "error": None}

    @pytest.mark.parametrize(
        "text",
        [
            "GET \x01\x02\x03\r\n\r\n",
            "HEADache\r\n\r\n",
            "POST /commands/srst HTTP/9.9.9\r\n\r\n",
            f"GET /{'x' * 20_000} HTTP/1.1\r\n\r\n",
            f"GET / HTTP/1.1\r\nX: {'x' * 20_000}\r\n\r\n",
        ],
        ids=["control characters", "not a verb", "no version", "a long line", "a long header"],
    )
    def test_what_is_no_request_is_refused_and_closed(self, server: FakeServer, text: str) -> None:
        async def session(connection: Connection) -> bytes:
            connection.writer.write(text.encode())
            return await connection.reader.read()

        assert on(server, session).split()[1] == b"400"
        assert server.resets == []

    @pytest.mark.parametrize(
        "start", ["GET ", "GET /commands/ruok HTTP/1.1\r\nHost:", request("/commands/ruok")]
    )
    def test_who_says_no_more_is_not_waited_for(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch, start: str
    ) -> None:
        async def session() -> None:
            async with Admin(server) as admin:
                await admin.http.protocol()  # the import may take longer than this patience
                connection = await admin.connect()
                connection.writer.write(start.encode())
                await connection.reader.read()

        monkeypatch.setattr(words, "PATIENCE", 0.05)
        asyncio.run(session())

    def test_a_body_is_not_kept(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(words, "PATIENCE", 1.0)
        head = "POST /commands/srst HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
        assert on(server, lambda connection: connection.ask(head))[0] == 200

    def test_a_fault_is_told_and_logged(self, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
        server.summaries = {}
        assert on(server, lambda connection: connection.ask(request("/commands/srvr")))[0] == 500
        assert "KeyError" in caplog.text

    def test_an_address_may_have_so_many(self, server: FakeServer) -> None:
        """Whether they speak HTTP, or nothing as yet; who has ended makes room."""

        async def session() -> None:
            async with Admin(server, most=2) as admin:
                by_http, silent = await admin.connect(), await admin.connect()
                assert (await by_http.ask(request("/commands/ruok")))[0] == 200
                assert await is_refused(await admin.connect())
                assert (await by_http.ask(request("/commands/ruok")))[0] == 200
                for ended in (by_http, silent):
                    ended.writer.close()
                again: list[Connection] = []
                while len(again) < 2:
                    connection = await admin.connect()
                    if not await is_refused(connection):
                        again.append(connection)
                assert await is_refused(await admin.connect())

        async def is_refused(connection: Connection) -> bool:
            try:
                return (await connection.ask(request("/commands/ruok")))[0] != 200
            except (ConnectionError, asyncio.IncompleteReadError):
                return True

        asyncio.run(session())

    def test_all_ends_with_the_port(self, server: FakeServer) -> None:
        async def session() -> bytes:
            async with Admin(server) as admin:
                connection = await admin.connect()
                await connection.ask(request("/commands/ruok"))
            return await connection.reader.read()

        assert asyncio.run(session()) == b""

    def test_aiohttp_is_not_there_before_it_is_asked_for(self, server: FakeServer) -> None:
        async def session(connection: Connection) -> bytes:
            connection.writer.write(b"ruok")
            return await connection.reader.read()

        async def run() -> None:
            async with Admin(server) as admin:
                assert await session(await admin.connect()) == b"imok"
                assert admin.http._starting is None

        asyncio.run(run())


class TestLongAnswers:
    def test_others_have_their_turn(self, server: FakeServer) -> None:
        crowd = 100_000
        for number in range(crowd):
            server.watches.add(b"/%06d" % number, server.anna, DATA)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def session(connection: Connection) -> bytes:
            task = asyncio.get_running_loop().create_task(others())
            try:
                return (await connection.ask(request("/commands/wchp")))[2]
            finally:
                task.cancel()

        body = on(server, session)
        assert len(json.loads(body)["path_to_session_ids"]) == crowd
        assert turns >= crowd // words.STEPS

    def test_a_client_that_does_not_read_is_dropped(
        self, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(5000):
            server.watches.add(b"/%04000d" % number, server.anna, DATA)
        assert unread(server, "/commands/wchp", sending._log, monkeypatch) < 20_000_000
