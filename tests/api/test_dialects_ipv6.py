"""The client port's dialects on an IPv6 address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from ..daemons import Daemon
from .rest.client import Rest
from .websocket.messenger import connected

HOST = "::1"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    try:
        socket.create_server((HOST, 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    daemon = Daemon(tmp_path_factory.mktemp("ipv6"), f"clientPortAddress={HOST}")
    daemon.address = (HOST, daemon.address[1])
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def test_http(daemon: Daemon) -> None:
    uri = f"http://[{HOST}]:{daemon.address[1]}/znodes/v1/"
    assert Rest(daemon.address).get("/?view=children").json["uri"] == uri


def test_websocket(daemon: Daemon) -> None:
    async def identities() -> object:
        async with connected(daemon.address) as client:
            return (await client.ask("whoAmI"))["identities"]

    assert asyncio.run(identities()) == [{"scheme": "ip", "id": "0:0:0:0:0:0:0:1"}]


def test_zookeeper(daemon: Daemon) -> None:
    client = KazooClient(f"[{HOST}]:{daemon.address[1]}")
    client.start(20)
    assert client.exists("/zookeeper") is not None
    client.stop()
    client.close()
