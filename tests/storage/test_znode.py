"""A record gives back what was put in, and its wire part is a getData answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.jute import pack_buffer
from znoded.storage.znode import (
    CONTAINER,
    EXTRA_SIZE,
    LASTING,
    STAT,
    TAIL,
    TAIL_SIZE,
    TTL,
    Stat,
    data_of,
    stat_of,
)

INTS = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
STATS = st.builds(Stat, LONGS, LONGS, LONGS, LONGS, INTS, INTS, INTS, LONGS, INTS, INTS, LONGS)


@given(
    st.none() | st.binary(),
    STATS,
    st.integers(0, (1 << 32) - 1),
    INTS,
    st.sampled_from([LASTING, CONTAINER, TTL]),
)
def test_a_record_reads_back(data: bytes | None, stat: Stat, acl: int, creates: int, kind: int) -> None:
    record = pack_buffer(data) + TAIL.pack(*stat, acl, creates, kind)
    assert stat_of(record) == stat
    assert data_of(record) == data
    assert TAIL.unpack(record[-TAIL_SIZE:])[11:] == (acl, creates, kind)
    assert record[:-EXTRA_SIZE] == pack_buffer(data) + STAT.pack(*stat)


def test_a_stat_is_68_bytes_on_the_wire() -> None:
    assert STAT.size == 68
