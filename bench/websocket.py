"""Puts load on znoded's WebSocket by load.c: no other server has one like it."""

from __future__ import annotations

from typing import Final

from .load import Generator, Load
from .servers import Server
from .speed import Row

ROWS: Final = (Row("ws-get", 16, 10, None, rate=40_000), Row("ws-set", 16, 10, None))


class OverWebSocket:
    """A driver that sends each request in a message of its own."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def drive(self, server: Server, row: Row, warm_up: float, seconds: float) -> Load:
        """Put a row's load on it."""
        times = ("-w", f"{warm_up}", "-t", f"{seconds}")
        operation = row.operation.removeprefix("ws-")
        return self._generator.run(server.port, operation, row.connections, row.depth, "-W", *times)
