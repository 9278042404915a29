"""HTTP from clients that mean harm, or are broken: a clear status or an end, and nobody else notices."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from ...daemons import Daemon, until
from .client import JSON, OCTETS, Rest

IMPATIENT = """
from znoded.api import http_patience
http_patience.IDLE = 0.5
"""
SESSIONS = 5


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server that waits for nobody, and gives an address few sessions."""
    daemon = Daemon(tmp_path_factory.mktemp("impatient"), f"maxClientCnxns={SESSIONS}", IMPATIENT)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def said(rest: Rest, *pieces: bytes) -> bytes:
    """All that the server says to these bytes, until it closes the connection."""
    with rest.raw() as sock:
        for piece in pieces:
            sock.sendall(piece)
        return sock.makefile("rb").read()


def test_who_has_said_all_is_answered(rest: Rest, top: str) -> None:
    with rest.raw() as sock:
        sock.sendall(f"GET /znodes/v1{top} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "header", ["Content-Encoding: gzip", "Transfer-Encoding: gzip, chunked"], ids=["content", "transfer"]
)
def test_a_body_in_a_coding_is_refused(rest: Rest, top: str, header: str) -> None:
    length = "" if "chunked" in header else "Content-Length: 0\r\n"
    head = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n{length}\r\n"
    end = b"0\r\n\r\n" if "chunked" in header else b""
    assert said(rest, head.encode() + end).split()[1] == b"415"


class TestTargets:
    @pytest.mark.parametrize(
        "path",
        [
            "/a/../b", "/.", "/..", "//a", "/a/", "/a//b", "/%00", "/%ff", "/%", "/%4", "/%zz", "/a%2f..%2fb",
            "/%ed%a0%80", "/%7f", "/a\x80", "/\xc3\xa4",
        ],
    )  # fmt: skip
    def test_paths_that_are_none(self, rest: Rest, path: str) -> None:
        text = f"GET /znodes/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert said(rest, text.encode("latin-1")).split()[1] == b"400"

    @pytest.mark.parametrize(
        "query", ["view=%ff", "view=%zz", "&".join(f"a{n}=" for n in range(50)), "a=1&a=2"]
    )
    def test_parameters_that_are_none(self, rest: Rest, query: str) -> None:
        assert rest.get(f"/?{query}").status == 400

    def test_paths_are_taken_as_they_stand(self, rest: Rest, top: str) -> None:
        rest.post(f"{top}?name=a%2Bb%20c%25")
        assert rest.get(f"{top}/a+b%20c%25").json["path"] == f"{top}/a+b c%"
        assert rest.get(f"{top}/%61+b%20c%25").status == 200

    def test_a_whole_url(self, rest: Rest) -> None:
        text = b"GET http://else.where/znodes/v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert said(rest, text).split()[1] == b"200"

    @pytest.mark.parametrize("host", ['"', "a b", "a/b", "ä"])
    def test_hosts_that_are_none(self, rest: Rest, host: str) -> None:
        text = f"GET /znodes/v1/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert said(rest, text.encode()).split()[1] == b"400"

    def test_without_a_host(self, rest: Rest) -> None:
        assert f'"uri":"{rest.base}/znodes/v1/"'.encode() in said(rest, b"GET /znodes/v1/ HTTP/1.0\r\n\r\n")


