"""The WebSocket's vocabulary held against ZooKeeper's wire: each says the same in its own way."""

from __future__ import annotations

import struct
from typing import Final

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.api.connection import EVENTS
from znoded.api.websocket import answers, messages
from znoded.api.websocket.answers import ERRORS, answer
from znoded.api.websocket.messages import WATCHES, decode, xid_of
from znoded.storage import acl as acls
from znoded.storage import multi, ops
from znoded.storage.acl import Acl
from znoded.storage.errors import Code
from znoded.storage.jute import Malformed, pack_buffer, pack_texts
from znoded.storage.session import Session, encode_identities
from znoded.storage.znode import STAT, STAT_NAMES

from ...storage.requests import Request

INTS: Final = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS: Final = st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=20)
DATA: Final = st.none() | st.binary(max_size=300)
ACL: Final = st.lists(st.builds(Acl, INTS, TEXTS, TEXTS), max_size=3)
STATS: Final = st.tuples(LONGS, LONGS, LONGS, LONGS, INTS, INTS, INTS, LONGS, INTS, INTS, LONGS)
XIDS: Final = st.integers(0, (1 << 31) - 1)

# What a CBOR decoder may be given, and some that nearly is a request.
LEAVES: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
)
ANYTHING: Final = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
NAMES: Final = st.sampled_from([*messages._REQUESTS, "check", "got"])
FIELDS: Final = st.sampled_from(
    ["path", "watch", "data", "version", "acl", "ttl", "ops", "kind", "seen", "timeout", "session"]
)
NEARLY: Final = st.lists(
    st.tuples(st.integers(0, 5) | LEAVES, NAMES | LEAVES, st.dictionaries(FIELDS, ANYTHING, max_size=4)),
    max_size=3,
)


def request(name: str, **arguments: object) -> tuple[int, bytes]:
    """(op, body) of a request as it is written in CBOR."""
    (found,) = decode(cbor2.dumps([[7, name, arguments]]))
    assert xid_of(found.number) == 7
    return found.op, found.body


def told(op: int, body: bytes, error: int = 0) -> object:
    """The result that an answer on ZooKeeper's wire becomes."""
    number = decode(cbor2.dumps([[7, "ping"]]))[0].number - ops.PING + op
    xid, zxid, code, result = cbor2.loads(answer(number, 5, error, body))
    assert (xid, zxid, code) == (7, 5, error)
    return result


def in_maps(acl: list[Acl]) -> list[dict[str, object]]:
    return [{"perms": perms, "scheme": scheme, "id": id} for perms, scheme, id in acl]


def stat_map(stat: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(STAT_NAMES, stat, strict=True))


class TestHostileInput:
    @given(st.binary(max_size=200))
    def test_any_bytes(self, message: bytes) -> None:
        try:
            assert isinstance(decode(message), list)
        except Malformed as error:
            assert str(error)

    @given(st.binary(max_size=60), st.integers(0, 40))
    def test_any_bytes_in_a_request(self, noise: bytes, at: int) -> None:
        whole = cbor2.dumps([[1, "multi", {"ops": [["set", {"path": "/a", "data": b"x"}]]}]])
        try:
            assert isinstance(decode(whole[:at] + noise + whole[at + len(noise) :]), list)
        except Malformed as error:
            assert str(error)

    @given(NEARLY)
    def test_anything_that_looks_like_requests(self, message: list[object]) -> None:
        try:
            assert len(decode(cbor2.dumps(message))) == len(message)
        except Malformed as error:
            assert str(error)

    @pytest.mark.parametrize("tag", [*range(40), 100, 256, 258, 260, 1004, 43000, 55799, 1 << 60])
    @pytest.mark.parametrize("value", [b"\x00", b"\x61a", b"\x41a", b"\x81\x00", b"\xa0"])
    def test_no_tag_is_understood(self, tag: int, value: bytes) -> None:
        head = b"\xdb" + tag.to_bytes(8)
        with pytest.raises(Malformed):
            decode(b"\x81\x83\x01\x63get\xa1\x64path" + head + value)

    @pytest.mark.parametrize(
        ("name", "arguments", "complaint"),
        [
            ("get", {}, "get: path must be text"),
            ("get", {"path": "/", "wacth": True}, "get: it has no 'wacth'"),
            ("get", {"path": "/", "watch": 1}, "get: watch must be true or false"),
            ("set", {"path": "/"}, "set: data must be a byte string or null"),
            ("set", {"path": "/", "data": "x"}, "set: data must be a byte string or null"),
            ("delete", {"path": "/", "version": 1 << 31}, "delete: version must be a number of 32 bits"),
            ("delete", {"path": "/", "version": True}, "delete: version must be a number"),
            ("create", {"path": "/", "acl": None}, "create: acl must be an array"),
            ("create", {"path": "/", "acl": [1]}, "create: an entry of an acl is a map"),
            ("create", {"path": "/", "ephemeral": True, "ttl": 1}, "create: only one of ephemeral"),
            ("addWatch", {"path": "/", "mode": 1}, "addWatch: it has no 'mode'"),
            ("removeWatches", {"path": "/", "kind": "all"}, "removeWatches: kind must be one of"),
            ("multi", {"ops": [["get", {"path": "/"}]]}, "multi: unknown request 'get'"),
            ("multi", {"ops": [["set"]]}, "multi: an operation is an array"),
            (
                "multiRead",
                {"ops": [["get", {"path": "/", "watch": True}]]},
                "multiRead: get: it has no 'watch'",
            ),
            ("got", {}, "unknown request 'got'"),
        ],
    )
    def test_is_told_what_is_wrong(self, name: str, arguments: dict[str, object], complaint: str) -> None:
        with pytest.raises(Malformed) as error:
            request(name, **arguments)
        assert complaint in str(error.value)


