"""A peer whose host is silent is noticed within seconds: TCP by itself would go on for minutes."""

from __future__ import annotations

import asyncio
import socket
from unittest import mock

from znoded.consensus.channel import Channel, Link
from znoded.consensus.identity import NO_CLUSTER, Identity

from ..daemons import free_port


def test_a_link_lives_as_long_as_the_other_host_answers() -> None:
    """The kernel looks every second, and gives up after five, whether or not something is under way."""

    async def linked() -> dict[str, int]:
        port = free_port()
        loop = asyncio.get_running_loop()
        identity = Identity(1, "zab", b"", lambda: NO_CLUSTER)
        channel = Channel(identity, {1: ("127.0.0.1", port)}, mock.Mock())
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
        link = Link(channel, None)
        made, _ = await loop.create_connection(lambda: link, "127.0.0.1", port)  # type: ignore[type-var]
        sock = made.get_extra_info("socket")
        names = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        found = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names}
        found["SO_KEEPALIVE"] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        link.close()
        server.close()
        return found

    assert asyncio.run(linked()) == {
        "SO_KEEPALIVE": 1,
        "TCP_USER_TIMEOUT": 5000,
        "TCP_KEEPIDLE": 1,
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": 4,
    }
