"""Whatever bytes a request's body is made of, it is refused by a code or done whole: nothing else."""

from __future__ import annotations

import struct
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.storage import ops
from znoded.storage.acl import ALL, READ, Acl
from znoded.storage.errors import Code, ZkError
from znoded.storage.jute import LONG, Malformed
from znoded.storage.reads import Reads
from znoded.storage.session import Session, encode_identities
from znoded.storage.watches import Watches
from znoded.storage.writes import transaction

from .requests import Request, buffer
from .tree import ALL_FLAGS, ME, SESSION, Tree

WRITES: Final = [
    ops.CREATE,
    ops.CREATE2,
    ops.CREATE_CONTAINER,
    ops.CREATE_TTL,
    ops.DELETE,
    ops.DELETE_CONTAINER,
    ops.SET_DATA,
    ops.SET_ACL,
    ops.CHECK,
    ops.MULTI,
    ops.RECONFIG,
    ops.CREATE_SESSION,
    ops.LEAD,
]
MINE: Final = (Acl(ALL, "auth", ""), Acl(READ, "world", "anyone"))
PARTS: Final = (
    Request(ops.CREATE, b"/new", b"1", MINE),
    Request(ops.CREATE_TTL, b"/t", flags=5, ttl=9),
    Request(ops.SET_DATA, b"/a", b"22", version=0),
    Request(ops.CHECK, b"/a/b", version=0),
    Request(ops.DELETE, b"/a/b"),
)
CHAIN: Final = b"".join(
    struct.pack(">iBi", op, 0, -1) + buffer(path) + b"\1"
    for op, path in ((ops.GET_DATA, b"/a"), (ops.GET_CHILDREN, b"/none"))
) + struct.pack(">iBi", -1, 1, -1)
PATHS: Final = struct.pack(">ii", 1, 2) + b"/a"
VALID: Final[list[tuple[int, bytes]]] = [
    *((request.op, request.body()) for request in (*PARTS, Request(ops.MULTI, parts=PARTS))),
    (ops.CREATE2, Request(ops.CREATE2, b"/e", None, MINE, flags=3).body()),
    (ops.CREATE_CONTAINER, Request(ops.CREATE_CONTAINER, b"/c", flags=4).body()),
    (ops.SET_ACL, Request(ops.SET_ACL, b"/a", acl=MINE).body()),
    (ops.DELETE_CONTAINER, buffer(b"/c")),
    (ops.CREATE_SESSION, Session(9, 1000, bytes(16)).encode()),
    (ops.LEAD, LONG.pack(3)),
]
READS: Final[list[tuple[int, bytes]]] = [
    *((op, buffer(b"/a") + b"\1") for op in (ops.GET_DATA, ops.EXISTS, ops.GET_CHILDREN, ops.GET_CHILDREN2)),
    *((op, buffer(b"/a")) for op in (ops.GET_ACL, ops.GET_ALL_CHILDREN_NUMBER, ops.GET_EPHEMERALS)),
    *((op, buffer(b"/a") + b"\0\0\0\1") for op in (ops.ADD_WATCH, ops.CHECK_WATCHES, ops.REMOVE_WATCHES)),
    (ops.SET_WATCHES, LONG.pack(0) + PATHS * 3),
    (ops.SET_WATCHES2, LONG.pack(0) + PATHS * 5),
    (ops.MULTI_READ, CHAIN),
    (ops.WHO_AM_I, b""),
]
INT: Final = st.sampled_from([-(1 << 31), -5, -4, -2, -1, 0, 1, 2, 3, 4, 5, 8, 9, 1 << 16, (1 << 31) - 1])


class Asker:
    def __init__(self) -> None:
        self.session_id = SESSION
        self.identities = ME

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Nobody listens."""


@st.composite
def spoilt(draw: st.DrawFn, valid: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """A request whose body is cut, lengthened, or changed in a byte or a number."""
    op, body = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        change = draw(st.sampled_from(["cut", "byte", "number", "number", "insert"]))
        if change == "cut":
            body = body[:at]
        elif change == "byte":
            body = body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
        elif change == "number":
            body = body[:at] + struct.pack(">i", draw(INT)) + body[at + 4 :]
        else:
            body = body[:at] + draw(st.binary(max_size=6)) + body[at:]
    return op, body


def tree() -> Tree:
    tree = Tree()
    tree.create(b"/a", b"1", acl=MINE)
    tree.create(b"/a/b")
    tree.create_container(b"/c")
    return tree


def counted(tree: Tree) -> tuple[int, int, int]:
    """Znodes, their bytes and the ephemerals, from the rows."""
    paths = tree.paths()
    size = sum(len(path) + len(tree.data(path) or b"") for path in paths)
    return len(paths), size, sum(tree.stat(path).ephemeral_owner != 0 for path in paths)


def try_write(op: int, body: bytes) -> None:
    here = tree()
    before = here.everything()
    identities = encode_identities(ME)
    error, answer = here.apply(
        transaction(op, body, session=SESSION, time=1, flags=ALL_FLAGS, identities=identities)
    )
    assert Code(error) == error
    if error:
        assert answer == b""
        assert here.everything() == before
        assert here.events() == []
    assert counted(here) == (here.state.node_count, here.state.data_size, here.state.ephemeral_count)
    assert set(here.state.mortals()) <= set(here.paths())


@settings(max_examples=1000)
@given(spoilt(VALID))
def test_a_spoilt_write_is_refused_or_done_whole(request_: tuple[int, bytes]) -> None:
    try_write(*request_)


@settings(max_examples=500)
@given(st.sampled_from(WRITES), st.binary(max_size=40))
def test_a_write_of_any_bytes_is_refused_or_done_whole(op: int, body: bytes) -> None:
    try_write(op, body)


@pytest.mark.parametrize(
    ("op", "body"), VALID, ids=lambda value: str(value) if isinstance(value, int) else ""
)
def test_a_write_cut_anywhere_is_refused(op: int, body: bytes) -> None:
    for end in range(len(body)):
        here = tree()
        before = here.everything()
        error, _ = here.apply(transaction(op, body[:end], session=SESSION, flags=ALL_FLAGS))
        assert error == Code.MARSHALLINGERROR, f"cut at {end}"
        assert here.everything() == before


@settings(max_examples=1000)
@given(spoilt(READS) | st.tuples(st.sampled_from([op for op, _ in READS]), st.binary(max_size=40)))
def test_a_spoilt_read_answers_or_is_refused(request_: tuple[int, bytes]) -> None:
    op, body = request_
    here = tree()
    before = here.everything()
    handler = Reads(here.state, Watches()).handlers[op]
    try:
        answer = handler(Asker(), body)
    except (ZkError, Malformed, struct.error, IndexError, UnicodeDecodeError):
        pass  # what the server core answers as a code
    else:
        assert isinstance(answer, bytes)
    assert here.everything() == before


@given(st.sampled_from(VALID), st.binary(max_size=9))
def test_bytes_behind_a_request_are_no_part_of_it(valid: tuple[int, bytes], behind: bytes) -> None:
    op, body = valid
    if op in (ops.CREATE_SESSION, ops.LEAD):  # the server's own, of a fixed size
        return
    one, other = tree(), tree()
    answers = [
        here.apply(transaction(op, wire, session=SESSION, flags=ALL_FLAGS, identities=encode_identities(ME)))
        for here, wire in ((one, body), (other, body + behind))
    ]
    assert answers[0] == answers[1]
    assert one.everything() == other.everything()
