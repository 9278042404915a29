"""Tells whether a history of concurrent calls could have happened one after the other.

Wing and Gong's search (1993), with Lowe's memory of what was tried already (2017). A call takes effect at
one moment between its beginning and its end. One whose outcome nobody knows has no end: it takes effect
later, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, TypeVar

State = TypeVar("State")
Asked = TypeVar("Asked")
Told = TypeVar("Told")

UNKNOWN: Final = inf


@dataclass(frozen=True, slots=True)
class Call(Generic[Asked, Told]):
    """What was asked, and told; moments are by one clock. told is None of a call that has no end; if it
    has not taken effect when it lapsed, it never does."""

    asked: Asked
    told: Told | None
    begun: float
    ended: float = UNKNOWN
    lapsed: float = UNKNOWN


def linearized(
    calls: Sequence[Call[Asked, Told]],
    state: State,
    step: Callable[[State, Call[Asked, Told]], State | None],
) -> list[Call[Asked, Told]] | None:
    """An order in which one after the other gives what was told, without those that never took effect;
    None if there is none.

    step: the state after a call, or None where it could not have been told what it was. States are
    hashable, and none of them is None.
    """
    calls = sorted(calls, key=lambda call: call.begun)
    everything = (1 << len(calls)) - 1
    needed = sum(1 << at for at, call in enumerate(calls) if call.ended != UNKNOWN)
    tried: set[tuple[int, State]] = set()
    order: list[Call[Asked, Told]] = []
    ways = [(everything, state, -inf, _next(calls, everything, -inf))]
    while ways:
        left, before, now, options = ways[-1]
        if not left & needed:
            return order
        for at in options:
            rest = left ^ 1 << at
            after = step(before, calls[at])
            if after is not None and (rest, after) not in tried:
                tried.add((rest, after))
                order.append(calls[at])
                later = max(now, calls[at].begun)
                ways.append((rest, after, later, _next(calls, rest, later)))
                break
        else:
            ways.pop()
            if order:
                order.pop()
    return None


def _next(calls: Sequence[Call[Asked, Told]], left: int, now: float) -> Iterator[int]:
    """Which of those left (bits) may come next, those that end first in front: begun before any has ended."""
    options = []
    end = inf
    while left:
        at = (left & -left).bit_length() - 1
        if calls[at].begun > end:
            break
        end = min(end, calls[at].ended)
        if calls[at].lapsed >= now:
            options.append(at)
        left &= left - 1
    return iter(sorted(options, key=lambda at: calls[at].ended))
