"""Messages keep what they say on the way to a peer; anything else in them is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.consensus.raft import messages as m
from znoded.consensus.raft.command import NO_OP, Malformed, Segment, pack
from znoded.consensus.raft.wire import Packer, decode, encode

MOST = (1 << 63) - 1
NUMBERS = st.integers(0, MOST)
TERMS = st.integers(0, (1 << 31) - 1)
CLUSTERS = st.binary(min_size=16, max_size=16)
TXNS = st.lists(st.binary(max_size=40), min_size=1, max_size=4).map(tuple)
COMMANDS = st.one_of(
    st.just(NO_OP),
    st.lists(st.builds(Segment, NUMBERS, NUMBERS, NUMBERS, TXNS), min_size=1, max_size=3).map(pack),
)
ID = bytes(range(16))


@st.composite
def appends(draw: st.DrawFn) -> m.Append:
    commands = draw(st.lists(COMMANDS, max_size=4))
    prev_term, *terms, term = sorted(draw(st.tuples(*[TERMS] * (len(commands) + 2))))
    prev = draw(st.integers(0, MOST - len(commands)))
    entries = tuple(
        (command, prev + at, of) for at, (command, of) in enumerate(zip(commands, terms, strict=True), 1)
    )
    return m.Append(term, draw(NUMBERS), draw(NUMBERS), prev, prev_term, entries, draw(CLUSTERS))


MESSAGES: st.SearchStrategy[m.Message] = st.one_of(
    appends(),
    st.builds(m.Next, TERMS, NUMBERS, NUMBERS, st.booleans(), st.booleans()),
    st.builds(m.AskVote, TERMS, NUMBERS, TERMS),
    st.builds(m.Forward, NUMBERS, NUMBERS, TXNS),
    st.builds(m.Refused, NUMBERS, NUMBERS, NUMBERS),
    st.builds(m.Install, TERMS, NUMBERS, NUMBERS, NUMBERS, TERMS, CLUSTERS),
    st.builds(m.Vote, TERMS),
    st.builds(m.TimeoutNow, TERMS),
    st.builds(m.AskBarrier, NUMBERS),
    st.builds(m.Barrier, NUMBERS, NUMBERS),
    st.builds(m.Confirm, TERMS, NUMBERS),
    st.builds(m.Confirmed, TERMS, NUMBERS),
    st.builds(m.Canvass, NUMBERS, NUMBERS, TERMS),
    st.builds(m.Supported, NUMBERS),
)


@given(MESSAGES)
def test_a_message_comes_back(message: m.Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, MESSAGES)
def test_messages_that_differ_are_different_bytes(one: m.Message, other: m.Message) -> None:
    assert (one == other) == (encode(one) == encode(other))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode(data)
    except Malformed:
        return
    assert decode(encode(message)) == message


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.integers(), st.booleans(), st.binary(max_size=20), st.text(max_size=5), st.none(), st.floats()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=20,
)


@given(st.lists(st.one_of(st.integers(0, 12), VALUES), max_size=8))
def test_any_values_are_a_message_or_refused(values: list[Any]) -> None:
    try:
        message = decode(cbor2.dumps(values))
    except Malformed:
        return
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_message_with_a_byte_changed_says_something_else_or_is_refused(
    message: m.Message, data: st.DataObject
) -> None:
    wire = bytearray(encode(message))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(wire))
    except Malformed:
        return
    assert decode(encode(other)) == other


@given(MESSAGES, st.data())
def test_a_message_that_is_cut_short_or_goes_on_is_refused(message: m.Message, data: st.DataObject) -> None:
    wire = encode(message)
    cut = data.draw(st.integers(0, len(wire) - 1))
    with pytest.raises(Malformed):
        decode(wire[:cut])
    with pytest.raises(Malformed):
        decode(wire + data.draw(st.binary(min_size=1, max_size=40)))


WRONG: list[tuple[str, list[Any]]] = [
    ("no kind that there is", [99, 1]),
    ("a truth for a kind", [True, 1, 2, 3, False, True]),
    ("a truth for a number", [3, True]),
    ("a number for a truth", [1, 5, 1, 2, 0, 1]),
    ("a number below 0", [3, -1]),
    ("a number beyond 63 bits", [7, 1 << 63]),
    ("a term beyond 31 bits", [3, 1 << 31]),
    ("a term to append in beyond 31 bits", [[], 1 << 31, 1, 1, 7, 3, ID]),
    ("a number too many", [3, 1, 2]),
    ("a number missing", [2, 1, 2]),
    ("text", [3, "1"]),
    ("no transactions", [5, 1, 1, []]),
    ("a transaction that is text", [5, 1, 1, ["x"]]),
    ("a cluster's id that is too short", [11, 1, 2, 3, 4, b"short"]),
    ("an index", [[[3, NO_OP, 8]], 3, 1, 1, 7, 3, ID]),
    ("terms that fall", [[[3, NO_OP], [2, NO_OP]], 3, 1, 1, 7, 2, ID]),
    ("a term before the one that it follows", [[[2, NO_OP]], 3, 1, 1, 7, 3, ID]),
    ("a term after the leader's", [[[4, NO_OP]], 3, 1, 1, 7, 3, ID]),
    ("what precedes, of a term after the leader's", [[], 3, 1, 1, 7, 4, ID]),
    ("an index beyond 63 bits", [[[3, NO_OP]], 3, 1, 1, MOST, 3, ID]),
    ("an entry that is a number", [[3], 3, 1, 1, 7, 3, ID]),
    ("a command that is text", [[[3, "\x01"]], 3, 1, 1, 7, 3, ID]),
    ("an empty command", [[[3, b""]], 3, 1, 1, 7, 3, ID]),
]


@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in WRONG])
def test_what_no_server_says_is_refused(values: list[Any]) -> None:
    with pytest.raises(Malformed):
        decode(cbor2.dumps(values))


def test_tags_and_lengths_that_are_not_told_are_refused() -> None:
    for data in (
        b"",
        cbor2.dumps([3, cbor2.CBORTag(2, b"\x01")]),
        b"\x9f\x03\x01\xff",
        b"\x82\x03\x1b",
        b"\x9b" + b"\xff" * 8,
        b"\x82\x05\x5b" + b"\xff" * 8,
        b"\x81" * 1000 + b"\x01",
    ):
        with pytest.raises(Malformed):
            decode(data)


GONE_OFF: list[str] = []


def go_off(what: str) -> None:
    GONE_OFF.append(what)


class Bomb:
    """Loaded from a pickle, it goes off."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return go_off, ("!",)


