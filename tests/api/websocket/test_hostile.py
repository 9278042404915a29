"""WebSockets from clients that break the protocol: an end with a code, and nobody else notices."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import cbor2
import pytest

from ...daemons import Daemon, until
from ..strangers import MB, Canary, log_of, opened, rest_of, send, served, unharmed

MAX_BUFFER = 1_000_000
PER_ADDRESS = 100
SETTINGS = f"""
tickTime=100
minSessionTimeout=200
maxClientCnxns={PER_ADDRESS}
jute.maxbuffer={MAX_BUFFER}
"""
IMPATIENT = """
from znoded.api import http_patience, port
from znoded.api.websocket import connection
port.PATIENCE = http_patience.IDLE = connection.PATIENCE = connection._PATIENCE = 1.0
"""
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = f"GET /ws/v1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n".encode()
CONTINUED, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
PROTOCOL_ERROR, TOO_BIG = 1002, 1009


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    yield from unharmed(Daemon(tmp_path_factory.mktemp("hostile"), SETTINGS, IMPATIENT))


@pytest.fixture(autouse=True)
def canary(daemon: Daemon, record_property: Callable[[str, object], None]) -> Iterator[Canary]:
    """A client of ZooKeeper's protocol, served all through a test and after it."""
    yield from served(daemon, record_property)


