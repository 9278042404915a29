"""What servers say to each other, as a person reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

from znoded.consensus.raft.messages import Message

from ..told import Gone, Piece


def told(message: object) -> str:
    if isinstance(message, Piece | Gone):
        return repr(message)
    parts = []
    for one in fields(cast(Message, message)):
        value = getattr(message, one.name)
        if one.name == "entries":
            parts.append(f"entries {' '.join(f'{index}/{term}' for _, index, term in value) or 'none'}")
        elif one.name == "txns":
            parts.append(" ".join(txn.decode() for txn in value))
        elif isinstance(value, bool):
            parts += [one.name] * value
        elif one.name in ("zxid", "key"):
            parts.append(f"{one.name} {value:#x}")
        elif one.name not in ("cluster", "run"):
            parts.append(f"{one.name} {value}")
    return " ".join((type(message).__name__, ", ".join(parts)))
