"""A leader's rounds: it asks the others whether it still leads, and barriers wait for a majority's answers.

Whatever another leader has committed, a majority has heard of its later term; two majorities meet (Ongaro's
thesis, 6.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from .messages import Barrier, Confirm, Confirmed

SIGN: Final = 0
"""The number of those barriers by which servers only make sure of their leader."""


class Reads:
    """pending: so many barriers wait that somebody asked for. own: (number, zxid) of this server's that need
    wait no more."""

    def __init__(
        self, me: int, voters: Iterable[int], send: Callable[[int, Barrier | Confirm], None]
    ) -> None:
        self._me = me
        self._others = [voter for voter in voters if voter != me]
        self._send = send
        self._term = self._round = 0
        self._answered: dict[int, int] = {}
        """By server: the last round that it has confirmed."""
        self._barriers: deque[tuple[int, int, int, int]] = deque()
        """(round, server, its number, zxid)."""
        self.own: list[tuple[int, int]] = []

    @property
    def pending(self) -> int:
        return sum(number != SIGN for _, _, number, _ in self._barriers)

    def ask(self, term: int, zxid: int, server: int, number: int) -> None:
        """The leader of that term has committed up to zxid: that server may go on there, if it leads still.

        Goes out with the next round, which begins after this."""
        if term != self._term:
            self.end()
            self._term = term
        self._barriers.append((self._round + 1, server, number, zxid))

    def begin(self) -> None:
        """A round, if anybody waits for one that has not begun."""
        if self._barriers and self._barriers[-1][0] > self._round:
            self._round += 1
            for peer in self._others:
                self._send(peer, Confirm(self._term, self._round))
            self._pass()

    def confirmed(self, peer: int, message: Confirmed) -> None:
        """A peer's answer."""
        if message.term == self._term and peer in self._others:
            self._answered[peer] = max(message.round, self._answered.get(peer, 0))
            self._pass()

    def repeat(self) -> None:
        """Ask once more: an answer may be lost with its connection."""
        if self._barriers:
            for peer in self._others:
                self._send(peer, Confirm(self._term, self._round))

    def end(self) -> None:
        """This server leads no more: nobody is answered."""
        self._barriers.clear()
        self._answered.clear()

    def _pass(self) -> None:
        rounds = sorted([self._answered.get(peer, 0) for peer in self._others], reverse=True)
        # With this server itself, so many others are a majority.
        enough = (len(self._others) + 1) // 2
        reached = rounds[enough - 1] if enough else self._round
        while self._barriers and self._barriers[0][0] <= reached:
            _, server, number, zxid = self._barriers.popleft()
            if server == self._me:
                self.own.append((number, zxid))
            else:
                self._send(server, Barrier(number, zxid))
