"""Bounds what strangers can make the server hold: connections of an address, requests under way."""

from __future__ import annotations

from typing import Final

from ..api.connection import Connection
from ..api.per_address import PerAddress
from .config import Config

_LINE: Final = 1000
"""Requests that one connection may have waiting before it is held back."""
_LINE_BYTES: Final = 4 << 20
"""Bytes that one connection may have sent while its line never was empty, likewise."""
_BYTES: Final = 64 << 20
"""Bytes that all connections may have sent while there always was a write under way, likewise."""


class Limits:
    """Who may connect, and who is read from no further until others are served."""

    def __init__(self, config: Config) -> None:
        self._connections = PerAddress(config.max_client_cnxns, "connections")
        self._outstanding = config.outstanding_limit
        self._held: set[Connection] = set()
        self._bytes = 0

    def admit(self, connection: Connection) -> str | None:
        """Count a connection in; or the reason why it can't be (maxClientCnxns)."""
        return self._connections.enter(connection.host)

    def leave(self, connection: Connection) -> None:
        """Count a connection out."""
        self._held.discard(connection)
        self._connections.leave(connection.host)

    def took(self, connection: Connection, size: int, outstanding: int, behind: bool) -> None:
        """So many bytes of requests came from a connection with others under way; outstanding counts the
        writes of all connections, behind says that storage can't follow. Hold it back if that is too much."""
        connection.taken += size
        self._bytes += size
        if (
            len(connection.waiting) > _LINE
            or connection.taken > _LINE_BYTES
            or self._bytes > _BYTES
            or outstanding > self._outstanding
            or behind
        ):
            connection.hold()
            self._held.add(connection)

    def release(self, outstanding: int, behind: bool) -> None:
        """Requests were answered: go on with whom that makes room for."""
        if not outstanding:
            self._bytes = 0
        if self._held and not behind and self._bytes <= _BYTES and outstanding <= self._outstanding:
            for connection in list(self._held):
                line = len(connection.waiting)
                if not line:
                    connection.taken = 0
                if line <= _LINE and connection.taken <= _LINE_BYTES:
                    self._held.discard(connection)
                    connection.resume()
