"""Kills and pauses servers under a load of writes, and sees how long none is acknowledged."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from math import floor
from time import monotonic
from typing import Final, Protocol

from . import plan
from .ensemble import Ensemble, Server
from .generator import Created, Generator, Told
from .results import Blow

_LONGEST: Final = 150.0
"""Seconds after which a fault is taken to have ended all writes."""
_DOWN: Final = 0.2
"""Seconds that all servers are down."""
_BIN: Final = 0.05
"""Seconds of a point of the series."""


class Telling(Protocol):
    """A load."""

    def heard(self, seconds: float) -> Told:
        """Its next line, if it comes so soon; else an empty one."""
        ...


class Timeline:
    """When writes were acknowledged, as the load tells it."""

    def __init__(self, load: Telling) -> None:
        self._load = load
        self._spans: list[tuple[float, float, int]] = []
        """(first, last, writes) of short whiles, monotonic."""

    def run(self, seconds: float) -> None:
        """Listen for so long."""
        self.until(float("inf"), monotonic() + seconds)

    def until(self, moment: float, end: float) -> bool:
        """Listen until a write is acknowledged after moment; False if there is none by the end."""
        while (left := end - monotonic()) > 0:
            self._spans += self._load.heard(left).get("acks", [])
            if self._spans and self._spans[-1][1] > moment:
                return True
        return False

    def gap(self, began: float, end: float) -> float:
        """The longest time without an acknowledged write in that while."""
        longest, last = 0.0, began
        for first, final, _ in self._spans:
            if final > began:
                longest = max(longest, min(first, end) - last)
                last = max(last, final)
            if final > end:
                break
        return max(longest, end - last)

    def series(self, zero: float, begin: float, end: float) -> list[tuple[float, float]]:
        """(seconds after zero, writes a second), over that while."""
        first = round((begin - zero) / _BIN)
        # The last one must be whole: what is left of it would look like a loss.
        counts = [0] * max(1, floor((end - begin) / _BIN + 0.01))
        for start, _, count in self._spans:
            place = int((start - zero) // _BIN) - first
            if 0 <= place < len(counts):
                counts[place] += count
        return [((first + place) * _BIN, count / _BIN) for place, count in enumerate(counts)]


def befall(ensemble: Ensemble, timeline: Timeline, fault: plan.Fault, calm: float, hold: float) -> Blow:
    """Let it happen, and make it good again. Raises Failed if a server does not come back."""
    timeline.run(calm)
    victims = _victims(ensemble, fault)
    began = monotonic()
    for server in victims:
        server.signal(signal.SIGSTOP if fault is plan.PAUSED else signal.SIGKILL)
    if fault is plan.ALL:
        timeline.run(_DOWN)
        went_on = True
    else:
        went_on = timeline.until(began + hold, began + hold + _LONGEST)
    returned = monotonic()
    for server in victims:
        if fault is plan.PAUSED:
            server.signal(signal.SIGCONT)
        else:
            server.kill()
            server.launch()
    if fault is plan.ALL:
        went_on = timeline.until(returned, returned + _LONGEST)
        back = timeline.gap(returned, monotonic())
    for server in victims:
        server.wait()
    if fault is not plan.ALL:
        back = monotonic() - returned
    timeline.run(calm)
    now = monotonic()
    # Acknowledgements are told a little later: a later one tells that none is missing.
    timeline.until(now, now + _LONGEST)
    over = now if fault is plan.ALL else returned
    return Blow(
        fault.key,
        timeline.gap(began, over) if went_on else None,
        None if fault is plan.ALL else timeline.gap(returned, now),
        back,
        returned - began,
        timeline.series(began, began - calm, now),
    )


def end(generator: Generator) -> Sequence[Created]:
    """Stop the load: what each client made."""
    generator.go()
    while True:
        told = generator.wait()
        if "created" in told:
            return told["created"]


def _victims(ensemble: Ensemble, fault: plan.Fault) -> list[Server]:
    if fault is plan.ALL:
        return ensemble.servers
    leader = ensemble.leader()
    if fault is plan.FOLLOWER:
        return [next(server for server in ensemble.servers if server is not leader)]
    return [leader]
