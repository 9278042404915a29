"""A multi comes apart into its operations, and its answer together from theirs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage import multi, ops
from znoded.storage.acl import ALL, Acl
from znoded.storage.errors import Code
from znoded.storage.jute import Malformed

from .requests import Request, buffer

PATHS = st.binary(max_size=8)
DATA = st.none() | st.binary(max_size=8)
ACL = st.lists(
    st.builds(Acl, st.integers(0, ALL), st.sampled_from(["world", "ip"]), st.text("ab")), max_size=2
)
PARTS = st.builds(
    Request,
    st.sampled_from(
        [ops.CREATE, ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL, ops.DELETE, ops.SET_DATA, ops.CHECK]
    ),
    PATHS,
    DATA,
    ACL.map(tuple),
    st.integers(0, 6),
    st.integers(-1, 1 << 40),
    st.integers(-1, 9),
)


def chain(*parts: tuple[int, bytes]) -> bytes:
    links = (struct.pack(">iBi", op, 0, -1) + body for op, body in parts)
    return b"".join(links) + struct.pack(">iBi", -1, 1, -1)


@given(st.lists(PARTS, max_size=5))
def test_operations_come_apart_as_they_were_put_together(parts: list[Request]) -> None:
    body = Request(ops.MULTI, parts=tuple(parts)).body()
    assert multi.split(body) == [(part.op, part.body()) for part in parts]


def test_reads_come_apart_too() -> None:
    parts = [(ops.GET_DATA, buffer(b"/a") + b"\0"), (ops.GET_CHILDREN, buffer(b"/b") + b"\1")]
    assert multi.request(parts) == chain(*parts)
    assert multi.split(chain(*parts)) == parts


@given(st.lists(PARTS, min_size=1, max_size=3), st.data())
def test_what_ends_too_soon_is_malformed(parts: list[Request], data: st.DataObject) -> None:
    body = Request(ops.MULTI, parts=tuple(parts)).body()
    with pytest.raises(Malformed):
        multi.split(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_come_apart_or_are_malformed(body: bytes) -> None:
    try:
        parts = multi.split(body)
    except Malformed:
        return
    assert sum(len(part) for _, part in parts) <= len(body)


@pytest.mark.parametrize(
    "op", [ops.SET_ACL, ops.EXISTS, ops.DELETE_CONTAINER, ops.MULTI, ops.CREATE_SESSION, 0, 99]
)
def test_other_operations_have_no_place_in_it(op: int) -> None:
    with pytest.raises(Malformed):
        multi.split(chain((op, buffer(b"/a") + bytes(8))))


def test_create_flags_of_no_mode_are_malformed() -> None:
    with pytest.raises(Malformed):
        multi.split(chain((ops.CREATE, Request(ops.CREATE, b"/a", flags=7).body())))


def test_an_answer_is_a_chain_of_results() -> None:
    answer = multi.answer(
        [multi.result(ops.CREATE, buffer(b"/a")), multi.result(ops.CHECK, b""), multi.error(-101)]
    )
    assert Request(ops.MULTI).answer(answer) == [b"/a", None, Code.NONODE]


@pytest.mark.parametrize("op", [ops.CREATE_CONTAINER, ops.CREATE_TTL])
def test_containers_and_ttl_znodes_answer_as_create2(op: int) -> None:
    assert multi.result(op, b"x") == multi.result(ops.CREATE2, b"x")
