"""Bounds what strangers can make the server hold: connections of an address, requests under way."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from ..api.connection import Connection
from .config import Config

log = logging.getLogger(__name__)

_LINE: Final = 1000
"""Requests that one connection may have waiting before it is held back."""
_LINE_BYTES: Final = 4 << 20
"""Bytes that one connection may have sent while its line never was empty, likewise."""
_BYTES: Final = 64 << 20
"""Bytes that all connections may have sent while there always was a write under way, likewise."""


class Limits:
    """Who may connect, and who is read from no further until others are served."""

    def __init__(self, config: Config) -> None:
        self._per_host = config.max_client_cnxns
        self._outstanding = config.outstanding_limit
        self._by_host: Counter[str] = Counter()
        self._told: set[str] = set()
        self._held: set[Connection] = set()
        self._bytes = 0

    def admit(self, connection: Connection) -> str | None:
        """Count a connection in; or the reason why it can't be (maxClientCnxns)."""
        host = connection.host
        if self._per_host and self._by_host[host] >= self._per_host:
            reason = f"{host} has {self._per_host} connections already (maxClientCnxns)"
            if host not in self._told:
                self._told.add(host)
                log.warning("refusing connections: %s", reason)
            return reason
        self._by_host[host] += 1
        return None

    def leave(self, connection: Connection) -> None:
        """Count a connection out."""
        host = connection.host
        self._held.discard(connection)
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
            self._told.discard(host)

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
