"""Messages keep what they say on the way to a peer; bytes that are none are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.consensus.zab import messages as m
from znoded.consensus.zab.wire import Malformed, decode, encode, encode_all

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


@given(st.lists(st.tuples(st.integers(1, 5), MESSAGES), max_size=8))
def test_messages_to_several_peers_come_to_each(messages: list[tuple[int, m.Message]]) -> None:
    # What lies between two zxids is the same in every log that holds it.
    spans: dict[tuple[int, int], tuple[m.Record, ...]] = {}
    for at, (peer, message) in enumerate(messages):
        if isinstance(message, m.Propose) and message.records:
            span = message.after, message.records[-1][0]
            messages[at] = peer, replace(message, records=spans.setdefault(span, message.records))
    come = [
        (peer, decode((b"" if shared is None else shared.data) + rest))
        for peer, shared, rest in encode_all(messages)
    ]
    assert come == messages


def test_records_that_go_to_several_peers_are_packed_once() -> None:
    records = ((8, b"one"), (9, b"two"))
    told = [
        (1, m.Propose(11, 7, records, 5, own=((8, 1),))),
        (2, m.Propose(12, 7, records, 6)),
        (3, m.Propose(13, 8, records[1:], 6)),
        (4, m.Propose(14, 9, (), 6)),
    ]
    one, two, three, four = [shared for _, shared, _ in encode_all(told)]
    assert one is two
    assert one is not None
    assert three is not None
    assert one.data != three.data
    assert four is None


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(Malformed):
        decode(b"")