class TestBodies:
    def test_as_large_as_may_be(self, rest: Rest, top: str) -> None:
        assert rest.put(top, bytes(100_000)).status == 200
        assert rest.put(top, bytes(100_001)).status == 413
        assert rest.get(top).json["dataLength"] == 100_000

    def test_lengths_beyond_all_bounds(self, rest: Rest, top: str) -> None:
        head = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**11}\r\n\r\n"
        with rest.raw() as sock:
            sock.sendall(head.encode())
            assert sock.recv(100).split()[1] == b"413"

    def test_chunks_without_end(self, rest: Rest, top: str) -> None:
        head = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        with rest.raw() as sock:
            sock.sendall(head.encode())
            for _ in range(11):
                sock.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
            assert sock.recv(100).split()[1] == b"413"

    def test_chunks_that_are_none(self, rest: Rest, top: str) -> None:
        head = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        assert said(rest, head.encode()).split()[1] == b"400"

    def test_who_waits_to_be_told_to_go_on(self, rest: Rest, top: str) -> None:
        head = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        with rest.raw() as sock:
            sock.sendall(head.encode())
            assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"a")
            assert sock.recv(100).split()[1] == b"200"

    def test_who_may_not_is_told_before_it_sends(self, rest: Rest) -> None:
        head = b"PUT /znodes/v1/../a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        with rest.raw() as sock:
            sock.sendall(head)
            assert sock.recv(100).split()[1] == b"400"

    def test_a_body_that_does_not_come(self, impatient: Daemon) -> None:
        rest = Rest(impatient.address)
        answer = said(rest, b"PUT /znodes/v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        assert answer.split()[1] == b"408"

    def test_a_head_that_does_not_come(self, impatient: Daemon) -> None:
        assert said(Rest(impatient.address), b"GET /znodes/v1/ HTTP/1.1\r\nHo") == b""


class TestClients:
    @pytest.mark.parametrize(
        "start",
        [b"GET /\x00 HTTP/1.1\r\n\r\n", b"POST x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"HEAD\r\n\r\n"],
    )
    def test_what_is_no_http(self, rest: Rest, start: bytes) -> None:
        assert said(rest, start).split()[1] == b"400"

    def test_pipelined_requests_are_answered_in_order(self, rest: Rest, top: str) -> None:
        put = f"PUT /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
        get = f"GET /znodes/v1{top} HTTP/1.1\r\nHost: x\r\nAccept: application/octet-stream\r\n"
        parts = [f"{put}{n}{get}\r\n".encode() for n in range(8)]
        answer = said(rest, *parts, f"{get}Connection: close\r\n\r\n".encode())
        assert answer.count(b"HTTP/1.1 200 OK") == 17
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[2::2]]
        assert bodies == [b"%d" % n for n in range(8)]

    def test_who_reads_nothing_is_given_up(self, impatient: Daemon) -> None:
        rest = Rest(impatient.address)
        rest.create("/large", bytes(1_000_000))
        with rest.raw(buffer=4096) as sock:
            request = b"GET /znodes/v1/large HTTP/1.1\r\nHost: x\r\n\r\n"
            with pytest.raises(OSError, match=r"reset|pipe"):
                for _ in range(1_000_000):
                    sock.sendall(request)
        assert Rest(impatient.address).get("/").status == 200

    def test_who_never_reads_the_last_of_it_makes_room_for_others(self, impatient: Daemon) -> None:
        def served() -> bool:
            with suppress(ConnectionError, HTTPException):
                return Rest(impatient.address).get("/").status == 200
            return False

        until(served)
        Rest(impatient.address).post("/?name=long", bytes(1_000_000))
        # As text, each byte takes six: more than the kernel's buffers hold.
        request = b"GET /znodes/v1/long?dataformat=utf8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with ExitStack() as stack:
            for _ in range(SESSIONS):
                stack.enter_context(Rest(impatient.address).raw(buffer=4096)).sendall(request)
            until(served, "room for another")

    def test_an_address_has_few_sessions(self, impatient: Daemon) -> None:
        rest = Rest(impatient.address)
        sessions = [rest.session() for _ in range(SESSIONS)]
        answer = rest.ask("POST", "/sessions/v1?op=create")
        assert answer.status == 429
        assert "maxClientCnxns" in answer.json["message"]
        for session in sessions:
            rest.ask("DELETE", f"/sessions/v1/{session}")
        rest.ask("DELETE", f"/sessions/v1/{rest.session()}")

    def test_and_few_connections(self, impatient: Daemon) -> None:
        rests = [Rest(impatient.address) for _ in range(SESSIONS)]
        assert [rest.get("/").status for rest in rests] == [200] * SESSIONS
        answer = b""
        with suppress(ConnectionResetError):
            answer = said(Rest(impatient.address), b"GET / HTTP/1.0\r\n\r\n")
        assert answer == b""
        for rest in rests:
            rest.close()


class TestBrowsers:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_pages_of_other_sites_change_nothing(self, rest: Rest, top: str, headers: dict[str, str]) -> None:
        assert rest.post(f"{top}?name=a", b"", OCTETS | headers).status == 403
        assert rest.post("/?op=multi", b"[]", JSON | headers).status == 403
        assert rest.put(top, b"", OCTETS | headers).status == 403
        assert rest.delete(top, **headers).status == 403
        assert rest.ask("POST", "/sessions/v1?op=create", None, headers).status == 403
        assert rest.get(top).json["version"] == 0

    def test_a_page_of_ours_may(self, rest: Rest, top: str) -> None:
        assert (
            rest.put(top, b"", OCTETS | {"Origin": rest.base, "Sec-Fetch-Site": "same-origin"}).status == 200
        )


def test_what_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "maxClientCnxns=0")
    daemon.start()
    rest = Rest(daemon.address)
    pieces = [
        b"GET ",
        b"GET / HTTP/1.1\r\n",
        b"PUT /znodes/v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    ]
    for piece in pieces * 20:
        with rest.raw() as sock:
            sock.sendall(piece)
    assert rest.get("/").json["version"] == 0
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "ERROR" not in daemon.log
