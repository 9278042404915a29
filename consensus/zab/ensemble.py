"""An ensemble as it is configured: who belongs to it, where, and how long its servers wait for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .server import Limits

TICK: Final = 0.02
"""Seconds between two ticks of the core."""
_SETTLE: Final = 3
"""Ticks to wait for better votes: what a majority knows by then is what a later vote could add to."""
_REACH: Final = 75
"""Ticks until a new leader must be connected: longer than the channel's pause between two tries."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """me: this server's id. addresses: of every server's quorum port, by id. Limits in seconds.
    secret proves to a peer that a server belongs to the ensemble. directory: where promises are kept."""

    me: int
    voters: frozenset[int]
    addresses: Mapping[int, tuple[str, int]]
    init_limit: float
    sync_limit: float
    secret: bytes
    directory: Path

    @property
    def limits(self) -> Limits:
        """In ticks."""
        return Limits(
            init=round(self.init_limit / TICK),
            sync=round(self.sync_limit / TICK),
            ping=max(1, round(min(0.5, self.sync_limit / 8) / TICK)),
            reach=_REACH,
            settle=_SETTLE,
        )
