"""The rules of every request that changes something, one by one."""

from __future__ import annotations

import pytest

from znoded.storage import ops
from znoded.storage.acl import ALL, CREATE, DELETE, READ, WRITE, Acl
from znoded.storage.errors import Code
from znoded.storage.jute import LONG
from znoded.storage.quota import Excess
from znoded.storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES, transaction
from znoded.storage.znode import Stat

from .requests import OPEN, SUPER, Request
from .tree import SESSION, Tree

CREATED, DELETED, CHANGED = 1, 2, 3
MINE = Acl(ALL, "digest", "me:hash")
YOURS = Acl(ALL, "digest", "you:hash")
ONE_DAY = 24 * 3600 * 1000


@pytest.fixture
def tree() -> Tree:
    return Tree()


# create


def test_create_answers_the_path_and_create2_the_stat_too(tree: Tree) -> None:
    assert tree.create(b"/a", b"data") == b"/a"
    stat = Stat(3, 3, 1000, 1000, 0, 0, 0, 0, 2, 0, 3)
    assert tree.ask(Request(ops.CREATE2, b"/b", b"xy")) == (b"/b", stat)
    assert tree.stat(b"/b") == stat
    assert tree.data(b"/a") == b"data"


def test_no_data_and_empty_data_are_told_apart(tree: Tree) -> None:
    tree.create(b"/none", None)
    tree.create(b"/empty", b"")
    assert (tree.data(b"/none"), tree.data(b"/empty")) == (None, b"")


def test_a_parent_counts_its_children(tree: Tree) -> None:
    tree.create(b"/a")
    tree.create(b"/a/b")
    tree.create(b"/a/c")
    tree.delete(b"/a/b")
    stat = tree.stat(b"/a")
    assert (stat.num_children, stat.cversion, stat.pzxid, stat.mzxid) == (1, 3, 5, 2)
    assert tree.children(b"/a") == {b"c"}


def test_create_is_told_with_path_and_parent(tree: Tree) -> None:
    tree.create(b"/a")
    assert tree.writes.events == [(CREATED, b"/a", b"/", 0, 0)]
    tree.create(b"/a/b")
    assert tree.writes.events == [(CREATED, b"/a/b", b"/a", 0, 0)]


def test_what_is_there_cant_be_created(tree: Tree) -> None:
    tree.create(b"/a", b"first")
    assert tree.create(b"/a", b"second") == Code.NODEEXISTS
    assert tree.create(b"/") == Code.NODEEXISTS
    assert tree.data(b"/a") == b"first"


def test_a_znode_needs_its_parent(tree: Tree) -> None:
    assert tree.create(b"/a/b") == Code.NONODE


@pytest.mark.parametrize(
    "path", [b"", b"a", b"/a/", b"//", b"//a", b"/.", b"/a\0", b"/\xff", b"/\xed\xa0\x80"]
)
def test_bad_paths_are_refused(tree: Tree, path: bytes) -> None:
    tree.create(b"/a")
    assert tree.create(path) == Code.BADARGUMENTS


def test_unknown_flags_are_refused(tree: Tree) -> None:
    assert tree.create(b"/a", flags=7) == Code.BADARGUMENTS
    assert tree.create(b"/a", flags=-1) == Code.BADARGUMENTS


# sequences


def test_sequential_names_count_every_child_ever_made(tree: Tree) -> None:
    tree.create(b"/a")
    assert tree.create(b"/a/s-", flags=2) == b"/a/s-0000000000"
    tree.create(b"/a/other")
    tree.delete(b"/a/s-0000000000")
    assert tree.create(b"/a/s-", flags=3) == b"/a/s-0000000002"
    assert tree.create(b"/a/", flags=2) == b"/a/0000000003"


def test_a_sequence_goes_on_after_a_restart(tree: Tree) -> None:
    tree.create(b"/s-", flags=2)
    assert tree.restart().create(b"/s-", flags=2) == b"/s-0000000001"


