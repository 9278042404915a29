"""Calls time out, are cancelled, are lost or can not even be sent, and harm no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from znoded.client import (
    Client,
    ConnectionClosed,
    OutcomeUnknown,
    Refused,
    State,
    TimedOut,
)
from znoded.client.connection import Connection

from .pretender import Line, Pretender
from .running import run


class TestCalls:
    def test_time_out(self) -> None:
        async def behave(line: Line) -> None:
            await line.grant()
            await line.until("set")

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                with pytest.raises(TimedOut, match=r"/a: no answer to get within 0.01 s"):
                    await client.get("/a", timeout=0.01)
                with pytest.raises(TimeoutError):
                    await client.exists("/a", timeout=0.01)
                with pytest.raises(OutcomeUnknown, match=r"lost"):
                    await client.set("/a", b"")
                await pretender.__aexit__(None, None, None)
                async for state in client.states():
                    if state is State.SUSPENDED:
                        break
                with pytest.raises(TimedOut):  # it was never sent
                    await client.set("/a", b"", timeout=0.01)
                await client.close()

        run(scenario())

    def test_a_change_that_was_sent_may_have_been_made(self) -> None:
        async def behave(line: Line) -> None:
            await line.grant()
            xid, _, _ = await line.until("close")
            await line.say([xid, 1, 0, {}])

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                with pytest.raises(OutcomeUnknown, match=r"/a: no answer to set within 0.05 s"):
                    await client.set("/a", b"", timeout=0.05)

        run(scenario())

    def test_none_is_made_where_one_before_it_was_lost(self) -> None:
        hang_up = asyncio.Event()

        async def behave(line: Line) -> None:
            await line.grant()
            if line.number:
                await line.serve()
            await hang_up.wait()  # and read nothing: most can't even be sent

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                changes = asyncio.gather(
                    *(client.set("/a", bytes(100_000)) for _ in range(100)), return_exceptions=True
                )
                read = asyncio.create_task(client.get("/a"))
                for _ in range(10):
                    await asyncio.sleep(0)
                hang_up.set()
                outcomes = await changes
                assert {type(outcome) for outcome in outcomes} == {OutcomeUnknown}
                assert "/a: set: the answer was lost" in str(outcomes[0])
                assert "/a: set: one before it was lost" in str(outcomes[-1])
                assert (await read).data == b"data"
                await client.set("/a", b"")

        run(scenario())

    def test_that_are_cancelled_harm_nobody(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                await client.ensure_path("/cancelled")
                for steps in range(30):
                    calls = [
                        asyncio.create_task(client.set("/cancelled", b"%d" % number)) for number in range(9)
                    ]
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    for call in calls[::2]:
                        call.cancel()
                    outcomes = await asyncio.gather(*calls, return_exceptions=True)
                    assert not any(isinstance(outcome, Exception) for outcome in outcomes)
                    assert not any(isinstance(outcome, BaseException) for outcome in outcomes[1::2])
                await client.delete("/cancelled")

        run(scenario())

    def test_that_can_not_be_sent_harm_nobody(self, server: str) -> None:
        async def scenario() -> None:
            bad: list[Any] = ["\ud800", 5, None, b"/bytes"]
            async with Client(server) as client:
                session = client.session
                waiting = asyncio.create_task(client.get("/"))
                for value in bad:
                    with pytest.raises((TypeError, Refused)):
                        await client.get(value)
                    with pytest.raises((TypeError, Refused)):
                        await client.set_acl("/", [(31, "world", value)])  # type: ignore[list-item]
                    with pytest.raises((TypeError, Refused)):
                        await client.add_auth(value, b"")
                    with pytest.raises((TypeError, Refused)):
                        await client.reconfig(joining=value)
                for version in ("1", 1.5, None, 1 << 31):
                    with pytest.raises((TypeError, Refused)):
                        await client.delete("/a", version)  # type: ignore[arg-type]
                with pytest.raises(TypeError, match=r"data are bytes"):
                    await client.create("/a", "text")  # type: ignore[arg-type]
                await waiting
                assert client.session == session
                assert client.state is State.CONNECTED

        run(scenario())


def test_a_fault_of_the_client_s_own_leaves_nobody_waiting(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []

    def broken(self: Connection) -> bytes:
        raise RuntimeError("a fault")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, complaint: told.append(complaint["exception"]))
        async with Client(server) as client:
            watch = await client.watch("/a").ready()
            monkeypatch.setattr(Connection, "_batch", broken)
            calls = [client.get("/a"), client.set("/a", b""), anext(watch, None)]
            read, changed, event = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(read, ConnectionClosed) and "RuntimeError('a fault')" in str(read)
            assert isinstance(changed, ConnectionClosed)
            assert event is None
            assert client.state is State.CLOSED

    run(scenario())
    assert [str(error) for error in told] == ["a fault"]
