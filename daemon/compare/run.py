"""Lets ensembles take turns: each is started, loaded, broken, checked and ended, round after round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Final, TypeAlias

from . import faults, plan
from .ask import Asking
from .check import checked
from .ensemble import Ensemble, Failed
from .generator import Generator
from .kinds import Kind
from .latency import Latencies
from .load import ROOT, Order, parent
from .numbers import costs, memory
from .plan import Plan, Workload
from .results import Run, Turn

Step: TypeAlias = Callable[[str], None]
"""Told what comes next."""
_PATIENCE: Final = 20.0
_REST: Final = 0.1
"""Seconds before a load, in which what the one before caused can end."""
_CLIENTS: Final = max(load.connections for load in plan.WORKLOADS)


def compare(kinds: Sequence[Kind], how: Plan, folder: Path, step: Step) -> list[Turn]:
    """Each kind's turn in each round. folder: where the data live meanwhile. Raises Failed, OSError."""
    turns = []
    for number in range(how.rounds):
        # The other one first in every second round, so that what drifts meets both.
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            with TemporaryDirectory(prefix="znoded-compare-", dir=folder) as place:
                try:
                    turns.append(_turn(kind, how, Path(place), number, step))
                except OSError as error:
                    raise Failed(f"{kind.label}: {error}") from error
    return turns


def _turn(kind: Kind, how: Plan, folder: Path, number: int, step: Step) -> Turn:
    step(f"{kind.label} starts")
    began = monotonic()
    with Ensemble(kind, folder, how.servers) as ensemble:
        started = monotonic() - began
        version = ensemble.version()
        with Asking(ensemble.ports[0], _PATIENCE) as asking:
            asking.make([ROOT, *map(parent, range(_CLIENTS))])
        runs = []
        for workload in how.workloads:
            step(f"{kind.label}: {workload.name}")
            runs.append(_run(ensemble, workload, how))
        held = memory(ensemble)
        order = Order(_ports(ensemble), plan.FAULT_CONNECTIONS, plan.FAULT_DEPTH, plan.SMALL)
        with Generator(order) as generator:
            generator.wait()
            generator.go()
            timeline = faults.Timeline(generator)
            blows = []
            for fault in plan.FAULTS:
                step(f"{kind.label}: {fault.name}")
                blows.append(faults.befall(ensemble, timeline, fault, how.calm, how.hold))
            created = faults.end(generator)
        step(f"{kind.label}: is every write there?")
        return Turn(kind.label, version, number + 1, started, runs, held, blows, checked(ensemble, created))


def _ports(ensemble: Ensemble) -> list[int]:
    """The leader's comes last: where there are few clients, they are others', as most clients are."""
    leader = ensemble.leader()
    return [server.port for server in ensemble.servers if server is not leader] + [leader.port]


def _run(ensemble: Ensemble, workload: Workload, how: Plan) -> Run:
    with Asking(ensemble.ports[0], _PATIENCE) as asking:
        asking.set([parent(number) for number in range(_CLIENTS)], bytes(workload.size))
    for server in ensemble.servers:
        server.wait()
    order = Order(
        _ports(ensemble),
        workload.connections,
        workload.depth,
        workload.size,
        workload.mix,
        how.warm_up,
        how.seconds,
    )
    with Generator(order) as generator:
        generator.wait()
        sleep(_REST)
        before = costs(ensemble)
        generator.go()
        told = generator.wait(how.warm_up + how.seconds)
        after = costs(ensemble)
        generator.go()
    latencies = Latencies(told["latencies"])
    answers = told["answers"]
    only_writes = workload.mix == plan.MIX and answers
    return Run(
        workload.key,
        latencies.total / told["seconds"],
        told["errors"],
        latencies,
        after.since(before, answers) if only_writes else None,
    )
