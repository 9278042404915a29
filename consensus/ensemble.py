"""An ensemble as it is configured: who belongs to it, where, and how long its servers wait for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICK: Final = 0.02
"""Seconds between two ticks of what orders."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """me: this server's id. addresses: of every server's quorum port, by id. Limits in seconds.
    secret proves to a peer that a server belongs to the ensemble. directory: for its promises."""

    me: int
    voters: frozenset[int]
    addresses: Mapping[int, tuple[str, int]]
    init_limit: float
    sync_limit: float
    secret: bytes
    directory: Path
