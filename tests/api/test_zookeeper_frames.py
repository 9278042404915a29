"""The frame decoder alone: whatever comes, and in whatever pieces, the same requests in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from struct import pack, unpack_from
from typing import NamedTuple, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from znoded.api.admin import words
from znoded.api.admin.view import ServerView
from znoded.api.connection import Connection
from znoded.api.http import VERBS
from znoded.api.port import ClientPort, http
from znoded.api.zookeeper import _KEPT, ZooKeeperConnection
from znoded.storage.session import Session

LIMIT = 2048
"""jute.maxbuffer here."""
READ = 4096
"""Bytes that come in one read at most."""


class Request(NamedTuple):
    xid: int
    op: int
    body: bytes


class Transport(asyncio.Transport):
    """Delivers what the test sends only while the protocol reads; takes what room it has been given."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol
        self.sent = bytearray()
        self.room: int | None = None
        self.ended = False
        self._reading = True
        self._unread: list[bytes] = []
        self._stuck = False

    def deliver(self, pieces: Iterable[bytes]) -> None:
        self._unread += pieces
        self._pass_on()

    def _pass_on(self) -> None:
        while self._unread and self._reading and not self.ended:
            self.protocol.data_received(self._unread.pop(0))

    def read(self) -> None:
        """The client reads all that waits for it."""
        if self._stuck and not self.ended:
            self._stuck = False
            self.protocol.resume_writing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 4711) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written after the end"
        self.sent += data
        if self.room is not None and not self._stuck and len(self.sent) > self.room:
            self._stuck = True
            self.room += len(self.sent)
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return 0

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._pass_on)

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Service:
    """Notes what it is asked, and answers each request with as many bytes as the request's op says."""

    def __init__(self) -> None:
        self.serving = True
        self.dirty: list[Connection] = []
        self.connects: list[tuple[int, int, int, bytes]] = []
        self.requests: list[Request] = []
        self.counted = 0
        self.reasons: list[str] = []
        self.there = 0

    def accept(self, connection: Connection) -> str | None:
        self.there += 1
        return None

    def connect(self, connection: Connection, seen: int, timeout: int, session: int, password: bytes) -> None:
        self.connects.append((seen, timeout, session, password))
        # A session takes its time: what comes before it is there must wait.
        asyncio.get_running_loop().call_soon(connection.welcome, Session(1, timeout, bytes(16)))

    def begin(self, connection: Connection, timeout: int) -> str | None:
        raise AssertionError("nobody asks for a session without a connection")

    def living(self, session: int) -> Session | None:
        raise AssertionError("nobody asks for a session without a connection")

    def touch(self, session: int) -> None:
        raise AssertionError("nobody asks for a session without a connection")

    def authenticate(self, connection: Connection, scheme: str, credentials: bytes) -> bool:
        raise AssertionError("no request is looked into here")

    def submit(self, connection: Connection, xid: int, op: int, body: bytes) -> None:
        self.requests.append(Request(xid, op, body))
        connection.reply(xid, 0, 0, bytes(max(0, min(op, 1 << 20))))

    def proceed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def settle(self, connection: Connection, count: int, size: int) -> None:
        self.counted += count
        for one in self.dirty:
            one.flush()
        self.dirty.clear()

    def closing(self, connection: Connection, reason: str) -> None:
        self.reasons.append(reason)

    def gone(self, connection: Connection) -> None:
        self.there -= 1


