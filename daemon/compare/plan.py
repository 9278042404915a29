"""Says how much is measured, and which loads and faults there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SMALL: Final = 100
LARGE: Final = 10_000
MIX: Final = 10
"""Requests of which so many are writes, in turn."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What clients do. mix: of ten requests so many are writes; depth: requests in flight on each
    connection; size: bytes of a value."""

    key: str
    name: str
    mix: int
    connections: int
    depth: int
    size: int


def _workloads() -> tuple[Workload, ...]:
    made = []
    for kind, mix in (("write", MIX), ("read", 0), ("mixed", 1)):
        for shape, connections, depth in (("lone", 1, 1), ("many", 64, 10)):
            for size, words in ((SMALL, ""), (LARGE, " of 10 KB")):
                noun = "9 reads, 1 write" if kind == "mixed" else f"{kind}s"
                how = "one at a time" if shape == "lone" else "640 in flight"
                key = f"{kind}-{shape}" + ("-10k" if words else "")
                made.append(Workload(key, f"{noun}{words}, {how}", mix, connections, depth, size))
    return tuple(made)


WORKLOADS: Final = _workloads()
"""Writes, reads and a mix; one in flight and many; small values and large ones."""
FEW: Final = tuple(
    load
    for load in WORKLOADS
    if load.key in ("write-lone", "write-many", "write-many-10k", "read-lone", "read-many", "mixed-many")
)
"""Those of a quick run."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls an ensemble."""

    key: str
    name: str


LEADER: Final = Fault("leader", "leader killed")
FOLLOWER: Final = Fault("follower", "follower killed")
PAUSED: Final = Fault("paused", "leader paused")
ALL: Final = Fault("all", "all killed")
FAULTS: Final = (LEADER, FOLLOWER, PAUSED, ALL)

FAULT_CONNECTIONS: Final = 16
FAULT_DEPTH: Final = 8
"""The load under faults: 2,000 writes a second, well below what an ensemble bears, so that the fault shows
alone; a client with that many in flight sends no more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are in seconds."""

    servers: int
    seconds: float
    """What is counted of a workload."""
    warm_up: float
    """Before it."""
    rounds: int
    workloads: tuple[Workload, ...]
    calm: float
    """Under load before a fault, and after one is over."""
    hold: float
    """A server stays killed or paused for so long at least, and until writes go on."""

    @property
    def steps(self) -> int:
        """How often progress is told in one ensemble's turn: its start, each load, each fault, the check."""
        return 1 + len(self.workloads) + len(FAULTS) + 1


def planned(servers: int, seconds: float | None, *, quick: bool) -> Plan:
    """seconds: None for the usual ones."""
    if quick:
        counted = 0.8 if seconds is None else seconds
        return Plan(servers, counted, min(0.3, counted / 2), 1, FEW, min(0.5, counted), min(0.8, 2 * counted))
    counted = 5.0 if seconds is None else seconds
    return Plan(servers, counted, min(1.0, counted / 2), 3, WORKLOADS, 1.0, 1.5)
