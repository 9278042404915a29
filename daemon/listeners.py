"""Listens on the ports that the configuration names: clients' and the admin's, each by TLS or without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import TypeAlias

from ..api.admin.access import is_loopback
from ..api.admin.port import AdminPort
from ..api.admin.port import http as admin_http
from ..api.per_address import PerAddress
from ..api.port import ClientPort
from ..api.port import http as client_http
from .config import Config
from .server import Server
from .tls import Tls
from .view import View

_Port: TypeAlias = Callable[[], asyncio.Protocol]
"""Makes the protocol of one connection."""


class Exposed(OSError):
    """The admin port, which asks for no token, would listen where others reach it."""


def keep_private(addresses: Iterable[str]) -> None:
    """Go no further unless all are loopback: what localhost means is up to the machine."""
    for address in addresses:
        if not is_loopback(address):
            raise Exposed(
                f"admin.serverAddress leads to {address}, which is not loopback: name a file with a token in"
                " admin.tokenFile, or give an address"
            )


class Listeners:
    """The listening sockets of one server; they and their connections over HTTP end with the stack."""

    def __init__(self, config: Config, view: View, tls: Tls | None, stack: AsyncExitStack) -> None:
        self._config = config
        self._view = view
        self._tls = tls
        self._stack = stack

    async def clients(self, server: Server) -> str:
        """Serve clients; where. Raises OSError."""
        config, tls = self._config, self._tls
        allowed = frozenset(word.encode() for word in config.four_letter_words)
        http = client_http(server, server.dirty, config.max_buffer)
        self._stack.push_async_callback(http.close)

        def port() -> asyncio.Protocol:
            return ClientPort(server, server.dirty, self._view, http, allowed, config.max_buffer)

        addresses: list[str] = []
        if config.client_port is not None:
            either = tls.client(port, plain=True) if tls and config.client_takes_tls else port
            addresses.append(await self._listen(either, config.client_address, config.client_port))
        if tls and config.secure_client_port is not None:
            address, number = config.secure_client_address, config.secure_client_port
            addresses.append(f"{await self._listen(tls.client(port), address, number)} by TLS")
        return ", ".join(addresses)

    async def admin(self) -> str:
        """Answer administrators; where. Raises OSError, Exposed among them."""
        config, tls = self._config, self._tls
        http = admin_http(self._view)
        self._stack.push_async_callback(http.close)
        by_address = PerAddress(config.max_client_cnxns, "connections to the admin port")

        def port() -> asyncio.Protocol:
            return AdminPort(self._view, http, by_address)

        guarded = bool(config.admin_token) or config.admin_unauthenticated
        return await self._listen(
            tls.admin(port, plain=config.admin_takes_plain) if tls and config.admin_takes_tls else port,
            config.admin_address,
            config.admin_port,
            private=not guarded,
        )

    async def _listen(self, port: _Port, address: str, number: int, *, private: bool = False) -> str:
        backlog = self._config.listen_backlog if self._config.listen_backlog > 0 else 1024
        listening = await asyncio.get_running_loop().create_server(
            port, address, number, backlog=backlog, start_serving=False
        )
        self._stack.callback(listening.close)
        if private:
            keep_private(sock.getsockname()[0] for sock in listening.sockets)
        await listening.start_serving()
        return "{}:{}".format(*listening.sockets[0].getsockname())
