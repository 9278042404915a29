"""The client for scripts and threads does as the asyncio client, and waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from znoded.client import BlockingClient, ConnectionClosed, Event, Kind, NoNode, Stat, State


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