# ephemerals and sessions


def test_an_ephemeral_has_its_session_for_an_owner(tree: Tree) -> None:
    tree.create(b"/e", flags=1)
    assert tree.stat(b"/e").ephemeral_owner == SESSION
    assert tree.state.ephemerals(SESSION) == [b"/e"]
    assert tree.state.ephemeral_count == 1


def test_an_ephemeral_has_no_children(tree: Tree) -> None:
    tree.create(b"/e", flags=1)
    assert tree.create(b"/e/a") == Code.NOCHILDRENFOREPHEMERALS


def test_closing_a_session_deletes_its_ephemerals_in_one_transaction(tree: Tree) -> None:
    tree.open(8)
    tree.create(b"/mine", flags=1)
    tree.create(b"/yours", flags=1, session=8)
    tree.create(b"/yours2", flags=1, session=8)
    tree.close(8)
    assert tree.events() == [(DELETED, b"/yours"), (DELETED, b"/yours2")]
    assert tree.stat(b"/").pzxid == tree.zxid
    assert tree.children(b"/") == {b"mine", b"zookeeper"}
    assert tree.state.sessions.keys() == {SESSION}
    assert tree.state.ephemeral_count == 1


def test_a_session_that_is_over_changes_nothing(tree: Tree) -> None:
    tree.close(SESSION)
    before = tree.everything()
    assert tree.create(b"/a") == Code.SESSIONEXPIRED
    assert tree.create(b"/a", session=99) == Code.SESSIONEXPIRED
    assert tree.everything() == before


def test_a_session_and_its_ephemerals_outlive_a_restart(tree: Tree) -> None:
    tree.create(b"/e", flags=1)
    session = tree.state.sessions[SESSION]
    after = tree.restart()
    assert after.state.sessions == {SESSION: session}
    after.close(SESSION)
    assert after.children(b"/") == {b"zookeeper"}


def expire(tree: Tree, session: int, generation: int) -> None:
    tree.apply(transaction(ops.CLOSE_SESSION, LONG.pack(generation) + LONG.pack(session)))


def test_a_leader_expires_sessions_and_a_deposed_one_does_not(tree: Tree) -> None:
    tree.create(b"/e", flags=1)
    tree.apply(transaction(ops.LEAD, LONG.pack(2)))
    expire(tree, SESSION, 1)
    assert SESSION in tree.state.sessions
    expire(tree, SESSION, 2)
    assert tree.state.sessions == {}
    assert tree.children(b"/") == {b"zookeeper"}


def test_a_generation_never_goes_back(tree: Tree) -> None:
    tree.apply(transaction(ops.LEAD, LONG.pack(5)))
    tree.apply(transaction(ops.LEAD, LONG.pack(3)))
    assert tree.state.generation == 5
    assert tree.restart().state.generation == 5


def test_what_became_of_sessions_gathers(tree: Tree) -> None:
    tree.writes.sessions.clear()
    tree.open(8)
    tree.close(SESSION)
    assert tree.writes.sessions == [(tree.state.sessions[8], 8), (None, SESSION)]


# containers and TTL znodes


def test_a_container_is_reaped_when_it_is_empty(tree: Tree) -> None:
    tree.create_container(b"/c")
    tree.create(b"/c/a")
    assert tree.state.mortals() == [b"/c"]
    assert tree.reap(b"/c") == Code.NOTEMPTY
    tree.delete(b"/c/a")
    assert tree.reap(b"/c") is None
    assert tree.events() == [(DELETED, b"/c")]
    assert tree.state.mortals() == []


def test_a_ttl_znode_is_reaped_when_its_time_is_over(tree: Tree) -> None:
    tree.create_ttl(b"/t", 50)
    tree.time += 40
    tree.set(b"/t", b"again")
    tree.time += 50
    assert tree.reap(b"/t") == Code.BADVERSION
    tree.time += 1
    assert tree.reap(b"/t") is None
    assert tree.state.mortals() == []


