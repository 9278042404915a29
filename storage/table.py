"""The write-back table: what changed since the last flush, in front of an engine.

In here, None stands for a deleted row. Rows that are scanned by group (children of a znode, ephemerals
of a session) are added and removed with their group, the key's prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Final, TypeAlias

from .engine import Engine

_Members: TypeAlias = dict[bytes, dict[bytes, bool]]
_Rows: TypeAlias = dict[bytes, bytes | None]
_NOBODY: Final[dict[bytes, bool]] = {}
_ABSENT: Final = bytes(bytearray(b"absent"))  # an object that is nobody's value


class Table:
    """Reads look here, then into the rows being flushed, then into the engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.undo: list[Callable[[], object]] | None = None
        self._changes: _Rows = {}
        self._flushing: _Rows = {}
        self._members: _Members = {}
        self._flushing_members: _Members = {}

    def forget(self) -> None:
        """The engine holds another state, and no flush is under way: nothing is changed since."""
        self._changes = {}
        self._members = {}

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def unflushed(self) -> int:
        """Rows that the engine does not have yet, those of a flush under way included."""
        return len(self._changes) + len(self._flushing)

    def get(self, key: bytes) -> bytes | None:
        """The row's value now, or None."""
        value = self._changes.get(key, _ABSENT)
        if value is _ABSENT:
            value = self._flushing.get(key, _ABSENT)
            if value is _ABSENT:
                return self.engine.get(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Change a row, or make one that no group lists."""
        if self.undo is not None:
            self._remember(key)
        self._changes[key] = value

    def add(self, group: bytes, key: bytes, value: bytes) -> None:
        """Make a row that its group lists."""
        if self.undo is not None:
            self._remember(key, group)
        self._changes[key] = value
        members = self._members.get(group)
        if members is None:
            self._members[group] = {key: True}
        else:
            members[key] = True

    def remove(self, group: bytes, key: bytes) -> None:
        """Delete a row that its group lists."""
        if self.undo is not None:
            self._remember(key, group)
        self._changes[key] = None
        members = self._members.get(group)
        if members is None:
            self._members[group] = {key: False}
        else:
            members[key] = False

    def keys(self, group: bytes) -> list[bytes]:
        """The keys of all rows of the group, in no order."""
        old, new = self._flushing_members.get(group), self._members.get(group)
        stored = self.engine.keys(group)
        if old is None and new is None:
            return list(stored)
        present = dict.fromkeys(stored, True)
        present.update(old or {})
        present.update(new or {})
        return [key for key, there in present.items() if there]

    def keys_after(self, group: bytes, after: bytes, limit: int) -> list[bytes]:
        """The first keys of the group's rows that come after that one, ascending, so many at the most.
        Cost: that number, and the group's rows that changed since the last flush."""
        changed = dict(self._flushing_members.get(group, _NOBODY))
        changed.update(self._members.get(group, _NOBODY))
        new = nsmallest(limit, (key for key, there in changed.items() if there and key > after))
        stored = (key for key in self.engine.keys(group, after) if key not in changed)
        return sorted([*new, *islice(stored, limit)])[:limit]

    def keys_below(self, prefix: bytes) -> list[bytes]:
        """Every key with that prefix, over all groups: for counting, at the cost of a scan."""
        present = dict.fromkeys(self.engine.keys(prefix), True)
        for members in (self._flushing_members, self._members):
            for group, rows in members.items():
                if group.startswith(prefix):
                    present.update(rows)
        return [key for key, there in present.items() if there]

    def freeze(self) -> Mapping[bytes, bytes | None]:
        """Begin a flush: the rows for Engine.commit. Changes from now on wait for the next one."""
        assert not self._flushing, "one flush at a time"
        self._flushing, self._changes = self._changes, {}
        self._flushing_members, self._members = self._members, {}
        return self._flushing

    def flushed(self) -> None:
        """The frozen rows are in the engine."""
        self.engine.refresh()
        self._flushing = {}
        self._flushing_members = {}

    def unfreeze(self) -> None:
        """The flush failed: the frozen rows are changes again."""
        self._flushing.update(self._changes)
        self._changes, self._flushing = self._flushing, {}
        for group, rows in self._members.items():
            self._flushing_members.setdefault(group, {}).update(rows)
        self._members, self._flushing_members = self._flushing_members, {}

    def _remember(self, key: bytes, group: bytes | None = None) -> None:
        assert self.undo is not None
        changes, members = self._changes, self._members
        before = changes.get(key, _ABSENT)
        listed = None if group is None else members.get(group, {}).get(key)

        def back() -> None:
            if before is _ABSENT:
                changes.pop(key, None)
            else:
                changes[key] = before
            if group is not None:
                if listed is None:
                    members[group].pop(key, None)
                else:
                    members[group][key] = listed

        self.undo.append(back)