class Wire:
    """One client's connection to a port."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.service = Service()
        self.transport = Transport()
        view = cast(ServerView, None)  # only the words ask it
        port = ClientPort(
            self.service,
            self.service.dirty,
            view,
            http(self.service, self.service.dirty, limit),
            frozenset(),
            limit,
        )
        self.transport.protocol = port
        port.connection_made(self.transport)

    async def send(self, *pieces: bytes) -> None:
        """Send, and let the port do all that it can do with it."""
        for piece in pieces:
            self.transport.deliver([piece])
            assert self.kept <= self.most
        for _ in range(2 * len(pieces) + 20):
            await asyncio.sleep(0)
            assert self.kept <= self.most

    @property
    def most(self) -> int:
        """Bytes that may be kept: of one frame, or of requests behind a large answer, and one read more."""
        return max(self.limit + 4, _KEPT) + READ

    @property
    def kept(self) -> int:
        """Bytes that were received, and are not yet a request."""
        protocol = self.transport.protocol
        return len(protocol._rest) if isinstance(protocol, ZooKeeperConnection) else 0

    def answers(self) -> list[tuple[int, int]]:
        """(xid, size) of each answer sent after the first, which is to the connect request."""
        found = []
        at = 4 + unpack_from(">i", self.transport.sent)[0] if self.transport.sent else 0
        while at < len(self.transport.sent):
            size, xid = unpack_from(">ii", self.transport.sent, at)
            found.append((xid, size - 16))
            at += 4 + size
        return found


def run(play: Callable[[Wire], Awaitable[None]]) -> Wire:
    """Play something on a new wire."""

    async def main() -> Wire:
        wire = Wire()
        await play(wire)
        wire.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.service.there == 0, "a closed connection is still held"
        return wire

    return asyncio.run(main())


def frame(content: bytes) -> bytes:
    return pack(">i", len(content)) + content


def connect(password: bytes | None = bytes(16), tail: bytes = b"\0") -> bytes:
    length = -1 if password is None else len(password)
    return frame(pack(">iqiqi", 0, 0, 4000, 0, length) + (password or b"") + tail)


def request(xid: int = 1, op: int = 4, body: bytes = b"") -> bytes:
    return frame(pack(">ii", xid, op) + body)


def decoded(stream: bytes) -> list[Request]:
    """What a stream of frames behind a connect request holds, up to the first that is none."""
    found, at = [], 0
    while len(stream) - at >= 12:
        size, xid, op = unpack_from(">iii", stream, at)
        if not 8 <= size <= LIMIT or at + 4 + size > len(stream):
            break
        found.append(Request(xid, op, stream[at + 12 : at + 4 + size]))
        at += 4 + size
    return found


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The stream cut at these offsets, and no piece longer than a read."""
    at = sorted({0, *(cut % (len(stream) + 1) for cut in cuts), *range(0, len(stream), READ), len(stream)})
    return [stream[a:b] for a, b in pairwise(at)]


INT = st.integers(-(1 << 31), (1 << 31) - 1)
REQUESTS = st.lists(
    st.builds(request, INT, INT, st.binary(max_size=40) | st.binary(min_size=LIMIT - 8, max_size=LIMIT - 8)),
    max_size=8,
).map(b"".join)
BAD = st.one_of(
    st.builds(lambda size, rest: pack(">i", size) + rest, INT, st.binary(max_size=30)),
    st.binary(max_size=40),
    st.sampled_from((-1, -(1 << 31), 0, 7, LIMIT + 1, (1 << 31) - 1)).map(lambda size: pack(">i", size)),
)
CUTS = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(REQUESTS, BAD, CUTS)
def test_any_split_gives_the_same_requests(good: bytes, bad: bytes, cuts: list[int]) -> None:
    stream = good + bad
    wire = run(lambda wire: wire.send(*pieces(connect() + stream, cuts)))
    expected = decoded(stream)
    assert wire.service.connects == [(0, 4000, 0, bytes(16))]
    assert wire.service.requests == expected
    assert wire.service.counted == len(expected)


@given(REQUESTS)
def test_every_byte_may_come_by_itself(good: bytes) -> None:
    stream = connect() + good[:300]
    wire = run(lambda wire: wire.send(*(stream[at : at + 1] for at in range(len(stream)))))
    assert wire.service.requests == decoded(good[:300])
    assert not wire.service.reasons


@given(st.binary(max_size=120).filter(lambda data: data[:4] not in words.WORDS | VERBS), CUTS)
@example(pack(">i", -5) + connect()[4:] + b"x", [])
def test_garbage_instead_of_a_connect_request(garbage: bytes, cuts: list[int]) -> None:
    wire = run(lambda wire: wire.send(*pieces(garbage, cuts)))
    assert not wire.service.requests
    if len(garbage) >= 4 and not 28 <= unpack_from(">i", garbage)[0] <= LIMIT:
        assert not wire.service.connects
        assert len(wire.service.reasons) == 1


@given(CUTS)
def test_what_is_pipelined_behind_the_connect_request_waits_for_the_session(cuts: list[int]) -> None:
    stream = connect() + request(1) + request(2)

    async def play(wire: Wire) -> None:
        wire.transport.deliver([stream])
        assert not wire.service.requests
        await wire.send()
        assert [request.xid for request in wire.service.requests] == [1, 2]
        await wire.send(*pieces(request(3), cuts))

    assert run(play).answers() == [(1, 4), (2, 4), (3, 4)]


LARGE = st.lists(
    st.tuples(st.integers(1, 1000), st.sampled_from((0, 100, 1025, 90_000, 300_000))), max_size=30
)