def test_nothing_else_is_reaped(tree: Tree) -> None:
    tree.create(b"/a", flags=4)  # a plain create with a container's flags makes a plain znode
    tree.create(b"/e", flags=1)
    tree.time += ONE_DAY
    assert [tree.reap(path) for path in (b"/a", b"/e")] == [Code.BADVERSION] * 2
    assert tree.reap(b"/none") == Code.NONODE
    assert tree.reap(b"/zookeeper") == Code.BADARGUMENTS


def test_a_client_sees_no_owner_of_either(tree: Tree) -> None:
    tree.create_container(b"/c")
    tree.create_ttl(b"/t", 50)
    assert [tree.stat(path).ephemeral_owner for path in (b"/c", b"/t")] == [0, 0]


def test_ttl_znodes_may_be_sequential(tree: Tree) -> None:
    answer = tree.create_ttl(b"/t-", 50, flags=6)
    assert isinstance(answer, tuple)
    assert answer[0] == b"/t-0000000000"


def test_a_ttl_is_1_ms_to_34_years(tree: Tree) -> None:
    assert [tree.create_ttl(b"/t", ttl) for ttl in (0, -1, 1 << 40)] == [Code.BADARGUMENTS] * 3
    assert isinstance(tree.create_ttl(b"/t", (1 << 40) - 1), tuple)


def test_a_ttl_and_flags_that_tell_of_one_belong_together(tree: Tree) -> None:
    before = tree.everything()
    for ttl in (-1, 50):
        assert tree.create_ttl(b"/t", ttl, flags=0) == Code.BADARGUMENTS
    assert tree.create(b"/t", flags=5) == Code.BADARGUMENTS
    assert tree.everything() == before


def test_ttl_znodes_need_extended_types(tree: Tree) -> None:
    tree.flags = ENFORCE_QUOTA
    assert tree.create_ttl(b"/t", 50) == Code.UNIMPLEMENTED
    assert isinstance(tree.create_container(b"/c"), tuple)


# delete


def test_delete_takes_the_znode_away(tree: Tree) -> None:
    tree.create(b"/a", b"data")
    before = tree.state.data_size
    assert tree.delete(b"/a") is None
    assert tree.writes.events == [(DELETED, b"/a", b"/", 0, 0)]
    assert tree.state.data_size == before - len(b"/a" + b"data")
    assert tree.delete(b"/a") == Code.NONODE


def test_delete_may_ask_for_a_version(tree: Tree) -> None:
    tree.create(b"/a")
    tree.set(b"/a", b"")
    assert tree.delete(b"/a", version=0) == Code.BADVERSION
    assert tree.delete(b"/a", version=1) is None


def test_a_znode_with_children_stays(tree: Tree) -> None:
    tree.create(b"/a")
    tree.create(b"/a/b")
    assert tree.delete(b"/a") == Code.NOTEMPTY
    assert tree.delete(b"/a", version=3) == Code.BADVERSION


