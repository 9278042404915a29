"""What is written reads back, and a reader never looks past the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.jute import INT, LONG, Malformed, Reader, pack_buffer, pack_texts


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1), st.booleans())
def test_numbers_read_back(number: int, long: int, flag: bool) -> None:
    reader = Reader(INT.pack(number) + LONG.pack(long) + bytes([flag]))
    assert (reader.int32(), reader.int64(), reader.flag(), reader.left) == (number, long, flag, 0)


@given(st.none() | st.binary())
def test_a_buffer_reads_back(data: bytes | None) -> None:
    assert Reader(pack_buffer(data)).buffer() == data
    assert Reader(pack_buffer(data)).text() == (data or b"")


@given(st.lists(st.binary(max_size=9)))
def test_a_vector_of_strings_reads_back(texts: list[bytes]) -> None:
    reader = Reader(pack_texts(texts))
    assert reader.vector(reader.text) == texts
    assert reader.left == 0


def test_any_byte_but_zero_is_true() -> None:
    assert [Reader(bytes([byte])).flag() for byte in (0, 1, 2, 255)] == [False, True, True, True]


def test_a_reader_may_begin_anywhere() -> None:
    assert Reader(b"head" + INT.pack(5), 4).int32() == 5


def test_an_absent_vector_is_empty() -> None:
    assert Reader(INT.pack(-1)).vector(list) == []


@pytest.mark.parametrize("count", [-2, 1, 5, 0x7FFF_FFFF, -0x8000_0000])
def test_absurd_lengths_are_malformed(count: int) -> None:
    with pytest.raises(Malformed):
        Reader(INT.pack(count)).buffer()
    with pytest.raises(Malformed):
        Reader(INT.pack(count)).vector(list)


KINDS: dict[str, Callable[[Reader], object]] = {
    "int32": Reader.int32,
    "int64": Reader.int64,
    "flag": Reader.flag,
    "buffer": Reader.buffer,
    "text": Reader.text,
    "vector": lambda reader: reader.vector(reader.text),
}


@given(st.binary(max_size=24), st.binary(max_size=8), st.lists(st.sampled_from(sorted(KINDS)), max_size=6))
def test_nothing_is_read_past_the_end(data: bytes, behind: bytes, kinds: list[str]) -> None:
    """Whatever stands behind the bytes makes no difference, except to one who reads that far."""
    reader, longer = Reader(data), Reader(data + behind)
    for kind in kinds:
        left = reader.left
        try:
            value = KINDS[kind](reader)
        except Malformed:
            assert reader.left >= 0
            return
        assert 0 <= reader.left <= left
        assert KINDS[kind](longer) == value


@given(st.lists(st.binary(max_size=5), min_size=1), st.data())
def test_what_ends_too_soon_is_malformed(texts: list[bytes], data: st.DataObject) -> None:
    whole = pack_texts(texts)
    reader = Reader(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(Malformed):
        reader.vector(reader.text)
