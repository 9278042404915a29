"""HTTP from clients that mean harm, or are broken: a clear status or an end, and nobody else notices."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
from collections.abc import Callable, Iterator

import cbor2
import pytest

from ..daemons import Daemon, free_port, until
from .strangers import MB, Canary, log_of, opened, rest_of, send, served, unharmed

ADMIN_PORT = free_port()
MAX_BUFFER = 1_000_000
PER_ADDRESS = 100
SETTINGS = f"""
tickTime=100
minSessionTimeout=200
maxClientCnxns={PER_ADDRESS}
jute.maxbuffer={MAX_BUFFER}
admin.serverPort={ADMIN_PORT}
"""
IMPATIENT = """
from znoded.api import http_patience, port
from znoded.api.admin import words
port.PATIENCE = http_patience.IDLE = words.PATIENCE = 1.0
"""
STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) ")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    yield from unharmed(Daemon(tmp_path_factory.mktemp("hostile"), SETTINGS, IMPATIENT))


@pytest.fixture(autouse=True)
def canary(daemon: Daemon, record_property: Callable[[str, object], None]) -> Iterator[Canary]:
    """A client of ZooKeeper's protocol, served all through a test and after it."""
    yield from served(daemon, record_property)


@pytest.fixture(params=["client", "admin"])
def address(daemon: Daemon, request: pytest.FixtureRequest) -> tuple[str, int]:
    """Each port that takes HTTP."""
    return daemon.address if request.param == "client" else ("127.0.0.1", ADMIN_PORT)


def answers(address: tuple[str, int], *pieces: bytes) -> list[int]:
    """The statuses of all that is answered to this, until the server closes the connection."""
    with opened(address) as sock:
        send(sock, pieces)
        return statuses(rest_of(sock))


def wait_for(sock: socket.socket, count: int) -> list[int]:
    """The statuses of so many answers."""
    got = b""
    while len(found := statuses(got)) < count:
        piece = sock.recv(1 << 16)
        assert piece, "closed"
        got += piece
    return found


def statuses(text: bytes) -> list[int]:
    return [int(status) for status in STATUS.findall(text)]


def request(method: str = "GET", target: str = "/znodes/v1/", headers: str = "", body: bytes = b"") -> bytes:
    """A whole request, the last of its connection."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}"
    if body or method in ("PUT", "POST"):
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


AFTER = b"GET /commands/ruok HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What a proxy that understood a request otherwise would have passed on inside it."""
POST = b"POST /znodes/v1/?name=smuggled HTTP/1.1\r\nHost: localhost\r\n"
MALFORMED_HEADS = [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    POST + b"Content-Length: +5\r\n\r\nhello",
    POST + b"Content-Length: -5\r\n\r\nhello",
    POST + b"Content-Length: 5, 5\r\n\r\nhello",
    POST + b"Content-Length: 0x5\r\n\r\nhello",
    POST + b"Content-Length: 5_0\r\n\r\nhello",
    POST + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    POST + b"Content-Length : 5\r\n\r\nhello",
    POST + b"Content-Length: 5\r\n folded: 6\r\n\r\nhello",
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHo\x00st: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\r\nX: HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTQ/1.1\r\nHost: a\r\n\r\n",
    b"GET /\r\n",
    b"GET  \r\n\r\n",
    b"GET \x16\x03\x01\r\n\r\n",
]