def frame(opcode: int, payload: bytes = b"", *, more: bool = False, bits: int = 0, size: int = -1) -> bytes:
    """A frame, masked with zeros; more: others of its message follow; bits: the reserved ones; size: the
    length that it tells, if not its own."""
    size = len(payload) if size < 0 else size
    head = bytes([(not more) << 7 | bits << 4 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += struct.pack(">BH", 0x80 | 126, size)
    else:
        head += struct.pack(">BQ", 0x80 | 127, size)
    return head + bytes(4) + payload


def asked(name: str, **arguments: object) -> bytes:
    return frame(BINARY, cbor2.dumps([[1, name, arguments]]))


def websocket(
    daemon: Daemon, source: str = "127.0.0.1", timeout: int = 2000, buffer: int = 0
) -> socket.socket:
    """A WebSocket with a session."""
    sock = opened(daemon.address, source, buffer)
    sock.sendall(UPGRADE + asked("connect", timeout=timeout))
    got = b""
    while b"password" not in got:
        piece = sock.recv(4096)
        assert piece, got
        got += piece
    assert got.startswith(b"HTTP/1.1 101 ")
    return sock


def code_of(sock: socket.socket) -> int:
    """The code with which it is closed; 0 if there is none."""
    got = rest_of(sock)
    while got:
        assert got[0] & 0x80, "in pieces"
        size, start = got[1], 2
        if size == 126:
            size, start = struct.unpack_from(">H", got, 2)[0], 4
        if got[0] & 0xF == CLOSE:
            assert len(got) == start + size
            code: int = struct.unpack_from(">H", got, start)[0]
            return code
        got = got[start + size :]
    return 0


class TestHandshakes:
    @pytest.mark.parametrize(
        "old, new",
        [
            (b"GET", b"POST"),
            (b"websocket", b"h2c"),
            (b"Upgrade: websocket\r\n", b""),
            (b"Connection: Upgrade", b"Connection: keep-alive"),
            (b"Version: 13", b"Version: 99"),
            (b"Version: 13", b"Version: x"),
            (KEY.encode(), b""),
            (b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
            (b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff" * 24),
            (b"Host: a", b"Host: a\r\nSec-WebSocket-Protocol: " + b"x," * 3000),
            (b"Host: a", b"Host: a\r\nOrigin: http://evil.example"),
        ],
        ids=range(11),
    )
    def test_a_bad_one_is_refused(self, daemon: Daemon, old: bytes, new: bytes) -> None:
        assert old in UPGRADE
        with opened(daemon.address) as sock:
            sock.sendall(UPGRADE.replace(old, new))
            sock.shutdown(socket.SHUT_WR)
            status = rest_of(sock)[:12]
        assert status[:10] == b"HTTP/1.1 4" or status == b""
        assert "ERROR" not in daemon.log[daemon.mark :]

    def test_extensions_are_not_agreed_on(self, daemon: Daemon) -> None:
        with opened(daemon.address) as sock:
            offer = b"Host: a\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99"
            sock.sendall(UPGRADE.replace(b"Host: a", offer) + frame(BINARY, b"\x78\x9c", bits=4))
            got = rest_of(sock)
        assert got.startswith(b"HTTP/1.1 101 ")
        assert b"extensions" not in got.lower()
        assert struct.pack(">H", PROTOCOL_ERROR) in got


class TestFrames:
    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            (frame(BINARY, b"\x80", bits=1), PROTOCOL_ERROR),
            (frame(BINARY, b"\x80", bits=2), PROTOCOL_ERROR),
            (frame(BINARY, b"\x80", bits=4), PROTOCOL_ERROR),
            (frame(3, b"\x80"), PROTOCOL_ERROR),
            (frame(15, b"\x80"), PROTOCOL_ERROR),
            (frame(PING, more=True), PROTOCOL_ERROR),
            (frame(PING, bytes(126)), PROTOCOL_ERROR),
            (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
            (frame(CLOSE, struct.pack(">H", 999)), PROTOCOL_ERROR),
            (frame(CLOSE, struct.pack(">H", 1005)), PROTOCOL_ERROR),
            (frame(CONTINUED, b"\x80"), PROTOCOL_ERROR),
            (frame(BINARY, b"\x80", more=True) + frame(BINARY, b"\x80"), PROTOCOL_ERROR),
            (frame(BINARY, size=MAX_BUFFER + 1), TOO_BIG),
            (frame(BINARY, size=1 << 31), TOO_BIG),
            (frame(BINARY, size=(1 << 63) - 1), TOO_BIG),
            (frame(BINARY, size=1 << 63), TOO_BIG),
            (frame(BINARY, size=(1 << 64) - 1), TOO_BIG),
            (
                frame(BINARY, bytes(MAX_BUFFER // 2), more=True)
                + frame(CONTINUED, bytes(MAX_BUFFER // 2), more=True) * 2,
                TOO_BIG,
            ),
            (frame(TEXT, b"[]"), 1003),
            (frame(TEXT, b"\xff"), 1007),
            (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
            (frame(CLOSE, struct.pack(">H", 1000)), 1000),
            (frame(CLOSE), 1000),
        ],
        ids=range(23),
    )
    def test_one_that_breaks_a_rule_ends_it_with_a_code(self, daemon: Daemon, sent: bytes, code: int) -> None:
        with websocket(daemon) as sock:
            sock.sendall(sent)
            assert code_of(sock) == code
            assert len(log_of(daemon, sock.getsockname()[1])) <= 1

    def test_one_that_never_ends_is_heard_no_more(self, daemon: Daemon) -> None:
        with websocket(daemon, timeout=300) as sock:
            sock.sendall(frame(BINARY, b"x" * 100, size=1000))
            assert code_of(sock) == 1001

    def test_a_message_in_pieces_of_nothing_takes_no_memory(self, daemon: Daemon) -> None:
        before = daemon.memory
        with websocket(daemon) as sock:
            sock.settimeout(5)
            pieces = frame(CONTINUED, more=True) * 10_000
            send(sock, [frame(BINARY, more=True), *[pieces] * 100])
            assert daemon.memory - before < 10 * MB
            sock.sendall(frame(CONTINUED, cbor2.dumps([[1, "ping", {}]])))
            assert sock.recv(100)

    def test_a_message_byte_by_byte(self, daemon: Daemon) -> None:
        message = cbor2.dumps([[1, "ping", {}]])
        with websocket(daemon) as sock:
            sock.sendall(frame(BINARY, more=True))
            for byte in message:
                for part in frame(CONTINUED, bytes([byte]), more=True):
                    sock.sendall(bytes([part]))
            sock.sendall(frame(CONTINUED))
            assert sock.recv(100)[2:3] == b"\x81"

    @pytest.mark.parametrize("end", range(1, 12, 3))
    def test_half_of_one_may_end(self, daemon: Daemon, end: int) -> None:
        with websocket(daemon) as sock:
            sock.sendall(frame(BINARY, bytes(200))[:end])
            sock.shutdown(socket.SHUT_WR)
            assert code_of(sock) in (0, PROTOCOL_ERROR)
            assert not log_of(daemon, sock.getsockname()[1])


class TestFloods:
    @pytest.mark.parametrize(
        "flood",
        [frame(PING, bytes(125)), asked("ping"), frame(BINARY, cbor2.dumps([])), frame(10, bytes(125))],
        ids=["pings", "requests", "nothings", "pongs"],
    )
    def test_of_what_is_not_read_takes_no_memory(self, daemon: Daemon, flood: bytes) -> None:
        before = most = daemon.memory
        with websocket(daemon, "127.0.0.5", buffer=1 << 14) as sock:
            sock.settimeout(0.3)
            for _ in range(300):
                if not send(sock, [flood * 1000]):
                    break
                most = max(most, daemon.memory)
            most = max(most, daemon.memory)
        assert most - before < 20 * MB

    def test_of_connections_ends_at_maxClientCnxns(self, daemon: Daemon) -> None:
        flood = [opened(daemon.address, "127.0.0.3") for _ in range(2 * PER_ADDRESS)]
        for sock in flood:
            send(sock, [UPGRADE])
        assert sum(rest_of(sock).startswith(b"HTTP/1.1 101 ") for sock in flood) == PER_ADDRESS
        until(lambda: daemon.log[daemon.mark :].count("has had no session") == PER_ADDRESS, "their end")

    def test_of_sessions_of_those_who_come_and_go_is_bounded_by_their_timeouts(self, daemon: Daemon) -> None:
        def come_and_go() -> None:
            for _ in range(100):
                websocket(daemon, "127.0.0.4", 200).close()

        come_and_go()
        before = daemon.memory
        for _ in range(3):
            come_and_go()
        assert daemon.memory - before < 15 * MB


def test_noise(daemon: Daemon) -> None:
    """Frames with some bytes changed end a connection, or are answered."""
    good = frame(PING, b"abc") + asked("get", path="/") + asked("set", path="/none", data=b"x") + frame(CLOSE)
    seed = 1
    for _ in range(200):
        noise = bytearray(good)
        for _ in range(3):
            seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
            noise[seed % len(noise)] = (seed >> 16) & 0xFF
        with websocket(daemon, timeout=200) as sock:
            sock.sendall(noise)
            sock.shutdown(socket.SHUT_WR)
            rest_of(sock)
