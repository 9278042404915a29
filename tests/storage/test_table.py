"""Whatever is under way with flushes, the write-back table reads as one dict would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.table import Table

GROUPS: Final = [b"a", b"b", b"bb"]  # scanned by group; one is the beginning of another
NAMES: Final = [b"1", b"2", b"3"]
LONE: Final = [b"x", b"y"]


@pytest.fixture
def table() -> Table:
    return Table(MemoryEngine(Path()))


def flush(table: Table) -> None:
    table.engine.commit(table.freeze())
    table.flushed()


def test_a_row_is_read_where_it_is(table: Table) -> None:
    table.put(b"stored", b"1")
    flush(table)
    table.put(b"frozen", b"2")
    table.freeze()
    table.put(b"changed", b"3")
    assert [table.get(key) for key in (b"stored", b"frozen", b"changed", b"none")] == [b"1", b"2", b"3", None]


def test_the_last_change_of_a_row_counts(table: Table) -> None:
    for value in (b"1", b"2", b"3"):
        table.put(b"x", value)
        assert table.get(b"x") == value
        table.freeze()
        assert table.get(b"x") == value
        table.unfreeze()


def test_a_deleted_row_stays_away_at_every_step_of_a_flush(table: Table) -> None:
    table.add(b"g", b"g1", b"1")
    flush(table)
    table.remove(b"g", b"g1")
    assert (table.get(b"g1"), table.keys(b"g")) == (None, [])
    frozen = table.freeze()
    assert (table.get(b"g1"), table.keys(b"g")) == (None, [])
    table.engine.commit(frozen)
    assert (table.get(b"g1"), table.keys(b"g")) == (None, [])
    table.flushed()
    assert (table.get(b"g1"), table.keys(b"g")) == (None, [])


def test_what_changes_during_a_flush_waits_for_the_next(table: Table) -> None:
    table.put(b"x", b"1")
    frozen = table.freeze()
    table.put(b"x", b"2")
    assert dict(frozen) == {b"x": b"1"}
    table.engine.commit(frozen)
    table.flushed()
    assert (table.get(b"x"), len(table)) == (b"2", 1)


def test_a_failed_flush_is_as_if_there_was_none(table: Table) -> None:
    table.add(b"g", b"g1", b"1")
    table.freeze()
    table.remove(b"g", b"g1")
    table.add(b"g", b"g2", b"2")
    table.unfreeze()
    assert dict(table.freeze()) == {b"g1": None, b"g2": b"2"}
    assert table.keys(b"g") == [b"g2"]


def test_undo_takes_changes_back(table: Table) -> None:
    table.add(b"g", b"g1", b"1")
    flush(table)
    table.add(b"g", b"g2", b"2")
    undo: list[Callable[[], object]] = []
    table.undo = undo
    table.put(b"g2", b"changed")
    table.put(b"g1", b"changed")
    table.remove(b"g", b"g1")
    table.add(b"g", b"g3", b"3")
    table.remove(b"g", b"g3")
    table.undo = None
    for back in reversed(undo):
        back()
    assert dict(table.freeze()) == {b"g2": b"2"}
    assert sorted(table.keys(b"g")) == [b"g1", b"g2"]


class Interleaved(RuleBasedStateMachine):
    """Changes, undone ones too, between every step of flushes that work and that fail."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = MemoryEngine(Path())
        self.table = Table(self.engine)
        self.model: dict[bytes, bytes] = {}
        self.before: dict[bytes, bytes] | None = None
        self.undo: list[Callable[[], object]] = []
        self.frozen: Mapping[bytes, bytes | None] | None = None
        self.promise: dict[bytes, bytes] = {}

    @rule(group=st.sampled_from(GROUPS), name=st.sampled_from(NAMES), value=st.binary(max_size=2))
    def add(self, group: bytes, name: bytes, value: bytes) -> None:
        self.table.add(group, group + name, value)
        self.model[group + name] = value

    @rule(group=st.sampled_from(GROUPS), name=st.sampled_from(NAMES))
    def remove(self, group: bytes, name: bytes) -> None:
        self.table.remove(group, group + name)
        self.model.pop(group + name, None)

    @rule(key=st.sampled_from(LONE), value=st.binary(max_size=2))
    def put(self, key: bytes, value: bytes) -> None:
        self.table.put(key, value)
        self.model[key] = value

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def put_over(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.table.put(key, b"over")
        self.model[key] = b"over"

    @precondition(lambda self: self.before is None)
    @rule()
    def begin_to_remember(self) -> None:
        self.before = dict(self.model)
        self.undo = []
        self.table.undo = self.undo

    @precondition(lambda self: self.before is not None)
    @rule(keep=st.booleans())
    def keep_or_take_back(self, keep: bool) -> None:
        assert self.before is not None
        self.table.undo = None
        if not keep:
            for back in reversed(self.undo):
                back()
            self.model = self.before
        self.before = None

    @precondition(lambda self: self.frozen is None and self.before is None)
    @rule()
    def freeze(self) -> None:
        self.frozen = self.table.freeze()
        self.promise = dict(self.model)

    @precondition(lambda self: self.frozen is not None)
    @rule()
    def commit_and_end(self) -> None:
        assert self.frozen is not None
        self.engine.commit(self.frozen)
        self.table.flushed()
        self.frozen = None
        assert dict(self.engine.scan(b"")) == self.promise

    @precondition(lambda self: self.frozen is not None and self.before is None)
    @rule()
    def fail(self) -> None:
        self.table.unfreeze()
        self.frozen = None

    @invariant()
    def reads_are_as_of_one_dict(self) -> None:
        model = self.model
        for key in [group + name for group in GROUPS for name in NAMES] + LONE:
            assert self.table.get(key) == model.get(key)
        for group in GROUPS:
            mine = [key for key in model if key.startswith(group) and len(key) == len(group) + 1]
            found = self.table.keys(group)
            assert sorted(key for key in found if len(key) == len(group) + 1) == sorted(mine)
            assert len(found) == len(set(found))
            below = [key for key in model if key.startswith(group)]
            assert sorted(self.table.keys_below(group)) == sorted(below)
        alone = GROUPS[0]
        for after in [alone + name for name in (b"", *NAMES)]:
            later = sorted(key for key in model if key.startswith(alone) and key > after)
            for limit in (1, len(NAMES)):
                assert self.table.keys_after(alone, after, limit) == later[:limit]


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=150, stateful_step_count=40)
