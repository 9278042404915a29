"""Tells whether a history of concurrent calls could have happened one after the other.

Wing and Gong's search (1993), with Lowe's memory of what was tried already (2017). A call takes effect at
one moment between its beginning and its end; of one whose outcome nobody knows, the end is never.
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
    """What was asked, and told; begun and ended by one clock. told is None of a call that has no end."""

    asked: Asked
    told: Told | None
    begun: float
    ended: float = UNKNOWN


def linearized(
    calls: Sequence[Call[Asked, Told]],
    state: State,
    step: Callable[[State, Call[Asked, Told]], State | None],
) -> list[Call[Asked, Told]] | None:
    """An order in which one after the other gives what was told; None if there is none.

    step: the state after a call, or None where it could not have been told what it was. States are
    hashable, and none of them is None.
    """
    calls = sorted(calls, key=lambda call: call.begun)
    everything = (1 << len(calls)) - 1
    tried: set[tuple[int, State]] = set()
    order: list[Call[Asked, Told]] = []
    ways = [(everything, state, _next(calls, everything))]
    while ways:
        left, before, options = ways[-1]
        if not left:
            return order
        for at in options:
            after = step(before, calls[at])
            if after is not None and (left ^ 1 << at, after) not in tried:
                tried.add((left ^ 1 << at, after))
                order.append(calls[at])
                ways.append((left ^ 1 << at, after, _next(calls, left ^ 1 << at)))
                break
        else:
            ways.pop()
            if order:
                order.pop()
    return None


def _next(calls: Sequence[Call[Asked, Told]], left: int) -> Iterator[int]:
    """Which of those left (bits) may come next, those that end first in front: begun before any has ended."""
    options = []
    end = inf
    while left:
        at = (left & -left).bit_length() - 1
        if calls[at].begun > end:
            break
        end = min(end, calls[at].ended)
        options.append(at)
        left &= left - 1
    return iter(sorted(options, key=lambda at: calls[at].ended))
