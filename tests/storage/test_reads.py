"""What every request answers that changes nothing, and the watches that it sets."""

from __future__ import annotations

import struct

import pytest

from znoded.storage import ops
from znoded.storage.acl import ADMIN, ALL, READ, WRITE, Acl, Identity
from znoded.storage.errors import Code, ZkError
from znoded.storage.jute import LONG, Malformed, Reader
from znoded.storage.reads import Client, Reads
from znoded.storage.watches import Watches

from .requests import OPEN, SUPER, Request, buffer, vector
from .tree import ME, SESSION, Tree

CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4
ANYONE: tuple[Identity, ...] = (("ip", "10.0.0.9"),)
YOURS = Acl(ALL, "digest", "you:hash")


class Asker:
    """Asks, and hears events."""

    def __init__(
        self, reads: Reads, identities: tuple[Identity, ...] = ME, session_id: int = SESSION
    ) -> None:
        self.session_id = session_id
        self.identities = identities
        self.heard: list[tuple[int, bytes, int]] = []
        self._handlers = reads.handlers

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        self.heard.append((kind, path, zxid))

    def ask(self, op: int, body: bytes) -> bytes | Code:
        try:
            return self._handlers[op](self, body)
        except ZkError as error:
            return error.code

    def get(self, op: int, path: bytes, watch: bool = False) -> bytes | Code:
        return self.ask(op, buffer(path) + bytes([watch]))


