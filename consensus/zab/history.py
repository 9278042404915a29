"""Which epochs a log's records are of, and where two logs part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .messages import Tail

_KEPT: Final = 64
"""Epochs that are remembered: a learner that shares none of them gets a snapshot."""


def epoch_of(zxid: int) -> int:
    """The epoch in which a transaction was proposed."""
    return zxid >> 32


class History:
    """The last zxid of each epoch that has records in a log, oldest first.

    Records of one epoch come from one leader in one order, so two logs hold the same ones up to the last
    that both hold of an epoch (Junqueira, Reed and Serafini 2011, section 4: primary order).
    """

    def __init__(self, tails: Iterable[Tail] = ()) -> None:
        self._tails = list(tails)

    @property
    def tails(self) -> tuple[Tail, ...]:
        """As they go to a peer or to disk."""
        return tuple(self._tails)

    @property
    def last(self) -> int:
        """The last zxid; 0 of an empty log."""
        return self._tails[-1][1] if self._tails else 0

    def append(self, zxid: int) -> bool:
        """A record comes; whether it is the first of its epoch."""
        epoch = epoch_of(zxid)
        fresh = not self._tails or self._tails[-1][0] != epoch
        if fresh:
            self._tails.append((epoch, zxid))
            del self._tails[:-_KEPT]
        else:
            self._tails[-1] = epoch, zxid
        return fresh

    def truncate(self, after: int) -> None:
        """Records beyond after are gone."""
        while self._tails and self._tails[-1][1] > after:
            epoch, _ = self._tails.pop()
            if epoch == epoch_of(after):
                self._tails.append((epoch, after))

    def common(self, other: Iterable[Tail]) -> int:
        """The last zxid that both logs hold; 0 if there is none, -1 if that is no longer remembered."""
        own, others = dict(self._tails), dict(other)
        unknown = -1 if max(len(own), len(others)) == _KEPT else 0
        return max((min(zxid, own[epoch]) for epoch, zxid in others.items() if epoch in own), default=unknown)
