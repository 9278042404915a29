"""Asks, before this server stands for election, whether others are without a leader, too (pre-vote).

The library's candidates begin a new term, and so depose whoever leads: one who comes back, or has lost
sight of the leader alone, shall not (Ongaro's thesis, 9.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from .messages import Canvass

_GOOD: Final = 0.5
"""Seconds for which a majority's answer counts."""


class Support:
    """Times are in seconds, by one clock."""

    def __init__(self, me: int, voters: Iterable[int], send: Callable[[int, Canvass], None]) -> None:
        self._others = [voter for voter in voters if voter != me]
        self._send = send
        self._round = 0
        self._led = 0
        """The last round while there was a leader."""
        self._found: dict[int, float] = {}
        """When each last said that it would vote for this server."""
        self._until = 0.0

    def ask(self, last: int, last_term: int) -> None:
        """A round; the log of this server ends with that entry."""
        self._round += 1
        for peer in self._others:
            self._send(peer, Canvass(self._round, last, last_term))

    def answered(self, peer: int, round_: int, now: float) -> bool:
        """A peer would vote for this server; whether that makes a majority."""
        # Whichever round it was of: on a long way the next one begins before the last one's answers come.
        if round_ > self._led and peer in self._others:
            self._found[peer] = now
        found = sum(now - at < _GOOD for at in self._found.values())
        enough = 2 * (1 + found) > 1 + len(self._others)
        if enough:
            self.granted(now)
        return enough

    def granted(self, now: float) -> None:
        """A majority would, or the leader itself."""
        self._until = now + _GOOD

    def stands(self, now: float) -> bool:
        """Whether a majority has answered of late."""
        return now < self._until

    def end(self) -> None:
        """There is a leader."""
        self._until = 0.0
        self._led = self._round
        self._found.clear()
