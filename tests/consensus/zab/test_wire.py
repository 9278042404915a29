"""Messages keep what they say on the way to a peer; bytes that are none are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.consensus.zab import messages as m
from znoded.consensus.zab.wire import Malformed, decode, encode

NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
CLUSTERS = st.binary(min_size=16, max_size=16)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4).map(tuple)
TXNS = st.lists(st.binary(max_size=40), max_size=4).map(tuple)
RECORDS = st.lists(st.tuples(NUMBERS, st.binary(max_size=40)), max_size=4).map(tuple)
MESSAGES: st.SearchStrategy[m.Message] = st.one_of(
    st.builds(
        m.Notification, NUMBERS, st.builds(m.Vote, NUMBERS, NUMBERS, NUMBERS), st.booleans(), st.booleans()
    ),
    st.builds(m.AckEpoch, NUMBERS, NUMBERS, st.booleans(), NUMBERS, NUMBERS, PAIRS, CLUSTERS),
    st.builds(m.Diff, NUMBERS, NUMBERS, CLUSTERS),
    st.builds(m.Snapshot, NUMBERS, NUMBERS, PAIRS),
    st.builds(m.Propose, NUMBERS, NUMBERS, RECORDS, NUMBERS, PAIRS),
    st.builds(m.Forward, NUMBERS, NUMBERS, TXNS),
    st.builds(m.Barrier, NUMBERS, NUMBERS, NUMBERS),
    *(
        st.builds(one, NUMBERS, NUMBERS)
        for one in (
            m.LearnerInfo,
            m.LeaderInfo,
            m.NewLeader,
            m.AckNewLeader,
            m.UpToDate,
            m.Ack,
            m.Pong,
        )
    ),
    st.builds(m.AskBarrier, NUMBERS, NUMBERS),
    st.builds(m.Ping, NUMBERS, NUMBERS, NUMBERS),
)


@given(MESSAGES)
def test_a_message_comes_back(message: m.Message) -> None:
    assert decode(encode(message)) == message


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except Malformed:
        return
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_what_is_cut_short_says_no_more_than_was_sent(message: m.Message, data: st.DataObject) -> None:
    wire = encode(message)
    cut = data.draw(st.integers(0, len(wire) - 1))
    try:
        shorter = decode(wire[:cut])
    except Malformed:
        return
    assert encode(shorter) == wire[:cut]


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(Malformed):
        decode(b"")
