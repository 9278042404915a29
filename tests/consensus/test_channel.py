"""The channel between servers: who gets in, who is turned away and why, and what a connection carries."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias
from zlib import crc32

import pytest

from znoded.consensus.channel import Channel, Shared
from znoded.consensus.identity import HELLO, MAGIC, NO_CLUSTER, PROOF, Identity

from ..daemons import free_port

Scene: TypeAlias = Callable[[], Coroutine[None, None, None]]
SECRET = b"open sesame"


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self._news = asyncio.Event()

    def connected(self, peer: int) -> None:
        self._tell(f"{peer} comes")

    def disconnected(self, peer: int) -> None:
        self._tell(f"{peer} goes")

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        self.frames.append((peer, kind, payload))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def hears(self, *told: str) -> None:
        await self.until(lambda: self.told == list(told))

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self._news.set()


class House:
    """An ensemble's addresses, and its servers' channels, which end with the test."""

    def __init__(self, count: int) -> None:
        self.addresses = {sid: ("127.0.0.1", free_port()) for sid in range(1, count + 1)}
        self.stack = AsyncExitStack()

    async def serve(
        self, me: int, *, secret: bytes = SECRET, cluster: bytes = NO_CLUSTER, backend: str = "zab"
    ) -> tuple[Channel, Owner]:
        owner = Owner()
        channel = Channel(Identity(me, backend, secret, lambda: cluster), self.addresses, owner)
        await channel.start()
        self.stack.push_async_callback(channel.stop)
        return channel, owner

    async def stranger(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to server 1 that is nobody's yet."""
        reader, writer = await asyncio.open_connection(*self.addresses[1])
        self.stack.callback(writer.close)
        return reader, writer

    async def peer(
        self, sid: int, secret: bytes = SECRET
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One to server 1 that has proven to be server sid; by hand."""
        reader, writer = await self.stranger()
        identity = Identity(sid, "zab", secret, lambda: NO_CLUSTER)
        hello = identity.hello(1)
        writer.write(hello)
        hellos = hello + await reader.readexactly(HELLO)
        assert await reader.readexactly(PROOF) == identity.proof(b"listens", hellos)
        writer.write(identity.proof(b"dials", hellos))
        return reader, writer


@asynccontextmanager
async def house(count: int = 2) -> AsyncIterator[House]:
    made = House(count)
    async with made.stack:
        yield made


def run(scene: Scene) -> None:
    asyncio.run(asyncio.wait_for(scene(), 20))


async def logged(caplog: pytest.LogCaptureFixture, why: str) -> None:
    """Wait until the log says so."""
    while why not in caplog.text:  # noqa: ASYNC110 - a log is no event
        await asyncio.sleep(0.005)


async def refused(caplog: pytest.LogCaptureFixture, reader: asyncio.StreamReader, why: str) -> None:
    """The connection ends, and the log says why."""
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1 << 20)
    assert why in caplog.text


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">IIB", len(payload), crc32(payload, kind), kind) + payload


# two servers


def test_what_one_sends_the_other_receives_in_order() -> None:
    async def scene() -> None:
        async with house() as home:
            one, at_one = await home.serve(1)
            two, at_two = await home.serve(2)
            await at_one.hears("2 comes")
            await at_two.hears("1 comes")
            sent = [(at % 5, bytes([at]) * (at * 100)) for at in range(100)]
            for kind, payload in sent:
                one.send(2, kind, payload)
                two.send(1, kind, payload)
            await at_one.until(lambda: len(at_one.frames) == 100)
            await at_two.until(lambda: len(at_two.frames) == 100)
            assert at_one.frames == [(2, *each) for each in sent]
            assert at_two.frames == [(1, *each) for each in sent]

    run(scene)


def test_what_goes_to_several_arrives_before_what_is_each_ones_own() -> None:
    async def scene() -> None:
        async with house(3) as home:
            three, at_three = await home.serve(3)
            _, at_one = await home.serve(1)
            _, at_two = await home.serve(2)
            await at_three.until(lambda: len(at_three.told) == 2)
            shared = Shared(7, b"to both ")
            three.send_shared(1, shared, b"and to 1")
            three.send_shared(2, shared, b"and to 2")
            three.send_shared(9, shared, b"and to nobody")
            await at_one.until(lambda: bool(at_one.frames))
            await at_two.until(lambda: bool(at_two.frames))
            assert at_one.frames == [(3, 7, b"to both and to 1")]
            assert at_two.frames == [(3, 7, b"to both and to 2")]
            assert three.sent == {1: 16, 2: 16}
            assert three.frames == {1: 1, 2: 1}

    run(scene)


def test_servers_start_in_any_order_and_find_each_other_again() -> None:
    async def scene() -> None:
        async with house() as home:
            _, at_two = await home.serve(2)  # it dials, and nobody is there
            one, at_one = await home.serve(1)
            await at_two.hears("1 comes")
            await at_one.hears("2 comes")
            one.drop(2)
            await at_one.hears("2 comes", "2 goes", "2 comes")
            await at_two.hears("1 comes", "1 goes", "1 comes")

    run(scene)


def test_what_is_sent_to_nobody_is_lost() -> None:
    async def scene() -> None:
        async with house() as home:
            one, at_one = await home.serve(1)
            one.send(2, 1, b"early")
            assert not await one.drained(2)
            _, at_two = await home.serve(2)
            await at_one.hears("2 comes")
            one.send(2, 1, b"late")
            await at_two.until(lambda: bool(at_two.frames))
            assert at_two.frames == [(1, 1, b"late")]

    run(scene)


@pytest.mark.parametrize(
    ("other", "why", "back"),
    [
        ({"secret": b"guess"}, "its secret is not that of quorum.secretFile here", ""),
        ({"backend": "raft"}, "it runs raft, this server zab", "it runs zab, this server raft"),
        (
            {"cluster": b"b" * 16},
            "its data are of cluster " + b"b".hex() * 16,
            "its data are of cluster " + b"a".hex() * 16,
        ),
    ],
    ids=["secret", "backend", "data"],
)
def test_servers_that_do_not_belong_together_stay_apart(
    caplog: pytest.LogCaptureFixture, other: dict[str, bytes], why: str, back: str
) -> None:
    """And both say why."""

    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1, cluster=b"a" * 16)
            _, at_two = await home.serve(2, **other)  # type: ignore[arg-type]  # what the table holds
            await logged(caplog, why)
            await logged(caplog, f"server 1, is refused: {back or why}")
            await logged(caplog, "server 2, is refused")
            assert at_one.told == at_two.told == []

    run(scene)


def test_a_server_at_anothers_address_is_known_for_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with house(3) as home:
            await home.serve(1)
            home.addresses[2] = home.addresses[1]
            await home.serve(3)
            await logged(caplog, "server 1, is refused: server 2 should be there")
            await logged(caplog, "server 3, is refused: it looks for server 2, this is server 1")

    run(scene)


def test_the_reason_is_not_said_at_every_try(caplog: pytest.LogCaptureFixture) -> None:
    def refusals(level: int) -> int:
        return sum("is refused" in record.message for record in caplog.records if record.levelno == level)

    async def scene() -> None:
        caplog.set_level(logging.DEBUG)
        async with house() as home:
            await home.serve(1, cluster=b"a" * 16)
            await home.serve(2, cluster=b"b" * 16)
            while refusals(logging.DEBUG) < 4:  # noqa: ASYNC110 - a log is no event
                await asyncio.sleep(0.005)
            assert refusals(logging.WARNING) == 2  # by either server

    run(scene)


def test_a_server_without_data_belongs_to_any_cluster() -> None:
    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1, cluster=b"a" * 16)
            await home.serve(2)
            await at_one.hears("2 comes")

    run(scene)


# strangers


def test_a_peer_that_proves_itself_is_heard() -> None:
    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1)
            _, writer = await home.peer(2)
            writer.write(frame(7, b"hello"))
            await at_one.until(lambda: bool(at_one.frames))
            assert at_one.frames == [(2, 7, b"hello")]

    run(scene)


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "it speaks something else"),
        (bytes(HELLO), "it speaks something else"),
        (MAGIC[:-1] + b"\x01" + bytes(HELLO), "another version"),
        (Identity(2, "zab", SECRET, lambda: NO_CLUSTER).hello(3), "it looks for server 3, this is server 1"),
        (Identity(9, "zab", SECRET, lambda: NO_CLUSTER).hello(1), "it is not one of this server's peers"),
        (Identity(1, "zab", SECRET, lambda: NO_CLUSTER).hello(1), "it is not one of this server's peers"),
        (Identity(2, "zab", SECRET, lambda: NO_CLUSTER).hello(1) + bytes(PROOF), "its secret is not that"),
    ],
    ids=["http", "zeros", "version", "another server's", "unknown", "itself", "no proof"],
)
def test_a_stranger_is_refused_with_a_reason(
    caplog: pytest.LogCaptureFixture, hello: bytes, why: str
) -> None:
    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1)
            reader, writer = await home.stranger()
            writer.write(hello)
            await refused(caplog, reader, why)
            assert at_one.told == []

    run(scene)


def test_an_answer_heard_before_proves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with house() as home:
            await home.serve(1)
            reader, writer = await home.stranger()
            hello = Identity(2, "zab", SECRET, lambda: NO_CLUSTER).hello(1)
            writer.write(hello)
            hellos = hello + await reader.readexactly(HELLO)
            replay = Identity(2, "zab", SECRET, lambda: NO_CLUSTER).proof(b"dials", hellos)
            again, to_again = await home.stranger()
            to_again.write(hello + replay)  # the same hello; the server's is another one
            await refused(caplog, again, "its secret is not that")
            mirrored, to_mirrored = await home.stranger()
            to_mirrored.write(hello)
            await mirrored.readexactly(HELLO)
            to_mirrored.write(await mirrored.readexactly(PROOF))  # what it says itself
            await refused(caplog, mirrored, "its secret is not that")

    run(scene)


def test_a_flood_of_strangers_leaves_room_for_nobody_else_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("znoded.consensus.channel._PATIENCE", 0.3)

    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1)
            flood = [await home.stranger() for _ in range(64)]
            late, _ = await home.stranger()
            assert await late.read() == b""  # turned away at once
            for reader, _ in flood:
                assert await reader.read() == b""  # they had their time
            await home.peer(2)
            await at_one.hears("2 comes")

    run(scene)


# what a connection carries


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (frame(1, b"payload")[:-1] + b"!", "a frame was damaged"),
        (b"\x7f" + frame(1, b"payload"), "a frame of "),
        (struct.pack(">IIB", 7, crc32(b"payload", 1), 2) + b"payload", "a frame was damaged"),
    ],
    ids=["another byte", "too long", "another kind"],
)
def test_a_bad_frame_ends_the_connection(caplog: pytest.LogCaptureFixture, bad: bytes, why: str) -> None:
    async def scene() -> None:
        async with house() as home:
            _, at_one = await home.serve(1)
            reader, writer = await home.peer(2)
            writer.write(frame(1, b"good") + bad + frame(1, b"behind it"))
            await refused(caplog, reader, why)
            await at_one.hears("2 comes", "2 goes")
            assert at_one.frames == [(2, 1, b"good")]

    run(scene)


def test_a_peers_new_connection_takes_the_place_of_its_old_one() -> None:
    async def scene() -> None:
        async with house() as home:
            one, at_one = await home.serve(1)
            old, _ = await home.peer(2)
            await at_one.hears("2 comes")
            new, _ = await home.peer(2)
            await at_one.hears("2 comes", "2 goes", "2 comes")
            assert await old.read() == b""
            one.send(2, 3, b"here")
            assert await new.readexactly(13) == frame(3, b"here")
            assert list(one.peers) == [2]

    run(scene)


def test_it_waits_for_a_peer_that_does_not_read() -> None:
    async def scene() -> None:
        async with house() as home:
            one, at_one = await home.serve(1)
            reader, _ = await home.peer(2)
            await at_one.hears("2 comes")
            for _ in range(64):
                one.send(2, 1, bytes(1 << 20))
            waiting = asyncio.create_task(one.drained(2))
            await asyncio.sleep(0)
            assert not waiting.done()
            await reader.readexactly(64 * ((1 << 20) + 9))
            assert await waiting

    run(scene)
