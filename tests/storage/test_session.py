"""Sessions and identities travel in transactions unchanged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.jute import Malformed
from znoded.storage.session import Session, decode_identities, encode_identities

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, (1 << 31) - 1),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
)
def test_a_session_reads_back(id: int, timeout: int, password: bytes, server: int) -> None:
    session = Session(id, timeout, password, server)
    assert Session.decode(session.encode()) == session


@pytest.mark.parametrize("size", [0, 28, 30])
def test_bytes_that_are_no_session_are_refused(size: int) -> None:
    with pytest.raises(struct.error):
        Session.decode(bytes(size))


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4).map(tuple))
def test_identities_read_back(identities: tuple[tuple[str, str], ...]) -> None:
    assert decode_identities(encode_identities(identities)) == identities


@given(st.binary(max_size=40))
def test_bytes_that_are_no_identities_are_refused(wire: bytes) -> None:
    try:
        identities = decode_identities(wire)
    except (Malformed, UnicodeDecodeError):
        return
    assert all(isinstance(text, str) for identity in identities for text in identity)


@given(st.binary(max_size=40) | st.binary(min_size=29, max_size=29))
def test_any_bytes_are_a_session_or_refused(wire: bytes) -> None:
    try:
        assert Session.decode(wire).encode() == wire
    except struct.error:
        assert len(wire) != 29