class TestRequests:
    @given(XIDS)
    def test_keep_their_xid(self, xid: int) -> None:
        assert xid_of(decode(cbor2.dumps([[xid, "ping"]]))[0].number) == xid

    @given(TEXTS, DATA, ACL, st.integers(0, 3))
    def test_create(self, path: str, data: bytes | None, acl: list[Acl], flags: int) -> None:
        wanted = Request(ops.CREATE2, path.encode(), data, tuple(acl), flags)
        found = request(
            "create", path=path, data=data, acl=in_maps(acl), ephemeral=bool(flags & 1), sequential=flags > 1
        )
        assert found == (ops.CREATE2, wanted.body())

    def test_create_of_other_kinds(self) -> None:
        container = Request(ops.CREATE_CONTAINER, b"/a", flags=4)
        assert request("create", path="/a", container=True) == (container.op, container.body())
        for sequential in (False, True):
            ttl = Request(ops.CREATE_TTL, b"/a", flags=5 + sequential, ttl=99)
            assert request("create", path="/a", ttl=99, sequential=sequential) == (ttl.op, ttl.body())

    @given(TEXTS, DATA, INTS, ACL)
    def test_changes(self, path: str, data: bytes | None, version: int, acl: list[Acl]) -> None:
        where = path.encode()
        change = Request(ops.SET_DATA, where, data, version=version)
        delete = Request(ops.DELETE, where, version=version)
        rights = Request(ops.SET_ACL, where, acl=tuple(acl), version=version)
        check = Request(ops.CHECK, where, version=version)
        assert request("set", path=path, data=data, version=version) == (change.op, change.body())
        assert request("delete", path=path, version=version) == (delete.op, delete.body())
        assert request("setACL", path=path, acl=in_maps(acl), version=version) == (rights.op, rights.body())
        parts: list[object] = [
            ["set", {"path": path, "data": data, "version": version}],
            ["delete", {"path": path, "version": version}],
            ["check", {"path": path, "version": version}],
        ]
        chain = Request(ops.MULTI, parts=(change, delete, check))
        assert request("multi", ops=parts) == (chain.op, chain.body())

    @given(TEXTS, st.booleans())
    def test_reads(self, path: str, watch: bool) -> None:
        wire = pack_buffer(path.encode())
        for name, op in (("get", ops.GET_DATA), ("exists", ops.EXISTS), ("children", ops.GET_CHILDREN2)):
            assert request(name, path=path, watch=watch) == (op, wire + bytes([watch]))
        for name, op in (
            ("getACL", ops.GET_ACL),
            ("sync", ops.SYNC),
            ("getEphemerals", ops.GET_EPHEMERALS),
            ("getAllChildrenNumber", ops.GET_ALL_CHILDREN_NUMBER),
        ):
            assert request(name, path=path) == (op, wire)
        op, body = request("multiRead", ops=[["get", {"path": path}], ["children", {"path": path}]])
        assert op == ops.MULTI_READ
        assert multi.split(body) == [(ops.GET_DATA, wire + b"\0"), (ops.GET_CHILDREN, wire + b"\0")]

    def test_watches(self) -> None:
        for recursive in (False, True):
            wire = pack_buffer(b"/a") + struct.pack(">i", recursive)
            assert request("addWatch", path="/a", recursive=recursive) == (ops.ADD_WATCH, wire)
        for kind, number in WATCHES.items():
            wire = pack_buffer(b"/a") + struct.pack(">i", number)
            assert request("checkWatches", path="/a", kind=kind) == (ops.CHECK_WATCHES, wire)
            assert request("removeWatches", path="/a", kind=kind) == (ops.REMOVE_WATCHES, wire)
        wire = struct.pack(">q", 9) + b"".join(
            pack_texts(paths) for paths in ([b"/d"], [b"/e"], [], [], [b"/r"])
        )
        found = request("setWatches", seen=9, data=["/d"], exists=["/e"], recursive=["/r"])
        assert found == (ops.SET_WATCHES2, wire)

    def test_sessions(self) -> None:
        wire = struct.pack(">iqiq", 0, 5, 4000, -2) + pack_buffer(b"pw")
        found = request("connect", seen=5, timeout=4000, session=-2, password=b"pw")
        assert found == (ops.CREATE_SESSION, wire)
        assert request("auth", scheme="digest", credentials=b"a:b") == (
            ops.AUTH,
            struct.pack(">i", 0) + pack_buffer(b"digest") + pack_buffer(b"a:b"),
        )
        for name, op in (("close", ops.CLOSE_SESSION), ("ping", ops.PING), ("whoAmI", ops.WHO_AM_I)):
            assert request(name) == (op, b"")


