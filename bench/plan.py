"""How much a bench measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are in seconds."""

    rounds: int
    seconds: float
    """What is counted of a run."""
    warm_up: float
    """For each kind of operation, before anything is measured."""
    znodes: int
    """How many a restart finds."""
    idle: float
    """Before an idle server's memory is looked at."""
    failovers: int
    """How often an ensemble loses its leader."""
