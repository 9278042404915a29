"""Who may ask the admin port: by token, from loopback, and not by way of a web page."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path

import pytest

from znoded.api.admin.access import Access, is_loopback

from .test_commands import FakeServer
from .test_http import Admin, Connection, on

TOKEN = "abcdefgh-0123456789"


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path, tmp_path)


def ask(
    server: FakeServer,
    *headers: str,
    target: str = "/commands/srvr",
    method: str = "GET",
    host: str = "localhost:8080",
) -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return on(server, lambda connection: connection.ask("\r\n".join(lines)))


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def word(server: FakeServer, name: bytes) -> bytes:
    async def session(connection: Connection) -> bytes:
        connection.writer.write(name)
        return await connection.reader.read()

    return on(server, session)


class TestToken:
    @pytest.fixture(autouse=True)
    def _token(self, server: FakeServer) -> None:
        server.access = Access(TOKEN)

    @pytest.mark.parametrize(
        "header",
        [
            f"Authorization: Bearer {TOKEN}",
            f"Authorization: bearer  {TOKEN}",
            basic("", TOKEN),
            basic("anyone", TOKEN),
        ],
    )
    def test_who_brings_it_is_answered(self, server: FakeServer, header: str) -> None:
        assert ask(server, header)[0] == 200
        assert server.auth_failed_count == 0

    @pytest.mark.parametrize(
        "header",
        [
            f"Authorization: Bearer {TOKEN}x",
            "Authorization: Bearer",
            "Authorization: Bearer t\u00f6ken",
            f"Authorization: {TOKEN}",
            f"Authorization: Digest {TOKEN}",
            basic(TOKEN, ""),
            "Authorization: Basic ***",
            f"Authorization: Basic {TOKEN}",
        ],
    )
    def test_who_brings_another_is_not_and_counts(self, server: FakeServer, header: str) -> None:
        status, headers, body = ask(server, header)
        assert (status, headers["www-authenticate"]) == (401, 'basic realm="znoded"')
        assert "token" in json.loads(body)["error"]
        assert server.auth_failed_count == 1

    def test_a_browser_asks_its_user_and_has_not_failed_yet(self, server: FakeServer) -> None:
        assert ask(server, target="/")[0] == 401
        assert server.auth_failed_count == 0

    @pytest.mark.parametrize("target", ["/", "/commands", "/commands/ruok", "/metrics", "/else"])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
    def test_nothing_is_told_without_it(self, server: FakeServer, target: str, method: str) -> None:
        assert ask(server, target=target, method=method)[0] == 401

    def test_it_is_asked_for_by_any_name(self, server: FakeServer) -> None:
        assert ask(server, basic("", TOKEN), host="zk1.example.org")[0] == 200

    def test_wrong_ones_are_logged_once_a_minute_and_never_shown(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def session(connection: Connection) -> None:
            for _ in range(3):
                await connection.ask(
                    "GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-number-one\r\n\r\n"
                )

        on(server, session)
        assert server.auth_failed_count == 3
        (line,) = [record.getMessage() for record in caplog.records if "token" in record.getMessage()]
        assert line == "wrong tokens on the admin port: 1, the last from 127.0.0.1"
        assert TOKEN not in repr(server.access)

    @pytest.mark.parametrize("name", [b"stat", b"conf", b"srst", b"stmk\0\0\0\0\0\0\0\1"])
    def test_words_can_not_bring_it(self, server: FakeServer, name: bytes) -> None:
        assert b"only HTTP can bring" in word(server, name)
        assert (server.resets, server.trace_mask) == ([], 306)

    def test_two_words_tell_nothing_that_needs_it(self, server: FakeServer) -> None:
        assert (word(server, b"ruok"), word(server, b"isro")) == (b"imok", b"rw")


class TestHost:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST.:8080",
            "127.0.0.1",
            "127.0.0.2:80",
            "[::1]:8080",
            "[::1]",
            "10.1.2.3:8080",
            "",
        ],
    )
    def test_addresses_and_localhost_are_ours(self, server: FakeServer, host: str) -> None:
        assert ask(server, host=host)[0] == 200

    def test_so_is_what_the_configuration_names(self, server: FakeServer) -> None:
        server.access = Access(unauthenticated=True, names=frozenset(("zk1.example.org",)))
        assert ask(server, host="ZK1.example.org:8080")[0] == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "localhost.evil.example:8080", "evil.localhost", "127.0.0.1.evil.example"],
    )
    @pytest.mark.parametrize("access", [Access(), Access(unauthenticated=True)])
    def test_another_name_may_have_been_led_here(self, server: FakeServer, host: str, access: Access) -> None:
        server.access = access
        status, _, body = ask(server, host=host)
        assert status == 421
        assert "other names" in json.loads(body)["error"]


class TestPages:
    @pytest.mark.parametrize("access", [Access(), Access(TOKEN)])
    @pytest.mark.parametrize(
        "headers",
        [
            ("Origin: http://evil.example",),
            ("Origin: null",),
            ("Origin: http://localhost:9090",),
            ("Sec-Fetch-Site: cross-site",),
            ("Sec-Fetch-Site: same-site", "Origin: http://localhost:9090"),
            ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        ],
    )
    def test_a_foreign_one_changes_nothing(
        self, server: FakeServer, headers: tuple[str, ...], access: Access
    ) -> None:
        server.access = access
        status, _, body = ask(server, *headers, basic("", TOKEN), target="/commands/srst", method="POST")
        assert status == 403
        assert "another site" in json.loads(body)["error"]
        assert server.resets == []

    @pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
    def test_a_foreign_one_reads_nothing(self, server: FakeServer, mode: str) -> None:
        headers = ("Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}", "Sec-Fetch-Dest: iframe")
        assert ask(server, *headers)[0] == 403

    def test_a_link_may_lead_here(self, server: FakeServer) -> None:
        headers = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        assert ask(server, *headers)[0] == 200

    @pytest.mark.parametrize(
        "headers",
        [
            (),
            ("Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"),
            ("Origin: HTTP://LOCALHOST:8080",),
            ("Sec-Fetch-Site: none",),
        ],
    )
    def test_our_own_and_programs_may(self, server: FakeServer, headers: tuple[str, ...]) -> None:
        assert ask(server, *headers, target="/commands/srst", method="POST")[0] == 200
        assert server.resets == ["server"]

    @pytest.mark.parametrize("target", ["/commands/ruok", "/nothing"])
    def test_every_answer_says_how_to_treat_it(self, server: FakeServer, target: str) -> None:
        _, headers, _ = ask(server, target=target)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "deny"
        assert headers["cross-origin-resource-policy"] == "same-origin"


class TestSecrets:
    """What shows more than ACLs allow: the name is guarded, whether or not there is such a command."""

    @pytest.mark.parametrize("target", ["/commands/snapshot", "/commands/%73nap", "/commands/snapshot/?x=1"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_loopback_alone_is_not_enough(self, server: FakeServer, target: str, method: str) -> None:
        status, _, body = ask(server, target=target, method=method)
        assert status == 403
        assert "admin.tokenFile" in json.loads(body)["error"]

    def test_the_token_is(self, server: FakeServer) -> None:
        server.access = Access(TOKEN)
        assert ask(server, basic("", TOKEN), target="/commands/snapshot")[0] != 403

    def test_so_is_a_configuration_that_opens_all(self, server: FakeServer) -> None:
        server.access = Access(unauthenticated=True)
        assert ask(server, target="/commands/snapshot")[0] != 403


class TestManners:
    @pytest.mark.parametrize(
        "text", ["GET /commands/ruok HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET \x01\r\n\r\n"]
    )
    def test_no_answer_tells_versions(self, server: FakeServer, text: str) -> None:
        assert on(server, lambda connection: connection.ask(text))[1]["server"] == "znoded"

    def test_a_malformed_request_is_one_line_for_who_debugs(
        self, server: FakeServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "znoded")
        assert on(server, lambda connection: connection.ask("GET / HTTP/x\r\n\r\n"))[0] == 400
        (record,) = [record for record in caplog.records if "malformed" in record.getMessage()]
        assert (record.levelname, record.exc_info) == ("DEBUG", None)
        assert not [record for record in caplog.records if record.levelno > logging.DEBUG]

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_who_has_said_all_still_gets_an_answer_and_the_end(
        self, server: FakeServer, version: str
    ) -> None:
        async def session(connection: Connection) -> bytes:
            connection.writer.write(f"GET /commands/ruok HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
            connection.writer.write_eof()
            return await connection.reader.read()

        head, _, body = on(server, session).partition(b"\r\n\r\n")
        assert head.split()[1] == b"200"
        assert b'"command": "ruok"' in body

    @pytest.mark.parametrize("start", ["GET ", "GET /commands/ruok HTTP/1.1\r\nHost: loc"])
    def test_who_has_said_half_is_let_go(self, server: FakeServer, start: str) -> None:
        async def session() -> bytes:
            async with Admin(server) as admin:
                connection = await admin.connect()
                connection.writer.write(start.encode())
                connection.writer.write_eof()
                async with asyncio.timeout(5):
                    return await connection.reader.read()

        assert asyncio.run(session()) == b""


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.org", False),
        ("zk1", False),
    ],
)
def test_what_counts_as_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