class TestAnswers:
    @given(DATA, STATS)
    def test_data_and_stat(self, data: bytes | None, stat: tuple[int, ...]) -> None:
        wire = STAT.pack(*stat)
        for op in (ops.GET_DATA, ops.RECONFIG):
            assert told(op, pack_buffer(data) + wire) == {"data": data, "stat": stat_map(stat)}
        for op in (ops.EXISTS, ops.SET_DATA, ops.SET_ACL):
            assert told(op, wire) == {"stat": stat_map(stat)}

    @given(TEXTS, STATS)
    def test_path_and_stat(self, path: str, stat: tuple[int, ...]) -> None:
        wire = pack_buffer(path.encode())
        for op in (ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL):
            assert told(op, wire + STAT.pack(*stat)) == {"path": path, "stat": stat_map(stat)}
        assert told(ops.SYNC, wire) == {"path": path}

    @given(st.lists(TEXTS, max_size=30), ACL, STATS)
    def test_lists(self, texts: list[str], acl: list[Acl], stat: tuple[int, ...]) -> None:
        names, wire, fields = pack_texts([text.encode() for text in texts]), STAT.pack(*stat), stat_map(stat)
        assert told(ops.GET_CHILDREN2, names + wire) == {"children": texts, "stat": fields}
        assert told(ops.GET_EPHEMERALS, names) == {"paths": texts}
        assert told(ops.GET_ACL, acls.encode(acl) + wire) == {"acl": in_maps(acl), "stat": fields}
        identities = encode_identities(tuple((entry.scheme, entry.id) for entry in acl))
        shown = [{"scheme": entry.scheme, "id": entry.id} for entry in acl]
        assert told(ops.WHO_AM_I, identities) == {"identities": shown}

    @given(DATA, STATS, st.sampled_from([*ERRORS]))
    def test_of_a_multi(self, data: bytes | None, stat: tuple[int, ...], code: int) -> None:
        wire, fields = STAT.pack(*stat), stat_map(stat)
        body = multi.answer(
            [
                multi.result(ops.GET_DATA, pack_buffer(data) + wire),
                multi.result(ops.CREATE_TTL, pack_buffer(b"/a") + wire),
                multi.result(ops.GET_CHILDREN, pack_texts([b"a"])),
                multi.result(ops.DELETE, b""),
                multi.error(0),
                multi.error(code),
            ]
        )
        for op in (ops.MULTI, ops.MULTI_READ):
            assert told(op, body) == {
                "results": [
                    [0, {"data": data, "stat": fields}],
                    [0, {"path": "/a", "stat": fields}],
                    [0, {"children": ["a"]}],
                    [0, {}],
                    [0, None],
                    [code, ERRORS[code]],
                ]
            }

    def test_of_what_has_nothing_to_tell(self) -> None:
        for op in (ops.DELETE, ops.PING, ops.SET_WATCHES2, ops.AUTH, ops.CLOSE_SESSION, ops.REMOVE_WATCHES):
            assert told(op, b"") == {}
        assert told(ops.ADD_WATCH, struct.pack(">i", 0)) == {}
        assert told(ops.GET_ALL_CHILDREN_NUMBER, struct.pack(">i", 5)) == {"number": 5}

    def test_every_error_has_its_name(self) -> None:
        for code in Code:
            if code:
                name = told(ops.GET_DATA, b"", code)
                assert isinstance(name, str) and name.upper().startswith(code.name[:20].upper())

    @given(XIDS, LONGS, st.integers(1, 1 << 30), st.binary(min_size=16, max_size=16))
    def test_to_connect(self, xid: int, session: int, timeout: int, password: bytes) -> None:
        (found,) = decode(cbor2.dumps([[xid, "connect", {"timeout": 1}]]))
        wire = answers.connected(found.number, Session(session, timeout, password))
        told = {"session": session, "timeout": timeout, "password": password}
        assert cbor2.loads(wire) == [xid, 0, 0, told]

    @given(TEXTS, st.integers(-1, 1 << 60))
    def test_events(self, path: str, zxid: int) -> None:
        for kind, name in EVENTS.items():
            assert cbor2.loads(answers.event(kind, path.encode(), zxid)) == [None, max(zxid, 0), name, path]

    @pytest.mark.parametrize("count", [0, 1, 23, 24, 70_000])
    def test_are_joined_in_an_array(self, count: int) -> None:
        assert cbor2.loads(answers.array_head(count) + b"\0" * count) == [0] * count
