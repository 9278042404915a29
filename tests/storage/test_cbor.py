"""CBOR from strangers: plain values are taken, and nothing else, at no great cost."""

from __future__ import annotations

from datetime import date

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.cbor import decode, encode

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=7,
)


@given(PLAIN)
def test_plain_values_come_back(value: object) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        b"\x81",
        b"\x9f\x01\xff",
        b"\x5f\x41a\xff",
        b"\xbf\x61a\x01\xff",
        b"\x61\xff",
        b"\xa2\x61a\x01\x61a\x02",
        b"\xa1\x81\x01\x02",
        b"\x81" * 9 + b"\x01",
        b"\x81" * 100_000 + b"\x01",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xc2\x42\x01\x02",
        b"\xc4\x82\x1a\x7f\xff\xff\xff\x01",
        b"\xd8\x23\x62.*",
        b"\xd9\xd9\xf7\x01",
        cbor2.dumps(date(2020, 1, 1)),
        cbor2.dumps(cbor2.CBORTag(9999, 1)),
        b"\x1c",
        b"\xff",
    ],
    ids=bytes.hex,
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(data)


@given(st.binary())
def test_no_bytes_break_it(data: bytes) -> None:
    try:
        decode(data)
    except ValueError as error:
        assert str(error)
