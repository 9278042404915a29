"""Servers that fall silent, talk nonsense or take less than others are left, or are sent less."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from znoded.client import (
    Client,
    OutcomeUnknown,
    Refused,
    TooLarge,
)
from znoded.storage import cbor

from .pretender import Line, Pretender
from .running import run


async def one_then_served(first: Callable[[Line], Awaitable[None]]) -> Pretender:
    async def behave(line: Line) -> None:
        if line.number == 0:
            await first(line)
        else:
            await line.grant()
            await line.serve()

    return Pretender(behave)


GARBAGE = {
    "no CBOR": b"\xff",
    "no list": cbor.encode(5),
    "short": cbor.encode([[1, 2]]),
    "a zxid of text": cbor.encode([[1, "2", 0, {}]]),
    "an unknown kind": cbor.encode([[None, 2, "sung", "/a"]]),
    "an event without a path": cbor.encode([[None, 2, 3, 4]]),
    "an answer to nothing": cbor.encode([[77, 1, 0, {}]]),
    "a pong to nothing": cbor.encode([[0, 1, 0, {}]]),
}


class TestAServer:
    @pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
    def test_that_talks_nonsense_is_left(self, garbage: bytes) -> None:
        async def nonsense(line: Line) -> None:
            await line.grant()
            await line.until("get")
            await line.socket.send_bytes(garbage)
            await line.hold()

        async def scenario() -> None:
            async with await one_then_served(nonsense) as pretender, Client(pretender.address) as client:
                assert (await client.get("/a")).data == b"data"

        run(scenario())

    @pytest.mark.parametrize("garbage", [*GARBAGE.values(), cbor.encode([[0, 0, 0, {"session": "x"}]])])
    def test_that_answers_connect_with_nonsense_is_left(self, garbage: bytes) -> None:
        async def nonsense(line: Line) -> None:
            await line.request()
            await line.socket.send_bytes(garbage)
            await line.hold()

        async def scenario() -> None:
            async with await one_then_served(nonsense) as pretender, Client(pretender.address) as client:
                assert (await client.get("/a")).data == b"data"

        run(scenario())

    def test_that_falls_silent_is_left_in_time(self) -> None:
        seen: list[dict[str, object]] = []

        async def behave(line: Line) -> None:
            seen.append(await line.grant(milliseconds=300))
            await (line.serve() if line.number else line.hold())

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                before = client.alive_until
                assert (await client.get("/a")).data == b"data"
                assert client.alive_until > before

        run(scenario())
        assert "session" not in seen[0]
        assert seen[1]["session"] == 1

    def test_that_takes_less_than_was_thought_is_sent_less(self) -> None:
        async def behave(line: Line) -> None:
            await line.grant()
            while True:
                message = await line.socket.receive()
                if message.type.name != "BINARY":
                    return
                if len(message.data) > 1000:
                    await line.socket.close(code=1009, message=b"too large")
                    return
                for request in cbor.decode(message.data):  # type: ignore[attr-defined]
                    await line.say([request[0], 1, 0, {"data": b"", "stat": None}])

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                calls = [client.sync(f"/{number}") for number in range(100)]
                large = [client.set("/large", bytes(size)) for size in (70_000, 1001)]
                *small, one, other = await asyncio.gather(*calls, *large, return_exceptions=True)
                assert small == [None] * 100
                assert isinstance(one, TooLarge)
                # It waited behind the first, or went with it.
                assert isinstance(other, TooLarge | OutcomeUnknown)
                with pytest.raises(TooLarge, match=r"/large"):
                    await client.set("/large", bytes(1001))

        run(scenario())

    def test_that_takes_little_is_told_of_watches_little_by_little(self) -> None:
        told: list[str] = []

        async def behave(line: Line) -> None:
            await line.grant()
            if not line.number:
                for _ in range(40):
                    xid, _, _ = await line.until("addWatch")
                    await line.say([xid, 1, 0, {}])
                return
            while len(told) < 40:
                _, _, arguments = await line.until("setWatches")
                assert len(cbor.encode(arguments)) < 500
                told.extend(arguments.get("persistent", ()))  # type: ignore[arg-type]
                told.extend(arguments.get("recursive", ()))  # type: ignore[arg-type]
            await line.serve()

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address, max_message=500) as client:
                watches = [client.watch(f"/{'ä' * 50}{path}", recursive=path % 2 > 0) for path in range(40)]
                await asyncio.gather(*(watch.ready() for watch in watches))
                await client.get("/a")
                assert sorted(told) == sorted(watch.path for watch in watches)

        run(scenario())

    def test_that_does_not_understand_is_not_asked_again(self) -> None:
        async def behave(line: Line) -> None:
            await line.grant()
            _, name, _ = await line.request()
            if name == "get":
                await line.socket.close(code=1007, message=b"no such request")
            else:
                await line.say([1, 1, 0, {}])
                await line.serve()

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                with pytest.raises(Refused, match=r"/a: get: .*no such request"):
                    await client.get("/a")
                await client.sync()

        run(scenario())
