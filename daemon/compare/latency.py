"""Counts latencies in classes, each 2.5 % wider than the one before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import exp, log
from typing import Final

_STEPS: Final = 40
"""Classes for each factor of e."""
_LEAST: Final = 1e-6
"""Seconds: what is quicker is not told apart."""


class Latencies:
    """So many answers in each class."""

    def __init__(self, counts: Iterable[tuple[int, int]] = ()) -> None:
        """counts: (class, answers), as items() gives them."""
        self._counts: Counter[int] = Counter(dict(counts))

    def add(self, seconds: float, answers: int) -> None:
        """So many answers took that long."""
        self._counts[int(log(max(seconds, _LEAST) / _LEAST) * _STEPS)] += answers

    def items(self) -> list[tuple[int, int]]:
        """(class, answers), the quickest first."""
        return sorted(self._counts.items())

    def merge(self, other: Latencies) -> None:
        """Add what another has counted."""
        self._counts.update(other._counts)

    @property
    def total(self) -> int:
        """Answers."""
        return self._counts.total()

    def percentile(self, fraction: float) -> float:
        """Seconds within which that part of all answers came; 0 if none did."""
        left = fraction * self.total
        last = 0.0
        for place, count in self.items():
            last = _LEAST * exp((place + 0.5) / _STEPS)
            left -= count
            if left <= 0:
                break
        return last

    def distribution(self) -> list[tuple[float, float]]:
        """(seconds, the part of all answers that came within them), ascending."""
        total, so_far, points = self.total, 0, []
        for place, count in self.items():
            so_far += count
            points.append((_LEAST * exp((place + 1) / _STEPS), so_far / total))
        return points