class TestHeads:
    @pytest.mark.parametrize("head", MALFORMED_HEADS, ids=range(len(MALFORMED_HEADS)))
    def test_a_malformed_head_is_refused_and_nothing_behind_it_is_read(
        self, daemon: Daemon, address: tuple[str, int], head: bytes
    ) -> None:
        assert answers(address, head + AFTER) == [400]
        assert not new_log(daemon)

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * MB),
            b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * MB),
            b"GET / HTTP/1.1\r\nHost: a\r\n%b: a\r\n\r\n" % (b"a" * MB),
            b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(b"X-%d: a\r\n" % n for n in range(10_000)),
        ],
        ids=["target", "value", "name", "many"],
    )
    def test_a_large_head_is_refused(self, daemon: Daemon, address: tuple[str, int], head: bytes) -> None:
        before = daemon.memory
        assert answers(address, head, head) in ([400], [431], [])
        assert daemon.memory - before < 10 * MB
        assert not new_log(daemon)

    def test_headers_without_end_are_refused(self, daemon: Daemon, address: tuple[str, int]) -> None:
        before = daemon.memory
        with opened(address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
            assert send(sock, (b"X-%07d: a\r\n" % number * 100 for number in range(100_000))) < 100_000
        assert daemon.memory - before < 10 * MB

    def test_http2_and_other_methods_are_no_http_here(self, daemon: Daemon) -> None:
        for start in (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n",
            b"TRACE / HTTP/1.1\r\n\r\n",
        ):
            with opened(daemon.address) as sock:
                sock.sendall(start)
                assert rest_of(sock) == b""
                assert len(log_lines(daemon, sock)) <= 1

    @pytest.mark.parametrize(
        "target",
        [
            "*",
            "http://localhost/commands/ruok",
            "//commands",
            "/%",
            "/%zz",
            "/%00",
            "/..%2f..",
            "/\xff",
            "/%ff",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "PATCH", "DELETE"])
    def test_an_odd_target_has_a_clear_status(
        self, daemon: Daemon, address: tuple[str, int], method: str, target: str
    ) -> None:
        (status,) = answers(address, request(method, target))
        assert 400 <= status < 500 or (method, target) == ("GET", "http://localhost/commands/ruok")
        assert not new_log(daemon)

    @pytest.mark.parametrize("start", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX:", b"GET "])
    def test_half_a_head_is_given_up(self, address: tuple[str, int], start: bytes) -> None:
        assert answers(address, start) == []

    def test_a_head_that_drips_is_given_up(self, address: tuple[str, int]) -> None:
        with opened(address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
            sock.settimeout(0.1)
            for _ in range(100):
                if send(sock, [b"X: a\r\n"]) == 0:
                    break
                try:
                    assert sock.recv(1) == b""
                    break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            else:
                pytest.fail("it may drip for ever")

    def test_half_a_head_may_end(self, daemon: Daemon, address: tuple[str, int]) -> None:
        with opened(address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost:")
            sock.shutdown(socket.SHUT_WR)
            assert statuses(rest_of(sock)) in ([], [400])
        assert not new_log(daemon)


class TestBodies:
    def test_one_that_would_be_too_large_is_refused_before_it_comes(self, daemon: Daemon) -> None:
        for size in (MAX_BUFFER + 1, 1 << 31, (1 << 63) - 1):
            head = b"PUT /znodes/v1/canary HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
            assert answers(daemon.address, head, b"x" * 100) == [413]
        assert not new_log(daemon)

    def test_chunks_without_end_are_refused(self, daemon: Daemon, address: tuple[str, int]) -> None:
        before = daemon.memory
        with opened(address) as sock:
            sock.sendall(
                b"POST /znodes/v1/?name=x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
            most = 0
            for _ in range(1000):
                if not send(sock, [chunk]):
                    break
                most = max(most, daemon.memory)
            assert most - before < 20 * MB
            (status,) = statuses(rest_of(sock))
            assert 400 <= status < 500
        assert not new_log(daemon)

    @pytest.mark.parametrize(
        "chunks",
        [
            b"zz\r\nhello\r\n",
            b"-5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"5_0\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"f" * 40 + b"\r\nhello\r\n",
            b"5\r\nhelloworld\r\n",
            b"5\nhello\n",
            b" 5\r\nhello\r\n",
            b"\r\nhello\r\n",
            b"0\r\n" + b"T: a\r\n" * 100_000,
        ],
        ids=range(11),
    )
    def test_a_malformed_chunk_is_refused_and_nothing_behind_it_is_read(
        self, daemon: Daemon, chunks: bytes
    ) -> None:
        head = b"PUT /znodes/v1/none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        found = answers(daemon.address, head + chunks + b"0\r\n\r\n" + AFTER)
        assert found in ([400], [])
        assert not new_log(daemon)

    def test_one_that_does_not_come_is_given_up(self, daemon: Daemon) -> None:
        head = b"PUT /znodes/v1/canary HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
        assert answers(daemon.address, head + b"hello") == [408]
        assert not new_log(daemon)

    def test_one_that_nobody_reads_is_given_up(self, daemon: Daemon) -> None:
        with opened(("127.0.0.1", ADMIN_PORT)) as sock:
            sock.sendall(
                b"POST /commands/srst HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello"
            )
            assert statuses(rest_of(sock)) == [200]
        assert not new_log(daemon)

    def test_one_that_drips_is_given_up(self, daemon: Daemon) -> None:
        with opened(daemon.address) as sock:
            sock.sendall(b"PUT /znodes/v1/canary HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
            sock.settimeout(0.1)
            got = b""
            for _ in range(100):
                send(sock, [b"x"])
                try:
                    got += (piece := sock.recv(1 << 16))
                    if not piece:
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            assert statuses(got) == [408]

    def test_a_compressed_one_is_kept_as_it_is_or_refused(self, daemon: Daemon) -> None:
        bomb = gzip.compress(bytes(100 * MB))
        before = daemon.memory
        encoded = "Content-Encoding: gzip\r\n"
        for method, path in (("PUT", "/znodes/v1/none"), ("POST", "/znodes/v1/?op=multi")):
            (status,) = answers(daemon.address, request(method, path, encoded, bomb))
            assert status in (404, 400, 415)
        assert daemon.memory - before < 10 * MB

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[" * 400_000,
            b'{"a":' * 100_000,
            b"[" + b"1" * 400_000 + b"]",
            b"[1e999999]",
            b"[NaN]",
            b'["\\ud800"]',
            b"\xff\xfe[\0]\0",
            b"[" + b"{}," * 300_000 + b"{}]",
            b'[{"op":"create","path":"/x","dataUtf8":"\\ud800"}]',
            b'[{"op":"\\u0000","path":[[[]]]}]',
            json.dumps([{"op": "check", "path": "/none/of\0them"}]).encode(),
        ],
        ids=range(13),
    )
    def test_malformed_json_is_refused(self, daemon: Daemon, body: bytes) -> None:
        before = daemon.memory
        headers = "Content-Type: application/json\r\n"
        assert answers(daemon.address, request("POST", "/znodes/v1/?op=multi", headers, body)) == [400]
        assert daemon.memory - before < 60 * MB
        assert not new_log(daemon)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\x9b" + b"\x7f" + b"\xff" * 7,
            b"\xbb" + b"\x7f" + b"\xff" * 7,
            b"\x5b" + b"\x7f" + b"\xff" * 7,
            b"\x9a\x7f\xff\xff\xff",
            b"\x81" * 500_000,
            b"\xa1\x61a" * 100_000,
            b"\x9f" + b"\x9f" * 1000,
            b"\x5f" + b"\x41a" * 1000,
            b"\xc2\x5a\x00\x07\xa1\x20" + b"\xff" * 500_000,
            b"\xc0\x74" + b"2013-03-21T20:04:00Z",
            b"\xd8\x23\x67" + b"(a+)+$b",
            b"\xd8\x1c\x81\xd8\x1d\x00",
            b"\xa2\x61a\x01\x61a\x02",
            b"\x81\xa1\x80\x01",
            b"\xff",
            cbor2.dumps([[]] * 100_000),
        ],
        ids=range(17),
    )
    def test_malformed_cbor_is_refused(self, daemon: Daemon, body: bytes) -> None:
        before = daemon.memory
        headers = "Content-Type: application/cbor\r\n"
        assert answers(daemon.address, request("POST", "/znodes/v1/?op=multi", headers, body)) == [400]
        assert daemon.memory - before < 60 * MB
        assert not new_log(daemon)

    def test_a_multi_as_long_as_a_body_may_be_is_answered(self, daemon: Daemon) -> None:
        operations = json.dumps([{"op": "check", "path": "/"}] * (MAX_BUFFER // 34)).encode()
        headers = "Content-Type: application/json\r\n"
        (status,) = answers(daemon.address, request("POST", "/znodes/v1/?op=multi", headers, operations))
        assert status in (200, 400, 413)


class TestParameters:
    @pytest.mark.parametrize(
        "query",
        [
            "%",
            "view=%zz",
            "view=%ff",
            "view=\xff",
            "&".join(f"p{number}=1" for number in range(1000)),
            "version=" + "9" * 5000,
            "view=data&view=data",
            "session=" + "f" * 5000,
            "session=00000000-0000-8000-8000-000000000000",
            "dataformat=%00",
        ],
    )
    def test_those_that_mean_nothing_are_refused(self, daemon: Daemon, query: str) -> None:
        (status,) = answers(daemon.address, request("GET", f"/znodes/v1/?{query}"))
        assert status in (400, 401) or query.startswith("version")
        assert not new_log(daemon)

    @pytest.mark.parametrize(
        "headers",
        [
            "Authorization: Basic\r\n",
            "Authorization: Basic ====\r\n",
            "Authorization: Basic " + "QUFB" * 1500 + "\r\n",
            "Authorization: Basic \xff\r\n",
            "Authorization: Bearer a\r\n",
            "Authorization: " + " " * 5000 + "\r\n",
            "Accept: " + "a/b;q=0," * 700 + "\r\n",
            "Accept: */*;q=nan\r\n",
            "Accept: \xff\r\n",
            "Content-Type: \xff/\x01\r\n",
            "Host: \xff\r\n",
            "Host: a\r\nHost: b\r\n",
            "Expect: 100-continue\r\n",
            "Expect: something\r\n",
            "Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAA\r\n",
            "Range: bytes=0-\r\n",
        ],
        ids=range(16),
    )
    def test_odd_headers_have_a_clear_status(
        self, daemon: Daemon, address: tuple[str, int], headers: str
    ) -> None:
        for method, target in (("GET", "/znodes/v1/"), ("PUT", "/znodes/v1/none"), ("GET", "/commands/ruok")):
            (*_, status) = answers(
                address,
                request(method, target, headers).replace(b"Host: localhost\r\n", b"", "Host" in headers),
            )
            assert status in (200, 204, 400, 401, 403, 404, 406, 415, 417, 421)
        assert not new_log(daemon)


class TestThoseWhoDoNotRead:
    def test_answers_of_large_data_hold_the_client_back_until_it_is_dropped(self, daemon: Daemon) -> None:
        put = request("POST", "/znodes/v1/?name=large", "", bytes(MAX_BUFFER - 1000))
        assert answers(daemon.address, put) in ([201], [409])
        before = daemon.memory
        get = b"GET /znodes/v1/large HTTP/1.1\r\nHost: a\r\n\r\n"
        deaf = [opened(daemon.address, "127.0.0.5", buffer=1 << 16) for _ in range(10)]
        for sock in deaf:
            sock.settimeout(0.2)
            send(sock, [get] * 2000)
        assert daemon.memory - before < 120 * MB
        for sock in deaf:
            until(lambda sock=sock: log_lines(daemon, sock), "the end")  # type: ignore[misc]
            assert len(log_lines(daemon, sock)) == 1
            sock.close()

    def test_many_requests_at_once_are_answered_in_line(
        self, daemon: Daemon, address: tuple[str, int]
    ) -> None:
        before = daemon.memory
        with opened(address) as sock:
            ask = b"GET /commands/ruok HTTP/1.1\r\nHost: localhost\r\n\r\n"
            sock.sendall(ask * 500)
            wait_for(sock, 500)
        assert daemon.memory - before < 20 * MB

    def test_requests_without_end_and_no_reading_are_bounded(
        self, daemon: Daemon, address: tuple[str, int]
    ) -> None:
        before = daemon.memory
        with opened(address, "127.0.0.6", buffer=1 << 14) as sock:
            sock.settimeout(0.3)
            ask = b"GET /commands/ruok HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000
            assert send(sock, [ask] * 1000) < 1000
            assert daemon.memory - before < 20 * MB

    def test_events_for_who_does_not_read_end(self, daemon: Daemon) -> None:
        name = "told" * 1500
        assert answers(daemon.address, request("POST", f"/znodes/v1/?name={name}")) == [201]
        before = most = daemon.memory
        put = request("PUT", f"/znodes/v1/{name}").replace(b"Connection: close\r\n", b"")
        with opened(daemon.address, "127.0.0.7", buffer=1 << 12) as deaf, opened(daemon.address) as other:
            deaf.sendall(f"GET /znodes/v1/{name}?view=events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert deaf.recv(100)
            while not log_lines(daemon, deaf):
                other.sendall(put * 50)
                wait_for(other, 50)
                most = max(most, daemon.memory)
            assert len(log_lines(daemon, deaf)) == 1
        assert most - before < 30 * MB


class TestFloods:
    def test_of_connects_ends_at_maxClientCnxns(self, daemon: Daemon) -> None:
        flood = [opened(daemon.address, "127.0.0.3") for _ in range(3 * PER_ADDRESS)]
        for sock in flood:
            send(sock, [b"GET /znodes/v1/ HTTP/1.1\r\nHost: a\r\n\r\n"])
        answered = 0
        for sock in flood:
            with contextlib.suppress(ConnectionError):
                answered += sock.recv(12) == b"HTTP/1.1 200"
        assert answered == PER_ADDRESS
        assert daemon.log[daemon.mark :].count("127.0.0.3 has 100 connections already") == 1
        for sock in flood:
            sock.close()

    def test_of_connects_to_the_admin_port_leaves_nothing(self, daemon: Daemon) -> None:
        before = daemon.memory
        for start in (b"", b"GET", b"GET / HTTP/1.1\r\n", AFTER):
            flood = [opened(("127.0.0.1", ADMIN_PORT)) for _ in range(300)]
            for sock in flood:
                send(sock, [start])
            for sock in flood:
                sock.close()
        until(lambda: daemon.memory - before < 20 * MB, "memory's return")
        assert answers(("127.0.0.1", ADMIN_PORT), request(target="/commands/ruok")) == [200]

    def test_of_sessions_is_bounded(self, daemon: Daemon) -> None:
        before = daemon.memory
        ask = b"POST /sessions/v1?op=create&expire=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        found = []
        with opened(daemon.address, "127.0.0.4") as sock:
            for _ in range(50):
                sock.sendall(ask * 100)
                found += wait_for(sock, 100)
        assert set(found) <= {201, 429}
        assert 429 in found
        assert daemon.memory - before < 20 * MB


def new_log(daemon: Daemon) -> str:
    """What was logged since this test began."""
    return daemon.log[daemon.mark :]


def log_lines(daemon: Daemon, sock: socket.socket) -> list[str]:
    """The lines about a connection."""
    return log_of(daemon, sock.getsockname()[1])
