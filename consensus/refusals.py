"""Which refusals of peers are news: they try again every second, and a line each time tells nobody more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_QUIET: Final = 300.0
"""Seconds until the same is news again."""
_REASONS: Final = 8
"""Different ones within that time that are said of one peer: a stranger may think up any number."""
_PEERS: Final = 1000
"""That are remembered."""


@dataclass(slots=True)
class _Told:
    until: float
    reasons: set[str] = field(default_factory=set)


class Refusals:
    """By a peer's address and the id that it claims, 0 for none that there is."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], _Told] = {}

    def is_news(self, host: str, claim: int, reason: str, now: float) -> bool:
        """Whether a refusal at that time, in seconds, says what was not said of that peer a while before."""
        told = self._told.get((host, claim))
        if told is None or told.until <= now:
            if len(self._told) >= _PEERS:
                self._told.clear()
            told = self._told[host, claim] = _Told(now + _QUIET)
        if reason in told.reasons or len(told.reasons) >= _REASONS:
            return False
        told.reasons.add(reason)
        return True

    def forget(self, claim: int) -> None:
        """That server is connected: what was wrong is right, and would be news again."""
        for key in [key for key in self._told if key[1] == claim]:
            del self._told[key]