@pytest.mark.parametrize("path", [b"/", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config", b"", b"a"])
def test_what_zookeeper_needs_stays(tree: Tree, path: bytes) -> None:
    assert tree.delete(path) == Code.BADARGUMENTS


# setData, setACL, check


def test_set_data_counts_versions(tree: Tree) -> None:
    tree.create(b"/a", b"1")
    tree.time += 5
    stat = tree.set(b"/a", b"two")
    assert stat == Stat(2, 3, 1000, 1005, 1, 0, 0, 0, 3, 0, 2) == tree.stat(b"/a")
    assert tree.data(b"/a") == b"two"
    assert tree.writes.events == [(CHANGED, b"/a", b"", 0, 0)]


def test_set_data_may_ask_for_a_version(tree: Tree) -> None:
    tree.create(b"/a", b"1")
    assert tree.set(b"/a", b"2", version=0) is not Code.BADVERSION
    assert tree.set(b"/a", b"3", version=0) == Code.BADVERSION
    assert tree.set(b"/b", b"") == Code.NONODE
    assert tree.set(b"/b/", b"") == Code.BADARGUMENTS
    assert tree.data(b"/a") == b"2"


def test_time_never_goes_back(tree: Tree) -> None:
    tree.create(b"/a")
    tree.time -= 500
    tree.set(b"/a", b"")
    assert tree.stat(b"/a").mtime == 1000


def test_set_acl_counts_its_own_versions_and_is_no_event(tree: Tree) -> None:
    tree.create(b"/a")
    stat = tree.set_acl(b"/a", MINE)
    assert isinstance(stat, Stat)
    assert (stat.version, stat.aversion, stat.mzxid) == (0, 1, 2)
    assert tree.acl(b"/a") == (MINE,)
    assert tree.events() == []
    assert tree.set_acl(b"/a", MINE, version=0) == Code.BADVERSION
    assert tree.set_acl(b"/none", MINE) == Code.NONODE
    assert tree.set_acl(b"/a/", MINE) == Code.BADARGUMENTS


def test_check_changes_nothing(tree: Tree) -> None:
    tree.create(b"/a")
    before = tree.everything()
    assert tree.check(b"/a", 0) is None
    assert tree.check(b"/a", -1) is None
    assert tree.check(b"/a", 1) == Code.BADVERSION
    assert tree.check(b"/b", -1) == Code.NONODE
    assert tree.everything() == before


def test_reconfig_is_disabled(tree: Tree) -> None:
    assert tree.ask(Request(ops.RECONFIG)) == Code.RECONFIGDISABLED


# ACLs


def test_each_permission_is_checked_where_it_counts(tree: Tree) -> None:
    def refused(perms: int, *, parent: int = ALL) -> list[str]:
        fresh = Tree()
        fresh.create(b"/p")
        fresh.create(b"/p/a", acl=(Acl(perms, "world", "anyone"), YOURS))
        fresh.set_acl(b"/p", Acl(parent, "world", "anyone"))
        answers = {
            "check": fresh.check(b"/p/a", -1),
            "setData": fresh.set(b"/p/a", b""),
            "create": fresh.create(b"/p/a/b"),
            "delete": fresh.delete(b"/p/a/b") if perms & CREATE else None,
            "create beside": fresh.create(b"/p/b"),
            "setACL": fresh.set_acl(b"/p/a", *OPEN),
            "delete it": fresh.delete(b"/p/a"),
        }
        return [name for name, answer in answers.items() if answer == Code.NOAUTH]

    assert refused(ALL) == []
    assert refused(ALL & ~READ) == ["check"]
    assert refused(ALL & ~WRITE) == ["setData"]
    assert refused(ALL & ~CREATE) == ["create"]
    assert refused(ALL & ~DELETE) == ["delete"]
    assert refused(ALL, parent=ALL & ~CREATE) == ["create beside"]
    assert refused(ALL, parent=ALL & ~DELETE) == ["delete it"]
    assert refused(READ | WRITE | CREATE | DELETE) == ["setACL"]


def test_super_may_do_all(tree: Tree) -> None:
    tree.create(b"/a", acl=(YOURS,))
    assert tree.set(b"/a", b"") == Code.NOAUTH
    tree.identities = SUPER
    assert isinstance(tree.set(b"/a", b""), Stat)


def test_auth_stands_for_who_asks(tree: Tree) -> None:
    tree.create(b"/a", acl=(Acl(READ, "auth", ""),))
    assert tree.acl(b"/a") == (Acl(READ, "digest", "me:hash"),)
    tree.identities = (("ip", "127.0.0.1"),)
    assert tree.create(b"/b", acl=(Acl(READ, "auth", ""),)) == Code.INVALIDACL


@pytest.mark.parametrize("acl", [(), (Acl(ALL, "nobody", "knows"),), (Acl(ALL, "world", "everyone"),)])
def test_an_invalid_acl_is_refused(tree: Tree, acl: tuple[Acl, ...]) -> None:
    tree.create(b"/a")
    assert tree.create(b"/b", acl=acl) == Code.INVALIDACL
    assert tree.set_acl(b"/a", *acl) == Code.INVALIDACL


def test_an_acl_of_a_failed_multi_is_not_taken_for_a_later_one(tree: Tree) -> None:
    tree.multi(Request(ops.CREATE, b"/a", acl=(MINE,)), Request(ops.CHECK, b"/none"))
    tree.create(b"/yours", acl=(YOURS,))
    tree.create(b"/mine", acl=(MINE,))
    assert (tree.acl(b"/yours"), tree.acl(b"/mine")) == ((YOURS,), (MINE,))


def test_an_acl_that_nobody_has_is_forgotten_as_by_a_restart(tree: Tree) -> None:
    tree.create(b"/a", acl=(MINE,))
    tree.delete(b"/a")
    after = tree.restart()
    for server in (tree, after):
        server.create(b"/b", acl=(YOURS,))
        server.create(b"/c", acl=(MINE,))
    assert tree.everything() == after.everything()


def test_the_acl_of_what_is_deleted_is_known_while_its_event_is_told(tree: Tree) -> None:
    tree.create(b"/a", acl=(MINE,))
    tree.delete(b"/a")
    [(_, _, _, key, _)] = tree.writes.events
    assert tree.state.acl(key) == [MINE]


# quotas


def limit(tree: Tree, path: bytes, count: int, size: int = -1) -> None:
    at = b"/zookeeper/quota" + path
    text = b"count=-1,bytes=-1=;byteHardLimit=%d;countHardLimit=%d" % (size, count)
    tree.create(at)
    tree.create(at + b"/zookeeper_limits", text)
    tree.create(at + b"/zookeeper_stats")


def used(tree: Tree, path: bytes) -> bytes | None:
    return tree.data(b"/zookeeper/quota" + path + b"/zookeeper_stats")


def test_usage_is_counted_from_what_is_there_and_goes_on_exactly(tree: Tree) -> None:
    tree.create(b"/a", b"12")
    tree.create(b"/a/b", b"3")
    limit(tree, b"/a", -1)
    assert used(tree, b"/a") == b"count=2,bytes=3"
    tree.create(b"/a/b/c", b"4567")
    tree.set(b"/a", b"")
    tree.create(b"/ab", b"not below")
    assert used(tree, b"/a") == b"count=3,bytes=5"
    tree.delete(b"/a/b/c")
    assert used(tree, b"/a") == b"count=2,bytes=1"
    assert used(tree.restart(), b"/a") == b"count=2,bytes=1"


def test_a_change_beyond_a_hard_limit_is_refused(tree: Tree) -> None:
    tree.create(b"/a")
    limit(tree, b"/a", 2, 3)
    assert tree.create(b"/a/b", b"1234") == Code.QUOTAEXCEEDED
    assert tree.create(b"/a/b", b"123") == b"/a/b"
    assert tree.create(b"/a/c") == Code.QUOTAEXCEEDED
    assert tree.set(b"/a/b", b"1234") == Code.QUOTAEXCEEDED
    assert used(tree, b"/a") == b"count=2,bytes=3"


def test_without_enforcement_a_limit_only_warns(tree: Tree) -> None:
    tree.create(b"/a")
    limit(tree, b"/a", 1)
    tree.flags = EXTENDED_TYPES
    assert tree.create(b"/a/b") == b"/a/b"
    assert tree.writes.excesses == [(b"/a", Excess("count", True, 2, 1))]


def test_a_quota_ends_with_its_limits(tree: Tree) -> None:
    tree.create(b"/a")
    limit(tree, b"/a", 1)
    tree.delete(b"/zookeeper/quota/a/zookeeper_limits")
    assert tree.create(b"/a/b") == b"/a/b"
    assert tree.state.quotas == set()


def test_limits_that_come_back_find_the_usage_counted_anew(tree: Tree) -> None:
    tree.create(b"/a")
    limit(tree, b"/a", -1)
    limits = b"/zookeeper/quota/a/zookeeper_limits"
    tree.delete(limits)
    tree.create(b"/a/b", b"12345")
    assert used(tree, b"/a") == b"count=1,bytes=0"
    tree.create(limits, b"count=5,bytes=-1")
    assert used(tree, b"/a") == b"count=2,bytes=5"


def test_a_quota_on_the_quotas_keeps_the_sums_right(tree: Tree) -> None:
    limit(tree, b"/zookeeper", -1)
    stats = b"/zookeeper/quota/zookeeper/zookeeper_stats"
    tree.set(stats, b"count=99999,bytes=99999")
    tree.create(stats + b"/below", b"x" * 99)
    tree.delete(stats + b"/below")
    assert tree.state.data_size == sum(len(path) + len(tree.data(path) or b"") for path in tree.paths())
    assert all(tree.stat(path).data_length == len(tree.data(path) or b"") for path in tree.paths())


# multi


def test_a_multi_does_all_in_order(tree: Tree) -> None:
    answer = tree.multi(
        Request(ops.CREATE, b"/a", b"1"),
        Request(ops.CREATE2, b"/a/b"),
        Request(ops.SET_DATA, b"/a", b"22", version=0),
        Request(ops.CHECK, b"/a", version=1),
        Request(ops.DELETE, b"/a/b"),
    )
    assert answer == [
        b"/a",
        (b"/a/b", Stat(2, 2, 1000, 1000, 0, 0, 0, 0, 0, 0, 2)),
        Stat(2, 2, 1000, 1000, 1, 1, 0, 0, 2, 1, 2),
        None,
        None,
    ]
    assert tree.events() == [(CREATED, b"/a"), (CREATED, b"/a/b"), (CHANGED, b"/a"), (DELETED, b"/a/b")]


def test_a_multi_that_fails_leaves_no_trace(tree: Tree) -> None:
    tree.create(b"/p", acl=(YOURS, Acl(ALL, "world", "anyone")))
    tree.create(b"/p/old", b"old", acl=(MINE,))
    limit(tree, b"/p", -1)
    tree.writes.excesses.clear()
    before = tree.everything()
    answer = tree.multi(
        Request(ops.CREATE, b"/p/new", b"data", (Acl(READ, "world", "anyone"),)),
        Request(ops.CREATE, b"/p/e", flags=1),
        Request(ops.CREATE_CONTAINER, b"/p/c", flags=4),
        Request(ops.CREATE_TTL, b"/p/t", flags=5, ttl=9),
        Request(ops.SET_DATA, b"/p/old", b"new data"),
        Request(ops.DELETE, b"/p/old"),
        Request(ops.CREATE, b"/p/old", acl=(YOURS,)),
        Request(ops.DELETE, b"/zookeeper/quota/p/zookeeper_limits"),
        Request(ops.CHECK, b"/p", version=77),
        Request(ops.CREATE, b"/p/after"),
    )
    assert answer == [0] * 8 + [Code.BADVERSION, Code.RUNTIMEINCONSISTENCY]
    assert tree.everything() == before
    assert tree.events() == []
    assert tree.create(b"/p/s", flags=2) == b"/p/s0000000001"


def test_an_empty_multi_is_one_too(tree: Tree) -> None:
    assert tree.multi() == []


def test_what_has_no_place_in_a_multi_refuses_all_of_it(tree: Tree) -> None:
    before = tree.everything()
    for stray in (Request(ops.SET_ACL, b"/"), Request(ops.EXISTS, b"/"), Request(ops.CREATE, b"/b", flags=9)):
        assert tree.multi(Request(ops.CREATE, b"/a"), stray) == Code.MARSHALLINGERROR
    assert tree.everything() == before
