"""TLS before a port: makes the handshake, then hands the connection to the port's own protocol."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final, cast

from .per_address import PerAddress

_HANDSHAKE: Final = 0x16
"""The first byte of TLS."""
_AT_ONCE: Final = 250
"""Handshakes under way: each takes some 60 KB, and a while of everybody's time."""
_GOODBYE: Final = 10.0
"""Seconds in which a client must read what is sent at the end, and take leave."""
_TOLD: Final = 1000

log = logging.getLogger(__name__)


class Handshakes:
    """What a port's connections have in common until they have made their handshake."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        port: Callable[[], asyncio.Protocol],
        patience: float,
        per_host: int,
        failed: Callable[[], None],
        *,
        plain: bool = False,
    ) -> None:
        """context: asked for each connection anew. port makes the protocol of one. patience: seconds until a
        handshake must have begun, and in which it must be done. per_host: so many of an address, 0 for any
        number. failed is called for each handshake that fails. plain: who speaks no TLS is served as well."""
        self.context = context
        self.port = port
        self.patience = patience
        self.failed = failed
        self.plain = plain
        self.turn = asyncio.Semaphore(_AT_ONCE)
        self.by_address = PerAddress(per_host, "handshakes under way")
        self._told: set[str] = set()

    def succeeded(self, host: str) -> None:
        """Its next failure is news."""
        self._told.discard(host)

    def refuse(self, host: str, reason: str) -> None:
        """Say why there is no connection: once for an address, until it has one."""
        self.failed()
        if len(self._told) >= _TOLD:
            self._told.clear()
        log.log(logging.DEBUG if host in self._told else logging.WARNING, "no TLS with %s: %s", host, reason)
        self._told.add(host)


class TlsPort(asyncio.Protocol):
    """A connection before its handshake is over."""

    def __init__(self, handshakes: Handshakes) -> None:
        self._all = handshakes
        self._host: str | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte, not for ever."""
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        host = (transport.get_extra_info("peername") or ("127.0.0.1", 0))[0]
        if self._all.by_address.enter(host) is not None:
            self._transport.abort()
            return
        self._host = host
        self._patience = loop.call_later(self._all.patience, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Decide by the first byte."""
        if self._task is not None or self._host is None:
            return
        if data[0] == _HANDSHAKE:
            self._patience.cancel()  # a turn is worth waiting for
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._shake(data, self._host))
        elif self._all.plain:
            self._leave()
            protocol = self._all.port()
            self._transport.set_protocol(protocol)
            protocol.connection_made(self._transport)
            if not self._transport.is_closing():
                protocol.data_received(data)
        else:
            self._all.refuse(self._host, f"it begins with {data[:4]!r}, which is no handshake")
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before it was anybody's."""
        self._leave()
        if self._task is not None:
            self._task.cancel()

    def _leave(self) -> None:
        if self._host is not None:
            self._patience.cancel()
            self._all.by_address.leave(self._host)
            self._host = None

    async def _shake(self, start: bytes, host: str) -> None:
        loop = asyncio.get_running_loop()
        async with self._all.turn:
            loop.call_soon(self._feed, start)  # start_tls has set its protocol by then, and begins behind it
            try:
                transport = await loop.start_tls(
                    self._transport,
                    self,
                    self._all.context(),
                    server_side=True,
                    ssl_handshake_timeout=self._all.patience,
                    ssl_shutdown_timeout=_GOODBYE,
                )
            except ssl.SSLError as error:
                self._all.refuse(host, str(error))
                return
            except OSError:  # it has left, or took too long
                self._all.failed()
                return
            finally:
                self._leave()
        if transport is None or transport.is_closing():
            self._all.failed()
            return
        self._all.succeeded(host)
        self._task = None
        protocol = self._all.port()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _feed(self, start: bytes) -> None:
        """What was read before counts as what comes first."""
        protocol = cast(asyncio.BufferedProtocol, self._transport.get_protocol())
        protocol.get_buffer(len(start))[: len(start)] = start  # type: ignore[index]
        protocol.buffer_updated(len(start))
