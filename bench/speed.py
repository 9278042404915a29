"""Measures operations per second and their latencies, on the servers in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from .load import Generator, Load
from .plan import Plan
from .servers import Server

_REST: Final = 1.0
"""Seconds before a run, in which snapshots and flushes that the one before caused can end."""


@dataclass(frozen=True, slots=True)
class Row:
    """A load. depth: requests in flight on each connection; goal: the least ratio to the other's rate; rate:
    the least rate, where there is no other."""

    operation: str
    connections: int
    depth: int
    goal: float | None
    rate: float | None = None

    @property
    def name(self) -> str:
        return f"{self.operation}-{self.connections}x{self.depth}"


ROWS: Final = (
    Row("get", 16, 1, 2.5),
    Row("get", 64, 10, 2.5),
    Row("set", 16, 1, 1.2),
    Row("set", 64, 10, 2.0),
    Row("create", 64, 10, 1.5),
    Row("mixed", 64, 10, None),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured for a row: by each server's name, a run each round."""

    row: Row
    loads: dict[str, list[Load]]


class Named(Protocol):
    """What is measured: a server, or an ensemble of them."""

    name: str


Target = TypeVar("Target", bound=Named)
_Driven = TypeVar("_Driven", bound=Named, contravariant=True)


class Driver(Protocol[_Driven]):
    """Puts load on servers that speak one protocol."""

    def drive(self, server: _Driven, row: Row, warm_up: float, seconds: float) -> Load:
        """Put a row's load on it: for so many seconds uncounted, then for so many more."""
        ...


class ByGenerator:
    """A driver for servers that speak ZooKeeper's protocol."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def drive(self, server: Server, row: Row, warm_up: float, seconds: float) -> Load:
        """By load.c."""
        times = ("-w", f"{warm_up}", "-t", f"{seconds}")
        return self._generator.run(server.port, row.operation, row.connections, row.depth, *times)


def steps(rows: Sequence[Row], servers: int, plan: Plan) -> int:
    """How many runs measure() makes."""
    return servers * (len({row.operation for row in rows}) + plan.rounds * len(rows))


def measure(
    rows: Sequence[Row],
    servers: Sequence[Target],
    driver: Driver[Target],
    plan: Plan,
    step: Callable[[str], None],
) -> Iterator[Outcome]:
    """Warm every server up, then measure row by row. step is told of every run before it begins."""
    for server in servers:
        for row in {row.operation: row for row in rows}.values():
            step(f"{server.name} warms up")
            driver.drive(server, row, 0, plan.warm_up)
    for row in rows:
        loads: dict[str, list[Load]] = {server.name: [] for server in servers}
        for number in range(plan.rounds):
            # The other one first in every second round, so that what drifts meets both.
            for server in servers if number % 2 == 0 else reversed(servers):
                step(f"{row.name} on {server.name}")
                time.sleep(_REST)
                load = driver.drive(server, row, plan.warm_up / 5, plan.seconds)
                loads[server.name].append(load)
        yield Outcome(row, loads)
