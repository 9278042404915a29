"""Transactions keep their bytes, their origin and their places within a command."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.consensus.raft.command import BATCH, NO_OP, Malformed, Segment, last_zxid, pack, unpack

NUMBERS = st.integers(0, (1 << 63) - 1)
TXNS = st.lists(st.binary(max_size=40), min_size=1, max_size=4).map(tuple)
SEGMENTS = st.lists(st.builds(Segment, NUMBERS, NUMBERS, NUMBERS, TXNS), min_size=1, max_size=4).map(tuple)


@given(SEGMENTS)
def test_transactions_come_back(segments: tuple[Segment, ...]) -> None:
    assert unpack(pack(segments)) == segments


@given(st.binary(max_size=80).map(lambda data: bytes((BATCH,)) + data))
def test_any_bytes_are_a_command_or_refused(data: bytes) -> None:
    try:
        segments = unpack(data)
    except Malformed:
        return
    assert pack(segments) == data


@given(SEGMENTS, st.data())
def test_a_command_that_is_cut_short_or_goes_on_is_refused(
    segments: tuple[Segment, ...], data: st.DataObject
) -> None:
    command = pack(segments)
    cut = data.draw(st.integers(0, len(command) - 1))
    with pytest.raises(Malformed):
        unpack(command[:cut])
    with pytest.raises(Malformed):
        unpack(command + data.draw(st.binary(min_size=1, max_size=40)))


@pytest.mark.parametrize("kind", [0, 2, 3, 5, 255])
def test_a_command_for_which_the_library_would_load_a_pickle_is_refused(kind: int) -> None:
    with pytest.raises(Malformed):
        unpack(bytes((kind,)) + pickle.dumps([1]))


def test_a_term_begins_with_a_command_that_holds_nothing() -> None:
    assert unpack(NO_OP) == ()
    with pytest.raises(Malformed):
        unpack(NO_OP + b"more")


def batch(size: int) -> bytes:
    return pack([Segment(1, 1, 1, (b"one",) * size)])


def test_each_transaction_has_a_zxid_of_its_own() -> None:
    begin = last_zxid(NO_OP, 7, (6 << 32) + 99)
    assert begin == 7 << 32
    first = last_zxid(batch(3), 7, begin)
    assert first == (7 << 32) + 3
    assert last_zxid(batch(2), 7, first) == first + 2


@pytest.mark.parametrize(
    ("command", "term", "before"),
    [
        pytest.param(NO_OP, 7, (7 << 32) + 1, id="a term that has begun"),
        pytest.param(NO_OP, 7, 8 << 32, id="an earlier term"),
        pytest.param(batch(1), 7, 6 << 32, id="a term that has not begun"),
        pytest.param(batch(1), 7, (8 << 32) - 1, id="a term that is used up"),
        pytest.param(b"\x04", 7, 7 << 32, id="no command"),
    ],
)
def test_a_command_out_of_its_place_is_refused(command: bytes, term: int, before: int) -> None:
    with pytest.raises(Malformed):
        last_zxid(command, term, before)
