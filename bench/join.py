"""Measures how a server with an empty disk joins an ensemble that holds many znodes and is written to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Final

from .ensemble import SIZE, Ensemble, Member
from .load import VALUE, Generator
from .plan import Plan

NAME: Final = "3-join"
STEPS: Final = 4
_LOOK: Final = 0.05
"""Seconds from one look at the servers' memory to the next."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What it took."""

    seconds: float
    """From the joiner's start until it answered a read with all that had been acknowledged."""
    before: float
    """Writes a second, as the next one."""
    meanwhile: float
    others: int
    """The most that anonymous memory of a server that was there before grew by meanwhile, in bytes."""
    own: int
    """The most that the joiner held of it."""


def measure(ensemble: Ensemble, generator: Generator, plan: Plan, step: Callable[[str], None]) -> Joining:
    """Take an ensemble, of which nothing runs, through it. step is told of every step before it begins."""

    def told(what: str) -> None:
        step(f"{ensemble.name} {what}")

    *there, joiner = ensemble.members
    told("starts two of three servers")
    ensemble.start(SIZE - 1)
    ports = [member.port for member in there]
    told("creates znodes")
    last = generator.fill(ports, 0, plan.znodes)
    leader = ensemble.leader()
    told("is written to")
    with generator.meanwhile(ports, "set", 16, 4):
        time.sleep(plan.warm_up)
        rate = _Rate(leader)
        time.sleep(plan.rounds * plan.seconds)
        before = rate.so_far()
        told("is joined by the third")
        held = [member.memory().anonymous for member in there]
        joiner.launch()
        rate = _Rate(leader)
        with _watched(ensemble.members) as most:
            seconds = joiner.wait(last, VALUE)
            meanwhile = rate.so_far()
    *others, own = most
    grown = (now - then for now, then in zip(others, held, strict=True))
    return Joining(seconds, before, meanwhile, max(grown), own)


class _Rate:
    """Of an ensemble's writes, from now on."""

    def __init__(self, leader: Member) -> None:
        self._leader = leader
        self._writes = leader.writes()
        self._began = time.perf_counter()

    def so_far(self) -> float:
        """Writes a second."""
        return (self._leader.writes() - self._writes) / (time.perf_counter() - self._began)


@contextmanager
def _watched(members: Sequence[Member]) -> Iterator[list[int]]:
    """The most bytes of anonymous memory that each was seen to hold, while the context lasts."""
    most = [0] * len(members)
    ended = Event()

    def watch() -> None:
        while not ended.wait(_LOOK):
            for place, member in enumerate(members):
                most[place] = max(most[place], member.memory().anonymous)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield most
        finally:
            ended.set()
        watching.result()
