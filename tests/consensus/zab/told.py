"""What servers say to each other, as a person reads it: zxids as epoch.counter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

from znoded.consensus.zab.messages import Message, Record


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


def told(message: Message | Piece | Gone) -> str:
    if isinstance(message, Piece | Gone):
        return repr(message)
    parts = []
    for one in fields(message):
        value = getattr(message, one.name)
        if one.name in ("zxid", "after", "last", "commit"):
            parts.append(f"{one.name} {show(value)}")
        elif one.name == "tails":
            parts.append(f"tails {' '.join(show(zxid) for _, zxid in value) or 'none'}")
        elif one.name == "records":
            parts.append(span(zxid for zxid, _ in value))
        elif one.name == "vote":
            parts.append(
                f"for {value.leader} ({value.epoch}, {show(value.zxid)})"
                if value.leader > 0
                else "for nobody"
            )
        elif one.name == "txns":
            parts.append(" ".join(txn.decode() for txn in value))
        elif one.name == "own":
            parts += ["own " + " ".join(show(zxid) for zxid, _ in value)] * bool(value)
        elif isinstance(value, bool):
            parts += [one.name] * value
        elif one.name not in ("link", "number", "first", "cluster"):
            parts.append(f"{one.name} {value}")
    return " ".join((type(message).__name__, *parts[:1])) + "".join(f", {part}" for part in parts[1:])
