"""Measures how soon a server answers after a start, and what memory it takes: empty and with many znodes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from .load import VALUE, Generator
from .plan import Plan
from .servers import Contender, Memory, Server

STEPS: Final = 6


@dataclass(frozen=True, slots=True)
class Figures:
    """A server's. Times in seconds from its start to the first answered read, over all rounds."""

    start: float
    """With nothing in it, the median."""
    idle: Memory
    restart_killed: float
    """After kill -9 in the midst of creating the znodes, the slowest: how much it has to replay is chance."""
    idle_killed: Memory
    idle_full: Memory
    """With all the znodes, in a process that created some of them."""
    restart: float
    """After SIGTERM, with all the znodes, the median."""
    idle_restarted: Memory


def measure(
    contender: Contender, directory: Path, generator: Generator, plan: Plan, step: Callable[[str], None]
) -> Figures:
    """Take one server through it. directory: for its data. step is told of every step before it begins."""

    def first_start(number: int) -> float:
        with Server(contender, directory / f"empty-{number}") as server:
            return server.start()

    def idle() -> Memory:
        time.sleep(plan.idle)
        return server.memory()

    created, last = 0, b""

    def create(end: int) -> None:
        nonlocal created, last
        last = generator.fill(server.port, created, end)
        created = end

    def restart(how: signal.Signals) -> float:
        server.end(how)
        return server.start(last, VALUE)

    def killed(number: int) -> float:
        create(plan.znodes * (number + 1) // (plan.rounds + 1))
        return restart(signal.SIGKILL)

    def told(what: str) -> None:
        step(f"{contender.name} {what}")

    told("starts")
    start = median(map(first_start, range(plan.rounds)))
    with Server(contender, directory / "full") as server:
        server.start()
        told("is idle")
        idle_empty = idle()
        told("creates znodes, is killed and restarts")
        restarted_killed = max(map(killed, range(plan.rounds)))
        idle_killed = idle()
        told("creates the rest of them")
        create(plan.znodes)
        idle_full = idle()
        told("restarts with all of them")
        restarted = median(restart(signal.SIGTERM) for _ in range(plan.rounds))
        told("is idle with them")
        return Figures(start, idle_empty, restarted_killed, idle_killed, idle_full, restarted, idle())
