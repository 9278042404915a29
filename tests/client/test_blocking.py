"""The client for scripts and threads does as the asyncio client, and waits."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from znoded.client import (
    BlockingClient,
    ConnectionClosed,
    Event,
    Kind,
    NoConnection,
    NoNode,
    NoWatcher,
    Stat,
    State,
)
from znoded.client.recipes import DataWatch

from ..daemons import free_port


def test_a_script_s_life(server: str) -> None:
    with BlockingClient(server) as client:
        assert client.create("/script", b"1").path == "/script"
        with client.watch("/script") as events:
            with client.transaction() as transaction:
                transaction.set("/script", b"2", 0).create("/script/below")
            assert next(events) == Event(Kind.CHANGED, "/script")
            assert next(events) == Event(Kind.CHILDREN, "/script")
        assert isinstance(transaction.results[0], Stat)
        assert list(client.walk("/script")) == ["/script", "/script/below"]
        assert client.get("/script").data == b"2"
        client.delete("/script", recursive=True)
        assert client.exists("/script") is None
        assert next(client.states()) is State.CONNECTED
    with pytest.raises(ConnectionClosed):
        client.get("/")


def test_threads_share_it(server: str) -> None:
    with BlockingClient(server) as client, ThreadPoolExecutor(8) as threads:
        paths = [client.create("/thread-", sequential=True).path for _ in range(8)]
        assert [stat.version for stat in threads.map(lambda path: client.set(path, b"x"), paths)] == [1] * 8
        list(threads.map(client.delete, paths))
        with pytest.raises(NoNode, match=paths[0]):
            client.get(paths[0])


def test_who_waits_when_it_is_closed_is_told(server: str) -> None:
    client = BlockingClient(server)
    waiting = threading.Event()

    async def for_ever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def watch() -> list[Event]:
        with client.watch("/nobody") as events:
            waiting.set()
            return list(events)

    with ThreadPoolExecutor(2) as threads:
        with client:
            watched = threads.submit(watch)
            waiting.wait()
            waiting.clear()
            endless = threads.submit(lambda: client.wait(for_ever()))
            waiting.wait()
        with pytest.raises(ConnectionClosed):
            endless.result(10)
        error = watched.exception(10)
        assert error is None or isinstance(error, ConnectionClosed)
    client.close()
    with pytest.raises(ConnectionClosed, match="once"):
        client.__enter__()


def test_its_own_thread_does_not_wait_for_itself(server: str) -> None:
    told: list[str] = []

    def look(state: State) -> None:
        try:
            client.get("/")
        except RuntimeError as error:
            told.append(f"{state}: {error}")

    client = BlockingClient(server, on_state=look)
    with client:
        client.get("/")
    assert [line.split(":")[0] for line in told] == ["connected", "closed"]


def test_its_own_thread_can_not_close_it(server: str) -> None:
    refused = threading.Event()

    def close(state: State) -> None:
        if state is State.CONNECTED:
            with pytest.raises(RuntimeError, match="own thread"):
                client.close()
            refused.set()

    client = BlockingClient(server, on_state=close)
    with client:
        assert refused.wait(10)
        client.create("/still-open", ephemeral=True)
    with BlockingClient(server) as other:
        assert other.exists("/still-open") is None


def test_a_watch_that_any_thread_lets_go_of_is_set_no_more(server: str) -> None:
    with BlockingClient(server) as client:

        async def is_set() -> bool:
            with suppress(NoWatcher):
                await client.client._ask("checkWatches", {"path": "/let-go", "kind": "persistent"})
                return True
            return False

        values = client.each(DataWatch(client.client, "/let-go"))
        assert next(values) == (None, None)
        assert client.wait(is_set())
        del values
        gc.collect()
        assert not client.wait(is_set())


def test_no_server(server: str) -> None:
    client = BlockingClient(f"127.0.0.1:{free_port()}", connect_timeout=0.1)
    with pytest.raises(NoConnection):
        client.__enter__()
    assert client.state is State.CLOSED
    assert not any(thread.name == "znoded client" for thread in threading.enumerate())