@given(LARGE, CUTS, st.none() | st.integers(0, 1 << 20))
def test_large_answers_are_sent_in_turns_and_lose_nothing(
    wanted: list[tuple[int, int]], cuts: list[int], room: int | None
) -> None:
    stream = connect() + b"".join(request(xid, size) for xid, size in wanted)

    async def play(wire: Wire) -> None:
        wire.transport.room = room
        await wire.send(*pieces(stream, cuts))
        for _ in wanted:
            wire.transport.read()
            await wire.send()

    wire = run(play)
    assert wire.answers() == wanted
    assert not wire.service.reasons


def test_who_does_not_read_is_not_answered_further() -> None:
    many = b"".join(request(xid, 300_000) for xid in range(READ // 12))

    async def play(wire: Wire) -> None:
        wire.transport.room = 1 << 20
        await wire.send(connect(), *pieces(many, ()))
        assert len(wire.transport.sent) < 3 << 20
        assert not wire.transport.ended

    run(play)


def test_a_client_that_has_yet_to_read_is_heard_all_the_same() -> None:
    async def play(wire: Wire) -> None:
        wire.transport.room = 0
        await wire.send(connect(), request(1, 1 << 20))
        connection = wire.transport.protocol
        assert isinstance(connection, ZooKeeperConnection)
        heard = connection.heard
        await wire.send(request(-2, 11))
        assert connection.heard > heard

    run(play)


def test_a_large_frame_goes_on_where_it_was_held_back() -> None:
    async def main() -> list[tuple[int, int]]:
        wire = Wire(1 << 20)
        await wire.send(connect())
        connection = wire.transport.protocol
        assert isinstance(connection, ZooKeeperConnection)
        large = request(1, 5, bytes(1 << 19))
        wire.transport.deliver(pieces(large[:-1], ()))
        connection.hold()
        wire.transport.deliver([large[-1:]])
        assert not wire.service.requests
        connection.resume()
        await wire.send()
        return wire.answers()

    assert asyncio.run(asyncio.wait_for(main(), 10)) == [(1, 5)]


def test_events_for_who_does_not_read_end_the_connection() -> None:
    async def play(wire: Wire) -> None:
        wire.transport.room = 0
        await wire.send(connect())
        connection = wire.transport.protocol
        assert isinstance(connection, ZooKeeperConnection)
        while not wire.transport.ended:
            assert len(wire.transport.sent) < 33 << 20
            connection.event(1, bytes(1 << 20), 1)
            connection.flush()

    assert run(play).service.reasons == ["does not read what it is sent"]


@pytest.mark.parametrize(
    "start",
    [
        pack(">i", 0),
        pack(">i", -1),
        pack(">i", -(1 << 31)),
        pack(">i", 27),
        pack(">i", LIMIT + 1),
        pack(">i", (1 << 31) - 1),
        pack(">i", -5) + bytes(60),
        frame(pack(">iqiqi", 0, 0, 4000, 0, (1 << 31) - 1) + bytes(16)),
        frame(pack(">iqiqi", 0, 0, 4000, 0, -2) + bytes(16)),
        frame(pack(">iqiqi", 0, 0, 4000, 0, 17) + bytes(16)),
        b"FROB / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_a_malformed_connect_request_ends_the_connection_with_one_reason(start: bytes) -> None:
    wire = run(lambda wire: wire.send(*pieces(start, range(len(start))), *pieces(start, ())))
    assert not wire.service.connects
    assert len(wire.service.reasons) == 1
    assert not wire.transport.sent


@pytest.mark.parametrize("password", [None, b"", bytes(16), bytes(1000)])
@pytest.mark.parametrize("tail", [b"", b"\0", b"\1", b"more than a flag"])
def test_a_connect_request_is_taken_whole_or_in_pieces(password: bytes | None, tail: bytes) -> None:
    sent = connect(password, tail)
    for cuts in ((), range(len(sent))):
        wire = run(lambda wire, cuts=cuts: wire.send(*pieces(sent, cuts)))  # type: ignore[misc]
        assert wire.service.connects == [(0, 4000, 0, password or b"")]
        assert not wire.service.reasons


@pytest.mark.parametrize("size", [-(1 << 31), -1, 0, 7, LIMIT + 1, (1 << 31) - 1])
def test_a_frame_of_absurd_length_ends_the_connection_after_what_came_before_it(size: int) -> None:
    wire = run(lambda wire: wire.send(connect(), request(1) + pack(">i", size), request(2)))
    assert wire.answers() == [(1, 4)]
    assert wire.service.reasons == [f"a frame of {size} bytes (jute.maxbuffer is {LIMIT})"]


def test_a_frame_of_jute_maxbuffer_is_taken() -> None:
    wire = run(lambda wire: wire.send(connect(), request(1, 4, bytes(LIMIT - 8))))
    assert wire.answers() == [(1, 4)]
