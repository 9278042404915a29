"""A session goes on while it can, whatever a server does, and nobody waits for ever when it can't."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import znoded.client.session
from znoded.client import (
    AuthFailed,
    BadAddress,
    Client,
    ConnectionClosed,
    Event,
    Kind,
    NoConnection,
    OutcomeUnknown,
    Refused,
    SessionExpired,
    State,
    TimedOut,
    TooLarge,
)
from znoded.storage import cbor

from ..daemons import free_port
from .pretender import Line, Pretender
from .running import run


class TestTheFirstConnection:
    def test_nobody_there(self) -> None:
        async def scenario() -> None:
            port = free_port()
            client = Client(f"127.0.0.1:{port}", connect_timeout=0.2)
            with pytest.raises(NoConnection, match=rf"127.0.0.1:{port} in 0.2 s: .*{port}"):
                await client.__aenter__()
            assert client.state is State.CLOSED
            with pytest.raises(ConnectionClosed):
                await client.get("/")

        run(scenario())

    def test_one_of_several_is_enough(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(f"127.0.0.1:{free_port()},{server},127.0.0.1:{free_port()}") as client:
                assert client.state is State.CONNECTED

        run(scenario())

    def test_one_that_says_nothing_is_left(self, server: str) -> None:
        async def scenario() -> None:
            with socket.create_server(("127.0.0.1", 0)) as mute:
                name = "{}:{}".format(*mute.getsockname())
                with pytest.raises(NoConnection):
                    await Client(name, connect_timeout=0.1).__aenter__()
                async with Client(f"{name},{server}", timeout=1):
                    pass

        run(scenario())

    def test_one_that_is_no_znoded_is_left(self) -> None:
        async def scenario() -> None:
            async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(b"220 mail.example ESMTP\r\n")
                writer.close()

            async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as other:
                name = "{}:{}".format(*other.sockets[0].getsockname())
                with pytest.raises(NoConnection, match=r"220 mail"):
                    await Client(name, connect_timeout=0.1).__aenter__()

        run(scenario())

    def test_credentials_that_are_refused(self, server: str) -> None:
        async def scenario() -> None:
            client = Client(server, auth=[("nonsense", b"x")])
            with pytest.raises(AuthFailed):
                await client.__aenter__()
            assert client.state is State.CLOSED
            with pytest.raises(AuthFailed):
                await client.get("/")

        run(scenario())

    def test_a_client_is_opened_once(self, server: str) -> None:
        async def scenario() -> None:
            client = Client(server)
            with pytest.raises(ConnectionClosed, match=r"async with"):
                await client.get("/")
            async with client:
                with pytest.raises(ConnectionClosed, match=r"once"):
                    await client.__aenter__()
            with pytest.raises(ConnectionClosed, match=r"once"):
                await client.__aenter__()

        run(scenario())

    def test_what_is_wrong_is_said_before(self) -> None:
        with pytest.raises(ValueError, match=r"timeout"):
            Client("localhost", timeout=1e9)
        with pytest.raises(TypeError, match=r"bytes"):
            Client("localhost", auth=[("digest", "user:password")])  # type: ignore[list-item]
        with pytest.raises(BadAddress):
            Client("http://localhost")


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


class TestAliveUntil:
    def test_late_pongs_tell_of_early_pings(self) -> None:
        pinged: list[float] = []

        async def behave(line: Line) -> None:
            await line.grant(milliseconds=900)
            watch, _, _ = await line.request()
            for _ in range(2):
                await line.request()
                pinged.append(asyncio.get_running_loop().time())
            await line.say([0, 0, 0, {}], [watch, 1, 0, {}])
            await line.serve()

        async def scenario() -> None:
            async with Pretender(behave) as pretender, Client(pretender.address) as client:
                begun = client.alive_until
                await client.watch("/a").ready()
                assert begun < client.alive_until <= pinged[0] + 0.9

        run(scenario())

    def test_without_a_session_it_is_over(self, server: str) -> None:
        async def scenario() -> None:
            client = Client(server)
            assert client.alive_until == float("-inf")
            async with client:
                assert client.alive_until > asyncio.get_running_loop().time()
            assert client.alive_until == float("-inf")
            with pytest.raises(ConnectionClosed):
                _ = client.session

        run(scenario())


class TestExpiry:
    def test_is_told_to_all_that_wait_and_all_that_comes(self) -> None:
        states: list[State] = []

        async def behave(line: Line) -> None:
            if line.number:
                await line.expired()
            else:
                await line.grant()
                await line.until("get")

        async def scenario() -> None:
            async with (
                Pretender(behave) as pretender,
                Client(pretender.address, on_state=states.append) as client,
            ):
                told = client.states()
                watch = client.watch("/a")
                calls = [client.get("/a"), client.get("/b"), anext(watch)]
                for outcome in await asyncio.gather(*calls, return_exceptions=True):
                    assert isinstance(outcome, SessionExpired)
                for _ in range(2):
                    with pytest.raises(SessionExpired):
                        await client.get("/a")
                with pytest.raises(SessionExpired):
                    client.watch("/a")
                assert [state async for state in told] == states
            assert client.state is State.EXPIRED

        run(scenario())
        assert states == [State.CONNECTED, State.SUSPENDED, State.EXPIRED]

    def test_or_there_is_a_new_session(self) -> None:
        states: list[State] = []
        watched: list[dict[str, object]] = []
        go_on = asyncio.Event()

        async def behave(line: Line) -> None:
            if line.number == 0:
                await line.grant()
                xid, _, _ = await line.until("addWatch")
                await line.say([xid, 1, 0, {}])
                await line.until("get")
            elif line.number == 1:
                await go_on.wait()
                await line.expired()
            else:
                await line.grant(session=2)
                xid, name, arguments = await line.request()
                assert name == "setWatches"
                watched.append(arguments)
                await line.say([xid, 1, 0, {}])
                await line.serve()

        async def scenario() -> None:
            async with (
                Pretender(behave) as pretender,
                Client(pretender.address, renew=True, on_state=states.append) as client,
                client.watch("/a") as watch,
            ):
                read = asyncio.create_task(client.get("/a"))
                async for state in client.states():
                    if state is State.SUSPENDED:
                        break
                change = asyncio.create_task(client.set("/a", b""))
                await asyncio.sleep(0)
                go_on.set()
                with pytest.raises(SessionExpired):
                    await change
                assert (await read).data == b"data"
                assert client.session[0] == 2
                assert await anext(watch) == Event(Kind.MISSED, "/a")

        run(scenario())
        assert watched == [{"seen": 1, "persistent": ["/a"]}]
        connected, suspended, expired, again, closed = states
        assert (connected, suspended) == (State.CONNECTED, State.SUSPENDED)
        assert (expired, again, closed) == (State.EXPIRED, State.CONNECTED, State.CLOSED)


class TestTheEnd:
    def test_takes_the_ephemerals_with_it(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as other:
                async with Client(server) as client:
                    await client.create("/ephemeral", ephemeral=True)
                    assert await client.ephemerals() == ["/ephemeral"]
                assert await other.exists("/ephemeral") is None

        run(scenario())

    def test_what_was_asked_before_is_done(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as other:
                async with Client(server) as client:
                    asked = asyncio.gather(*(client.create("/end-", sequential=True) for _ in range(50)))
                    await asyncio.sleep(0)
                for created in await asked:
                    await other.delete(created.path)

        run(scenario())

    def test_does_not_wait_for_a_silent_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(znoded.client.session, "_FAREWELL", 0.05)

        async def behave(line: Line) -> None:
            await line.grant()
            await line.hold()

        async def scenario() -> None:
            async with Pretender(behave) as pretender:
                async with Client(pretender.address) as client:
                    watch = client.watch("/a")
                    calls = [
                        asyncio.ensure_future(call)
                        for call in (client.get("/a"), client.set("/a", b""), anext(watch))
                    ]
                    await asyncio.sleep(0)
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                kinds = [type(outcome) for outcome in outcomes]
                assert kinds == [ConnectionClosed, OutcomeUnknown, ConnectionClosed]

        run(scenario())

    def test_several_may_end_it(self, server: str) -> None:
        async def scenario() -> None:
            states: list[State] = []
            async with Client(server, on_state=states.append) as client:
                await asyncio.gather(*(client.close() for _ in range(3)))
                assert client.state is State.CLOSED
            assert states == [State.CONNECTED, State.CLOSED]

        run(scenario())

    def test_nothing_keeps_a_closed_client(self, server: str) -> None:
        async def life() -> weakref.ref[Client]:
            async with Client(server) as client:
                watch = client.watch("/a")
                await watch.ready()
                await client.get("/")
                return weakref.ref(client)

        async def scenario() -> None:
            client = await life()
            gc.collect()
            assert client() is None

        run(scenario())


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
                changes = [client.set("/a", bytes(100_000)) for _ in range(100)]
                calls = asyncio.gather(*changes, client.get("/a"), return_exceptions=True)
                for _ in range(10):
                    await asyncio.sleep(0)
                hang_up.set()
                *outcomes, read = await calls
                assert {type(outcome) for outcome in outcomes} == {OutcomeUnknown}
                assert "/a: set: the answer was lost" in str(outcomes[0])
                assert "/a: set: one before it was lost" in str(outcomes[-1])
                assert read.data == b"data"
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


class TestStates:
    def test_a_callback_that_fails_is_told_of(self, server: str) -> None:
        told: list[str] = []

        def fail(state: State) -> None:
            raise RuntimeError(f"oh {state}")

        async def scenario() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, complaint: told.append(str(complaint["exception"]))
            )
            async with Client(server, on_state=fail) as client:
                await client.get("/")

        run(scenario())
        assert told == ["oh connected", "oh closed"]

    def test_readers_begin_with_the_present_one(self, server: str) -> None:
        async def scenario() -> None:
            client = Client(server)
            early = client.states()
            async with client:
                late = client.states()
            assert [state async for state in early] == [State.CONNECTING, State.CONNECTED, State.CLOSED]
            assert [state async for state in late] == [State.CONNECTED, State.CLOSED]
            assert [state async for state in client.states()] == [State.CLOSED]

        run(scenario())


def test_opening_can_be_cancelled_at_any_moment(server: str) -> None:
    async def life() -> None:
        async with Client(server) as client, client.watch("/a"):
            await client.get("/")

    async def scenario() -> None:
        for steps in range(60):
            task = asyncio.create_task(life())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            if left := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(left)  # what was cancelled in the middle of closing ends by itself

    run(scenario())
