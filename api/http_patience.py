"""How long a client of HTTP may take: for a request, between two, and to read what it is sent."""

from __future__ import annotations

import asyncio
from typing import Final

from .connection import Connection, Service

IDLE: Final = 30.0
"""Seconds that a client may take for a request, may leave between two, and has to read some of an answer."""
_LEAST: Final = 64 << 10
"""Bytes that it must have read by then, of what does not fit the kernel's buffers."""


class Reading:
    """Drops a client that hardly reads what it is sent."""

    __slots__ = ("_client", "_service", "_timer", "_transport", "_unread")

    def __init__(self, transport: asyncio.Transport, client: Connection, service: Service) -> None:
        self._transport = transport
        self._client = client
        self._service = service
        self._timer: asyncio.TimerHandle | None = None
        self._unread = 0

    def lags(self) -> None:
        """More is sent than it has read."""
        unread = self._transport.get_write_buffer_size()
        if self._timer is not None and unread > self._unread - _LEAST:
            self._service.closing(self._client, f"has read hardly anything for {IDLE:g} s")
            self._transport.abort()
            return
        self._unread = unread
        self._timer = asyncio.get_running_loop().call_later(IDLE, self.lags)

    def goes_on(self) -> None:
        """It has read most of it, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
