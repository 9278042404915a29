"""What is under way between simulated servers besides their messages, and how zxids are told: as
epoch.counter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

Record: TypeAlias = tuple[int, bytes]
"""(zxid, transaction)."""


class Gone:
    """A connection's end, in the queue of what it carried."""

    def __repr__(self) -> str:
        return "disconnected"


GONE: Final = Gone()


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a snapshot as of zxid, ahead of the message that tells of it; left: so many follow."""

    zxid: int
    records: tuple[Record, ...]
    first: bool
    left: int

    def __repr__(self) -> str:
        return f"piece of a snapshot as of {show(self.zxid)}, {self.left} to follow"


def show(zxid: int) -> str:
    return f"{zxid >> 32}.{zxid & 0xFFFFFFFF}"


def span(zxids: Iterable[int]) -> str:
    """As 1.1-1.3 2.1: what goes straight on in one epoch is drawn together."""
    runs: list[list[int]] = []
    for zxid in zxids:
        if runs and runs[-1][-1] + 1 == zxid:
            runs[-1][1:] = [zxid]
        else:
            runs.append([zxid])
    return " ".join("-".join(map(show, run)) for run in runs) or "nothing"