def test_no_pickle_that_is_sent_is_loaded() -> None:
    bomb = pickle.dumps(Bomb())
    pickle.loads(bomb)
    assert GONE_OFF.pop() == "!"
    append: list[Any] = [[[3, b""]], 3, 1, 1, 7, 3, ID]
    for command in (bomb, b"\x00" + bomb, b"\x02" + bomb, b"\x03" + bomb):
        append[0][0][1] = command
        with pytest.raises(Malformed):
            decode(cbor2.dumps(append))
    for data in (bomb, cbor2.dumps(bomb), cbor2.dumps([3, bomb])):
        with pytest.raises(Malformed):
            decode(data)
    # As a transaction it is but bytes.
    assert decode(encode(m.Forward(1, 1, (bomb,)))) == m.Forward(1, 1, (bomb,))
    assert not GONE_OFF


def test_entries_that_go_to_several_peers_are_packed_once() -> None:
    one, two = pack([Segment(1, 1, 1, (b"one",))]), pack([Segment(2, 1, 1, (b"two",))])
    packer = Packer()
    first = m.Append(9, 1, 5, 7, 8, ((one, 8, 9), (two, 9, 9)), ID)
    told = [
        first,
        replace(first, round=2),
        replace(first, round=3, prev=8, prev_term=9, entries=first.entries[1:]),
        replace(first, round=4, entries=()),
    ]
    packed = [packer.pack(message) for message in told]
    (a, _), (b, _), (c, _), (d, _) = packed
    assert a is b
    assert a is not None
    assert c is not None
    assert a.data != c.data
    assert d is None
    assert [decode((b"" if shared is None else shared.data) + rest) for shared, rest in packed] == told
