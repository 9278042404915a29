"""Bounds how much one address may have at once: connections to a port, handshakes under way."""

from __future__ import annotations

import logging
from collections import Counter

_log = logging.getLogger(__name__)


class PerAddress:
    """Counts what addresses have. Who is refused is told once in the log, until it has nothing left."""

    def __init__(self, most: int, what: str) -> None:
        """most: for one address, 0 for any number (maxClientCnxns); what is counted, in the plural."""
        self._most = most
        self._what = what
        self._had: Counter[str] = Counter()
        self._told: set[str] = set()

    def enter(self, address: str) -> str | None:
        """Count one in; or the reason why it can't be."""
        if self._most and self._had[address] >= self._most:
            reason = f"{address} has {self._most} {self._what} already (maxClientCnxns)"
            if address not in self._told:
                self._told.add(address)
                _log.warning("refusing connections: %s", reason)
            return reason
        self._had[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Count one out."""
        self._had[address] -= 1
        if not self._had[address]:
            del self._had[address]
            self._told.discard(address)
