"""A znode as a register: what may be asked of it, and what it must tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .linearizable import Call


@dataclass(frozen=True, slots=True)
class Read:
    """sync, then getData."""


@dataclass(frozen=True, slots=True)
class Write:
    """setData; version as there, -1 for any."""

    value: bytes
    version: int = -1


@dataclass(frozen=True, slots=True)
class Value:
    """What a znode holds, and how often it was set."""

    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class BadVersion:
    """A write was refused: the version was another."""


Asked: TypeAlias = Read | Write
Told: TypeAlias = Value | BadVersion
"""A write is told what it made of the register."""
RegisterCall: TypeAlias = Call[Asked, Told]


def step(now: Value, call: RegisterCall) -> Value | None:
    """As linearizable.linearized wants it."""
    asked, told = call.asked, call.told
    if isinstance(asked, Read):
        return now if told in (None, now) else None
    if asked.version not in (-1, now.version):
        return now if told in (None, BadVersion()) else None
    after = Value(asked.value, now.version + 1)
    return after if told in (None, after) else None
