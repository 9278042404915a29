"""What servers say to each other, as a person reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

from znoded.consensus.zab.messages import Message

from ..told import Gone, Piece, show, span


def told(message: object) -> str:
    if isinstance(message, Piece | Gone):
        return repr(message)
    parts = []
    for one in fields(cast(Message, message)):
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
