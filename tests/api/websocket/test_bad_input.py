"""The WebSocket against a daemon: what becomes of who breaks its rules."""

from __future__ import annotations

import asyncio
import struct

import cbor2
import pytest

from znoded.api.websocket.messages import MOST

from ...daemons import Daemon, until
from .messenger import Answer, Closed, connected, opened

LIMIT = 0xFFFFF


HOSTILE = {
    "nothing": b"",
    "no array": cbor2.dumps({}),
    "a request alone": cbor2.dumps([1, "ping"]),
    "two arrays": cbor2.dumps([]) + cbor2.dumps([]),
    "bytes as long as the memory of all": b"\x81\x83\x01\x63get\xa1\x64path\x5b\x10" + bytes(7),
    "an array of as many": b"\x9b\x10" + bytes(7),
    "a map of as many": b"\x81\x83\x01\x63get\xbb\x10" + bytes(7),
    "deep arrays": b"\x81" * 100_000 + b"\0",
    "deep tags": b"\xc1" * 100_000 + b"\0",
    "deep arrays without an end": b"\x9f" * 100_000,
    "a date": cbor2.dumps([[1, "ping"]])[:-1] + b"\xc1\x00",
    "a pattern": b"\x81\x83\x01\x63get\xa1\x64path\xd8\x23\x62.*",
    "a value that holds itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "text that is not UTF-8": b"\x81\x83\x01\x63get\xa1\x64path\x61\xff",
    "too many requests": cbor2.dumps([[1, "ping"]] * (MOST + 1)),
    "an unknown request": cbor2.dumps([[1, "got"]]),
    "an unknown argument": cbor2.dumps([[1, "get", {"path": "/", "wacth": True}]]),
    "a number for a path": cbor2.dumps([[1, "get", {"path": 1}]]),
    "a version of 33 bits": cbor2.dumps([[1, "delete", {"path": "/", "version": 1 << 32}]]),
    "an xid of 32 bits": cbor2.dumps([[1 << 31, "ping"]]),
    "a second connect": cbor2.dumps([[1, "connect", {"timeout": 1000}]]),
}


class TestBadInput:
    @pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
    def test_a_message_that_is_no_request(self, at: tuple[str, int], message: bytes) -> None:
        async def session() -> None:
            async with connected(at) as client, connected(at) as bystander:
                await client.tell(("ping", {}))
                await client.socket.send_bytes(message)
                assert isinstance(await client.item(), Answer)  # what came before is answered
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1007 and closed.reason
                await bystander.ask("ping")

        asyncio.run(session())

    def test_text(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.socket.send_str("[]")
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1003

        asyncio.run(session())

    def test_a_message_that_is_too_large(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.socket.send_bytes(bytes(LIMIT + 1))
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1009

        asyncio.run(session())

    def test_a_request_before_connect(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at) as client:
                await client.tell(("get", {"path": "/"}))
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1007

        asyncio.run(session())

    def test_silence_instead_of_connect(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at) as client:
                assert await client.item() == Closed(1008, "has had no session for 1 s")

        asyncio.run(session())

    def test_a_client_that_asks_and_never_reads(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                await bystander.ask("create", path="/heavy", data=bytes(900_000))
                before = daemon.memory
                _, writer = await deaf(at, 400)
                writer.write(frame(cbor2.dumps([[1, "get", {"path": "/heavy"}]] * MOST)) * 10)
                until(lambda: "silent for 400 ms" in daemon.log[daemon.mark :], "the end of its session")
                assert daemon.memory - before < 40 << 20
                await bystander.ask("ping")
                writer.close()

        daemon.mark = len(daemon.log)
        asyncio.run(session())

    def test_a_client_that_watches_and_never_reads(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                path = "/" + "x" * 500_000
                await bystander.ask("create", path=path)
                before = daemon.memory
                _, writer = await deaf(at, 4000)
                writer.write(frame(cbor2.dumps([[1, "addWatch", {"path": "/", "recursive": True}]])))
                changes = 0
                while "does not read what it is sent" not in daemon.log[daemon.mark :]:
                    await bystander.ask("set", path=path, data=None)
                    changes += 1
                    assert changes < 1000
                assert daemon.memory - before < 60 << 20
                writer.close()

        daemon.mark = len(daemon.log)
        asyncio.run(session())

    def test_a_client_that_leaves_amid_its_requests(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                await bystander.ask("create", path="/left")
                for _ in range(5):
                    _, writer = await deaf(at, 4000)
                    writer.write(frame(cbor2.dumps([[1, "set", {"path": "/left", "data": b""}]] * MOST)) * 5)
                    await asyncio.sleep(0)
                    writer.transport.abort()
                await bystander.ask("set", path="/left", data=b"x")

        asyncio.run(session())


async def deaf(address: tuple[str, int], patience: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with a session, that reads little of what it is sent."""
    reader, writer = await asyncio.open_connection(*address, limit=1 << 16)
    writer.write(
        b"GET /ws/v1 HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(cbor2.dumps([[0, "connect", {"timeout": patience}]])))
    return reader, writer


def frame(message: bytes) -> bytes:
    """A client's frame, with a mask of zeros."""
    return struct.pack(">BBHI", 0x82, 0xFE, len(message), 0) + message
