"""The state is read from rows of this version's format alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.storage.errors import ZkError
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.state import OtherFormat, State, Unfinished, node_key, zxid_in


def flushed(tmp_path: Path) -> MemoryEngine:
    engine = MemoryEngine(tmp_path)
    state = State(engine)
    state.zxid = 7
    engine.commit(state.freeze())
    engine.refresh()
    return engine


def test_what_was_flushed_is_read_again(tmp_path: Path) -> None:
    engine = flushed(tmp_path)
    assert zxid_in(engine) == 7
    assert State(engine).zxid == 7


def test_rows_of_another_format_are_refused(tmp_path: Path) -> None:
    engine = flushed(tmp_path)
    meta = engine.get(b"m")
    assert meta is not None
    engine.commit({b"m": bytes([meta[0] + 1]) + meta[1:]})
    engine.refresh()
    with pytest.raises(OtherFormat, match="format 3, this version reads 2"):
        State(engine)


def test_rows_without_the_one_that_comes_last_are_refused(tmp_path: Path) -> None:
    engine = flushed(tmp_path)
    engine.commit({b"m": None})
    engine.refresh()
    with pytest.raises(Unfinished):
        State(engine)


def test_a_path_deeper_than_a_key_can_tell_is_refused() -> None:
    with pytest.raises(ZkError, match="BADARGUMENTS"):
        node_key(b"/" * (1 << 24))
