"""A client under load: what it counts as acknowledged, and how it goes on after its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from struct import pack, unpack_from

from znoded.daemon.compare import wire
from znoded.daemon.compare.client import Client
from znoded.daemon.compare.latency import Latencies
from znoded.daemon.compare.sources import Creator, Measured

GREETING = wire.framed(pack(">iiqi16s?", 0, 10_000, 77, 16, b"p" * 16, False))
EXPIRED = wire.framed(pack(">iiqi16s?", 0, 0, 0, 16, bytes(16), False))


def reply(zxid: int = 1, error: int = 0) -> bytes:
    return wire.framed(pack(">iqi", 1, zxid, error))


class Wire(asyncio.Transport):
    """Keeps what is written, frame by frame."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        rest = bytes(data)
        while rest:
            end = 4 + int.from_bytes(rest[:4])
            self.frames.append(rest[4:end])
            rest = rest[end:]

    def abort(self) -> None:
        self.aborted = True


class Desk:
    """A client that creates znodes, three in flight, and what it has been told of."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.source = Creator(b"/compare/c0", 4, self._acknowledge)
        self.client = Client([1, 2], 0, 3, self.source)
        self.wire = Wire()

    def connect(self) -> None:
        self.wire = Wire()
        self.client.connection_made(self.wire)

    def _acknowledge(self, count: int, _now: float) -> None:
        self.acknowledged += count

    @property
    def created(self) -> list[bytes]:
        """Names, in the order of the requests."""
        paths = []
        for frame in self.wire.frames:
            if unpack_from(">ii", frame) == (1, 1):
                (length,) = unpack_from(">i", frame, 8)
                paths.append(frame[12 : 12 + length].rpartition(b"/")[2])
        return paths


def at_work(scene: Callable[[Desk], None]) -> None:
    """With a client that is connected, and has sent its first requests."""

    async def run() -> None:
        desk = Desk()
        desk.connect()
        desk.client.data_received(GREETING)
        desk.client.start()
        scene(desk)

    work: Coroutine[None, None, None] = run()
    asyncio.run(work)


def test_it_keeps_so_many_in_flight() -> None:
    def scene(desk: Desk) -> None:
        assert desk.created == [b"0", b"1", b"2"]
        desk.client.data_received(reply() + reply())
        assert desk.created == [b"0", b"1", b"2", b"3", b"4"]

    at_work(scene)


def test_answers_in_pieces_are_taken_once_they_are_whole() -> None:
    def scene(desk: Desk) -> None:
        for byte in reply() + reply():
            desk.client.data_received(bytes([byte]))
        assert desk.source.acked == [[0, 1]]
        assert desk.acknowledged == 2

    at_work(scene)


def test_an_error_acknowledges_nothing_and_its_neighbours_all_the_same() -> None:
    def scene(desk: Desk) -> None:
        desk.client.data_received(reply() + reply(error=-4) + reply())
        assert desk.source.acked == [[0, 0], [2, 2]]
        assert len(desk.created) == 6

    at_work(scene)


def test_what_was_under_way_when_a_server_went_is_never_acknowledged() -> None:
    def scene(desk: Desk) -> None:
        desk.client.data_received(reply(zxid=9))
        desk.client.connection_lost(None)
        desk.connect()
        assert unpack_from(">iqiq16x", desk.wire.frames[0]) == (0, 9, wire.SESSION_TIMEOUT, 77)
        desk.client.data_received(GREETING + reply())
        assert desk.created == [b"4", b"5", b"6", b"7"]
        assert desk.source.acked == [[0, 0], [4, 4]]

    at_work(scene)


def test_a_session_that_has_expired_is_replaced() -> None:
    def scene(desk: Desk) -> None:
        desk.client.connection_lost(None)
        desk.connect()
        desk.client.data_received(EXPIRED)
        assert desk.wire.aborted
        desk.client.connection_lost(None)
        desk.connect()
        assert unpack_from(">iqiq", desk.wire.frames[0])[3] == 0

    at_work(scene)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    def scene(desk: Desk) -> None:
        desk.client.look(desk.client.heard + 1.4)
        assert not desk.wire.aborted
        desk.client.look(desk.client.heard + 1.6)
        assert desk.wire.aborted

    at_work(scene)


def test_once_stopped_it_waits_for_what_is_under_way() -> None:
    def scene(desk: Desk) -> None:
        desk.client.stop()
        desk.client.data_received(reply() + reply())
        assert not desk.client.idle.is_set()
        desk.client.data_received(reply())
        assert desk.client.idle.is_set()
        assert len(desk.created) == 3

    at_work(scene)


def test_a_paced_one_sends_when_told_and_no_more_than_depth() -> None:
    async def scene() -> None:
        source = Creator(b"/compare/c0", 4, lambda *_: None)
        client, wire = Client([1], 0, 2, source, paced=True), Wire()
        client.connection_made(wire)
        client.data_received(GREETING)
        client.start()
        assert source.next == 0
        for _ in range(5):
            client.push()
        assert source.next == 2
        client.data_received(reply())
        assert source.next == 2
        client.push()
        assert source.next == 3

    asyncio.run(scene())


def test_a_mix_goes_round_and_counts_while_it_should() -> None:
    latencies = Latencies()
    mix = Measured([b"w", b"r", b"r"], latencies)
    assert mix.take(2) + mix.take(3) == b"wrrwr"
    mix.answered(2, 0, 1.0, 1.5)
    mix.counting = True
    mix.answered(2, 1, 1.0, 1.5)
    mix.lost(1)
    assert (mix.all, mix.errors, latencies.total) == (4, 2, 2)
