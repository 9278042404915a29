"""All that came of a comparison: what it was made on, every turn, the figures, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .advice import advice
from .figures import RATES, Figure, figures
from .kinds import own
from .plan import Plan
from .results import Json, Turn
from .table import table


@dataclass(frozen=True)
class Comparison:
    """machine: what figures depend on, by name; doubts: why they say little."""

    machine: Mapping[str, str]
    doubts: Sequence[str]
    plan: Plan
    turns: Sequence[Turn]

    @cached_property
    def figures(self) -> list[Figure]:
        """Line by line."""
        return figures(self.turns)

    @cached_property
    def advice(self) -> list[str]:
        """Plain words."""
        return [*advice(self.turns, self.figures), *self.doubts]

    @property
    def good(self) -> bool:
        """No acknowledged write was lost, and the servers agree."""
        return all(turn.verdict.good for turn in self.turns)

    @property
    def how(self) -> str:
        """What was done, in a sentence."""
        rounds = "one round" if self.plan.rounds == 1 else f"medians of {self.plan.rounds} rounds"
        spread = max(figure.spread for figure in self.figures if figure.group == RATES)
        apart = "" if self.plan.rounds == 1 else f"; rates differ by up to ±{spread:.0%} between them"
        # Of our own the machine's line tells.
        versions = {turn.label: "" if own(turn.label) else f" {turn.version}" for turn in self.turns}
        which = ", ".join(f"{label}{version}" for label, version in versions.items())
        return (
            f"{which}: {self.plan.servers} servers on loopback, {self.plan.seconds:g} s for each load, "
            f"{rounds}{apart}. {', '.join(f'{what}: {value}' for what, value in self.machine.items())}."
        )

    def text(self) -> str:
        """For a terminal."""
        return "\n\n".join((table(self.figures), self.how, "\n".join(self.advice)))

    def json(self) -> Json:
        """All of it."""
        return {
            "ok": self.good,
            "machine": self.machine,
            "doubts": self.doubts,
            "servers": self.plan.servers,
            "seconds": self.plan.seconds,
            "rounds": self.plan.rounds,
            "figures": [figure.json() for figure in self.figures],
            "advice": self.advice,
            "turns": [turn.json() for turn in self.turns],
        }
