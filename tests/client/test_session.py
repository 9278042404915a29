"""A session goes on while it can, whatever a server does, and nobody waits for ever when it can't."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

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
    NodeExists,
    OutcomeUnknown,
    SessionExpired,
    State,
)

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
            while client() is not None:  # the loop still has a word with its connection
                await asyncio.sleep(0)
                gc.collect()

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


def test_it_can_be_cancelled_at_any_moment(server: str) -> None:
    async def life() -> None:
        async with Client(server, auth=[("digest", b"me:secret")]) as client, client.watch("/a"):
            await client.create("/cancelled", ephemeral=True)

    async def steps_of(life: asyncio.Task[None], most: float) -> int:
        steps = 0
        while not life.done() and steps < most:
            await asyncio.sleep(0)
            steps += 1
        return steps

    async def scenario() -> None:
        whole = await steps_of(asyncio.create_task(life()), float("inf"))
        for cut in range(80):
            task = asyncio.create_task(life())
            await steps_of(task, whole * cut // 75)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                assert isinstance(error, NodeExists)  # of one that was cancelled before it could say farewell
            if left := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(left)  # what was cancelled in the middle of closing ends by itself

    run(scenario())
