"""What was measured, and its form in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from .latency import Latencies
from .numbers import Costs

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Run:
    """One workload. costs: of a write, where there was nothing but writes."""

    workload: str
    per_second: float
    errors: int
    latencies: Latencies
    costs: Costs | None

    def json(self) -> Json:
        """Milliseconds."""
        percentiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
        return {
            "workload": self.workload,
            "per_second": round(self.per_second, 1),
            "errors": self.errors,
            "latency_ms": {
                name: round(1000 * self.latencies.percentile(part), 4) for name, part in percentiles.items()
            },
            "distribution_ms": [
                [round(1000 * seconds, 4), round(part, 6)] for seconds, part in self.latencies.distribution()
            ],
            "costs_of_a_write": None if self.costs is None else asdict(self.costs),
        }


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault; times are seconds."""

    fault: str
    gap: float | None
    """The longest without an acknowledged write; None: there was no other one."""
    rejoined: float | None
    """Likewise while the victim came back; None where all were down: that belongs to their gap."""
    back: float
    """From the victim's start, or waking, until it served; where all were down, until the next write."""
    returned: float
    """When that was, after the fault."""
    series: Sequence[tuple[float, float]]
    """(after the fault, writes a second)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the writes under faults. lost: acknowledged, and missing on a server; invented: there,
    and never asked for; differing: not on every server."""

    acknowledged: int
    lost: int
    invented: int
    differing: int

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.invented or self.differing)


@dataclass(frozen=True, slots=True)
class Turn:
    """All of one ensemble's. started: seconds until a new ensemble served; memory: bytes of a server."""

    label: str
    version: str
    round: int
    started: float
    runs: Sequence[Run]
    memory: float
    blows: Sequence[Blow]
    verdict: Verdict

    def json(self) -> Json:
        """Seconds and bytes."""
        return {
            "label": self.label,
            "version": self.version,
            "round": self.round,
            "started": self.started,
            "runs": [run.json() for run in self.runs],
            "memory": self.memory,
            "faults": [asdict(blow) for blow in self.blows],
            "writes_under_faults": asdict(self.verdict),
        }
