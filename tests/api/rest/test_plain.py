"""Requests in whatever pieces, and of whatever kind, one behind the other on one connection."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ...daemons import Daemon
from .client import Rest

HEAD = re.compile(rb"HTTP/1\.1 (\d+) [^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
KEY = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def get(path: str, headers: str = "Accept: application/octet-stream\r\n", version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: localhost\r\n{headers}\r\n".encode()


def put(path: str, data: bytes) -> bytes:
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
    return (
        head.encode()
        + b"Content-Type: application/octet-stream\r\nAccept: application/octet-stream\r\n\r\n"
        + data
    )


def answer(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """The next one: status, headers, body. Nothing may have come behind it."""
    got = b""
    while (head := HEAD.match(got)) is None:
        got += received(sock)
    length = re.search(rb"Content-Length: (\d+)", head[2])
    end = head.end() + (int(length[1]) if length else 0)
    while len(got) < end:
        got += received(sock)
    assert len(got) == end
    return int(head[1]), head[2], got[head.end() :]


def received(sock: socket.socket) -> bytes:
    piece = sock.recv(1 << 16)
    assert piece, "closed"
    return piece


def rest_of(sock: socket.socket) -> bytes:
    return sock.makefile("rb").read()


@pytest.fixture
def path(top: str) -> str:
    return f"/znodes/v1{top}"


class TestPieces:
    def test_a_request_cut_anywhere_is_one(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(get(path))  # before it, so that the first is not the connection's first
            answer(sock)
            for at in range(1, len(put(path, b"ten  bytes"))):
                data = b"%010d" % at
                request = put(path, data)
                sock.sendall(request[:at])
                sock.sendall(request[at:])
                assert answer(sock)[0] == 204
                sock.sendall(get(path))
                assert answer(sock)[::2] == (200, data)

    def test_two_at_once_and_cut_anywhere_are_two(self, rest: Rest, path: str) -> None:
        size = len(put(path, b"one") + get(path))
        for at in range(1, size, 3):
            with rest.raw() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                both = put(path, b"%03d" % at) + get(
                    path, "Connection: close\r\nAccept: application/octet-stream\r\n"
                )
                sock.sendall(both[:at])
                sock.sendall(both[at:])
                said = rest_of(sock)
                assert [int(head[1]) for head in HEAD.finditer(said)] == [204, 200]
                assert said.endswith(b"%03d" % at)

    def test_many_at_once_are_answered_in_order(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            sock.sendall(b"".join(put(path, b"%d" % n) + get(path) for n in range(500)))
            sock.sendall(get("/openapi.json"))
            sock.shutdown(socket.SHUT_WR)
            said = rest_of(sock)
        assert [int(head[1]) for head in HEAD.finditer(said)] == [204, 200] * 500 + [200]
        assert re.findall(rb"\r\n\r\n(\d+)HTTP", said) == [b"%d" % n for n in range(500)]

    def test_what_comes_while_one_is_answered_waits(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            for n in range(200):
                sock.sendall(put(path, b"%d" % n))
            sock.shutdown(socket.SHUT_WR)
            assert len(HEAD.findall(rest_of(sock))) == 200
        assert rest.get(path.removeprefix("/znodes/v1"), Accept="application/octet-stream").body == b"199"

    def test_a_body_of_many_pieces(self, rest: Rest, path: str) -> None:
        data = bytes(range(256)) * 390
        with rest.raw() as sock:
            request = put(path, data)
            for at in range(0, len(request), 1000):
                sock.sendall(request[at : at + 1000])
            assert answer(sock)[0] == 204
            sock.sendall(get(path))
            assert answer(sock)[::2] == (200, data)

    def test_an_end_in_the_midst_of_a_body_changes_nothing(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            sock.sendall(put(path, b"kept"))
            answer(sock)
            sock.sendall(put(path, b"not all of it")[:-1])
            sock.shutdown(socket.SHUT_WR)
            assert b"204" not in rest_of(sock)
        assert rest.get(path.removeprefix("/znodes/v1"), Accept="application/octet-stream").body == b"kept"


def continued(sock: socket.socket, path: str) -> None:
    sock.sendall(put(path, b"x").replace(b"\r\n\r\nx", b"\r\nExpect: 100-continue\r\n\r\n"))
    assert received(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"x")
    assert answer(sock)[0] == 204


def chunked(sock: socket.socket, path: str) -> None:
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    sock.sendall(head.encode() + b"Accept: application/octet-stream\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert answer(sock)[0] == 204


def older(sock: socket.socket, path: str) -> None:
    sock.sendall(get(path, "Connection: keep-alive\r\n", "1.0"))
    status, headers, _ = answer(sock)
    assert (status, b"keep-alive" in headers) == (200, True)


def description(sock: socket.socket, path: str) -> None:
    sock.sendall(get("/openapi.json"))
    assert answer(sock)[0] == 200


def too_large(sock: socket.socket, path: str) -> None:
    sock.sendall(put(path, bytes(100_001)))
    assert answer(sock)[0] == 413


OTHERS = [continued, chunked, older, description, too_large]


class TestOthers:
    """Requests that are not plain, between two that are."""

    @pytest.mark.parametrize("other", OTHERS, ids=[other.__name__ for other in OTHERS])
    def test_on_the_same_connection(
        self, rest: Rest, path: str, other: Callable[[socket.socket, str], None]
    ) -> None:
        with rest.raw() as sock:
            sock.sendall(get(path))
            assert answer(sock)[0] == 200
            other(sock, path)
            sock.sendall(put(path, b"after it"))
            assert answer(sock)[0] == 204
            sock.sendall(get(path))
            assert answer(sock)[::2] == (200, b"after it")

    @pytest.mark.parametrize("query", ["view=events", "view=%65vents", "view=%65%76%65%6e%74%73"])
    def test_events(self, rest: Rest, path: str, query: str) -> None:
        with rest.raw() as sock:
            sock.sendall(get(path))
            answer(sock)
            sock.sendall(get(f"{path}?{query}", ""))
            assert b"Content-Type: text/event-stream" in received(sock)
            assert rest.put(path.removeprefix("/znodes/v1"), b"new").status == 200
            said = b""
            while b"data: " not in said:
                said += received(sock)

    def test_a_websocket(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            sock.sendall(get(path))
            answer(sock)
            sock.sendall(get("/ws/v1", f"Connection: Upgrade\r\n{KEY}"))
            assert answer(sock)[0] == 101

    def test_an_upgrade_elsewhere_is_none(self, rest: Rest, path: str) -> None:
        with rest.raw() as sock:
            sock.sendall(get(path, f"Connection: Upgrade\r\n{KEY}"))
            assert answer(sock)[0] == 200


def test_the_end_of_the_server_ends_connections(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.start()
    rest = Rest(daemon.address)
    with rest.raw() as idle, rest.raw() as slow:
        idle.sendall(get("/znodes/v1/"))
        answer(idle)
        slow.sendall(put("/znodes/v1/", b"not all of it")[:-1])
        assert daemon.stop() == 0
        assert rest_of(idle) == rest_of(slow) == b""