class Served:
    """A tree, its watches, and clients."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.watches: Watches[Client] = Watches()
        self.reads = Reads(self.tree.state, self.watches)
        self.me = Asker(self.reads)
        self.anyone = Asker(self.reads, ANYONE)

    def fires(self, event: int, path: bytes, parent: bytes = b"/") -> list[tuple[int, bytes]]:
        """What the next such change tells me."""
        return [
            (kind, where) for who, kind, where in self.watches.trigger(event, path, parent) if who is self.me
        ]

    def stat(self, path: bytes) -> bytes:
        return struct.pack(">qqqqiiiqiiq", *self.tree.stat(path))


@pytest.fixture
def served() -> Served:
    served = Served()
    served.tree.create(b"/a", b"data")
    served.tree.create(b"/a/b", None)
    served.tree.create(b"/a/c")
    served.tree.create(b"/a/b/d", flags=1)
    served.tree.create(b"/shut", b"secret", acl=(YOURS,))
    return served


def names(answer: bytes | Code) -> tuple[list[bytes], bytes]:
    """The vector of strings, sorted, and what follows it."""
    assert isinstance(answer, bytes)
    reader = Reader(answer)
    found = sorted(reader.vector(reader.text))
    return found, answer[len(answer) - reader.left :]


# what they answer


def test_get_data_answers_data_and_stat(served: Served) -> None:
    assert served.me.get(ops.GET_DATA, b"/a") == buffer(b"data") + served.stat(b"/a")
    assert served.me.get(ops.GET_DATA, b"/a/b") == buffer(None) + served.stat(b"/a/b")


def test_exists_answers_the_stat(served: Served) -> None:
    assert served.me.get(ops.EXISTS, b"/a") == served.stat(b"/a")


def test_get_children_answers_names_and_get_children2_the_stat_too(served: Served) -> None:
    assert names(served.me.get(ops.GET_CHILDREN, b"/a")) == ([b"b", b"c"], b"")
    assert names(served.me.get(ops.GET_CHILDREN2, b"/a")) == ([b"b", b"c"], served.stat(b"/a"))
    assert names(served.me.get(ops.GET_CHILDREN, b"/")) == ([b"a", b"shut", b"zookeeper"], b"")
    assert names(served.me.get(ops.GET_CHILDREN, b"/a/c")) == ([], b"")


def test_get_all_children_number_counts_descendants(served: Served) -> None:
    def count(path: bytes) -> bytes | Code:
        return served.me.ask(ops.GET_ALL_CHILDREN_NUMBER, buffer(path))

    assert [count(path) for path in (b"/a", b"/a/b", b"/a/c")] == [struct.pack(">i", n) for n in (3, 1, 0)]
    assert count(b"/") == struct.pack(">i", len(served.tree.paths()) - 1)


def test_get_ephemerals_answers_those_of_the_asking_session(served: Served) -> None:
    served.tree.create(b"/e", flags=1)
    ask = served.me.ask
    assert names(ask(ops.GET_EPHEMERALS, buffer(b"/")))[0] == [b"/a/b/d", b"/e"]
    assert names(ask(ops.GET_EPHEMERALS, buffer(b"/a")))[0] == [b"/a/b/d"]
    assert names(Asker(served.reads, session_id=99).ask(ops.GET_EPHEMERALS, buffer(b"/")))[0] == []


def test_get_acl_answers_list_and_stat(served: Served) -> None:
    assert served.me.ask(ops.GET_ACL, buffer(b"/a")) == vector(OPEN) + served.stat(b"/a")


def test_get_acl_hides_hashes_from_all_but_admins(served: Served) -> None:
    acl = (Acl(ADMIN, "digest", "me:hash"), Acl(READ, "world", "anyone"))
    served.tree.create(b"/half", acl=acl)
    hidden = (Acl(ADMIN, "digest", "me:x"), Acl(READ, "world", "anyone"))
    assert served.me.ask(ops.GET_ACL, buffer(b"/half")) == vector(acl) + served.stat(b"/half")
    assert served.anyone.ask(ops.GET_ACL, buffer(b"/half")) == vector(hidden) + served.stat(b"/half")


def test_who_am_i_tells_schemes_and_users(served: Served) -> None:
    assert served.me.ask(ops.WHO_AM_I, b"") == b"\0\0\0\2" + b"".join(
        map(buffer, (b"ip", b"127.0.0.1", b"digest", b"me"))
    )


def test_multi_read_answers_each_for_itself_and_sets_no_watch(served: Served) -> None:
    chain = b"".join(
        struct.pack(">iBi", op, 0, -1) + buffer(path) + b"\1"
        for op, path in ((ops.GET_DATA, b"/a"), (ops.GET_DATA, b"/none"), (ops.GET_CHILDREN, b"/a/c"))
    )
    answer = served.me.ask(ops.MULTI_READ, chain + struct.pack(">iBi", -1, 1, -1))
    assert answer == b"".join(
        (
            struct.pack(">iBi", ops.GET_DATA, 0, 0) + buffer(b"data") + served.stat(b"/a"),
            struct.pack(">iBii", -1, 0, Code.NONODE, Code.NONODE),
            struct.pack(">iBi", ops.GET_CHILDREN, 0, 0) + b"\0\0\0\0",
            struct.pack(">iBi", -1, 1, -1),
        )
    )
    assert served.watches.count == 0


def test_a_write_in_a_multi_read_is_malformed(served: Served) -> None:
    with pytest.raises(Malformed):
        served.me.ask(ops.MULTI_READ, Request(ops.MULTI, parts=(Request(ops.CHECK, b"/a"),)).body())


def test_what_is_not_there_is_told(served: Served) -> None:
    asked = (
        ops.GET_DATA,
        ops.EXISTS,
        ops.GET_ACL,
        ops.GET_CHILDREN,
        ops.GET_CHILDREN2,
        ops.GET_ALL_CHILDREN_NUMBER,
    )
    assert [served.me.get(op, b"/none") for op in asked] == [Code.NONODE] * len(asked)


# permissions


def test_all_of_them_need_read(served: Served) -> None:
    asked = (
        ops.GET_DATA,
        ops.EXISTS,
        ops.GET_ACL,
        ops.GET_CHILDREN,
        ops.GET_CHILDREN2,
        ops.GET_ALL_CHILDREN_NUMBER,
    )
    assert [served.me.get(op, b"/shut") for op in asked] == [Code.NOAUTH] * len(asked)
    super_user = Asker(served.reads, SUPER)
    assert all(isinstance(super_user.get(op, b"/shut"), bytes) for op in asked)


def test_get_acl_is_for_readers_and_admins(served: Served) -> None:
    for perms, refused in ((READ, False), (ADMIN, False), (WRITE, True)):
        served.tree.identities = SUPER
        served.tree.set_acl(b"/shut", Acl(perms, "world", "anyone"))
        assert (served.me.ask(ops.GET_ACL, buffer(b"/shut")) == Code.NOAUTH) == refused


def test_a_refused_read_sets_no_watch(served: Served) -> None:
    for op in (ops.GET_DATA, ops.EXISTS, ops.GET_CHILDREN, ops.GET_CHILDREN2):
        served.me.get(op, b"/shut", watch=True)
    assert served.watches.count == 0


# watches


def test_get_data_and_exists_watch_the_znode(served: Served) -> None:
    for op in (ops.GET_DATA, ops.EXISTS):
        served.me.get(op, b"/a", watch=True)
        assert served.fires(CHANGED, b"/a") == [(CHANGED, b"/a")]
        assert served.fires(CHANGED, b"/a") == []


def test_exists_watches_for_what_is_not_there(served: Served) -> None:
    served.me.get(ops.EXISTS, b"/none", watch=True)
    assert served.fires(CREATED, b"/none") == [(CREATED, b"/none")]


def test_get_data_of_what_is_not_there_sets_no_watch(served: Served) -> None:
    served.me.get(ops.GET_DATA, b"/none", watch=True)
    served.me.get(ops.GET_CHILDREN, b"/none", watch=True)
    assert served.watches.count == 0


def test_get_children_watches_children(served: Served) -> None:
    for op in (ops.GET_CHILDREN, ops.GET_CHILDREN2):
        served.me.get(op, b"/a", watch=True)
        assert served.fires(CHANGED, b"/a") == []
        assert served.fires(CREATED, b"/a/x", b"/a") == [(CHILDREN, b"/a")]


def test_nothing_is_watched_unasked(served: Served) -> None:
    for op in (ops.GET_DATA, ops.EXISTS, ops.GET_CHILDREN, ops.GET_CHILDREN2):
        served.me.get(op, b"/a")
    assert served.watches.count == 0


def test_add_watch_knows_two_modes(served: Served) -> None:
    persistent, recursive = struct.pack(">i", 0), struct.pack(">i", 1)
    assert served.me.ask(ops.ADD_WATCH, buffer(b"/a") + persistent) == b"\0\0\0\0"
    assert served.fires(CREATED, b"/a/x", b"/a") == [(CHILDREN, b"/a")]
    served.me.ask(ops.ADD_WATCH, buffer(b"/a/b") + recursive)
    assert served.fires(CHANGED, b"/a/b/x", b"/a/b") == [(CHANGED, b"/a/b/x")]
    with pytest.raises(Malformed):
        served.me.ask(ops.ADD_WATCH, buffer(b"/a") + struct.pack(">i", 2))


def test_check_and_remove_watches_tell_whether_there_is_one(served: Served) -> None:
    data, child = (buffer(b"/a") + struct.pack(">i", kind) for kind in (2, 1))
    served.me.get(ops.GET_DATA, b"/a", watch=True)
    assert served.me.ask(ops.CHECK_WATCHES, data) == b""
    assert served.me.ask(ops.CHECK_WATCHES, child) == Code.NOWATCHER
    assert served.anyone.ask(ops.REMOVE_WATCHES, data) == Code.NOWATCHER
    assert served.me.ask(ops.REMOVE_WATCHES, data) == b""
    assert served.me.ask(ops.REMOVE_WATCHES, data) == Code.NOWATCHER
    assert served.watches.count == 0


# back on a new connection


def rearm(seen: int, *lists: list[bytes]) -> bytes:
    vectors = (struct.pack(">i", len(paths)) + b"".join(map(buffer, paths)) for paths in lists)
    return LONG.pack(seen) + b"".join(vectors)


def test_what_was_missed_is_told_at_once(served: Served) -> None:
    seen = served.tree.zxid
    served.tree.set(b"/a", b"new")
    served.tree.delete(b"/a/c")
    served.tree.create(b"/new")
    body = rearm(seen, [b"/a", b"/a/c"], [b"/new"], [b"/", b"/a", b"/a/c"])
    assert served.me.ask(ops.SET_WATCHES, body) == b""
    assert served.me.heard == [
        (CHANGED, b"/a", -1),
        (DELETED, b"/a/c", -1),
        (CREATED, b"/new", -1),
        (CHILDREN, b"/", -1),
        (CHILDREN, b"/a", -1),
        (DELETED, b"/a/c", -1),
    ]
    assert served.watches.count == 0


def test_what_was_not_missed_is_watched_again(served: Served) -> None:
    body = rearm(served.tree.zxid, [b"/a"], [b"/none"], [b"/a/b"])
    served.me.ask(ops.SET_WATCHES, body)
    assert served.me.heard == []
    assert served.fires(CHANGED, b"/a") == [(CHANGED, b"/a")]
    assert served.fires(CREATED, b"/none") == [(CREATED, b"/none")]
    assert served.fires(CREATED, b"/a/b/x", b"/a/b") == [(CHILDREN, b"/a/b")]


def test_set_watches2_knows_persistent_ones_too(served: Served) -> None:
    served.me.ask(ops.SET_WATCHES2, rearm(served.tree.zxid, [], [], [], [b"/a"], [b"/a/b"]))
    for _ in range(2):
        assert served.fires(CHANGED, b"/a") == [(CHANGED, b"/a")]
        assert served.fires(CHANGED, b"/a/b/d", b"/a/b") == [(CHANGED, b"/a/b/d")]
