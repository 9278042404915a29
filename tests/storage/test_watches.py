"""Watches fire as ZooKeeper's do, and a table under any mix of use agrees with ZooKeeper's rules."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from znoded.storage.errors import Code, ZkError
from znoded.storage.paths import ancestors, split
from znoded.storage.watches import (
    CHILD,
    DATA,
    NODE_CHILDREN_CHANGED,
    NODE_CREATED,
    NODE_DATA_CHANGED,
    NODE_DELETED,
    PERSISTENT,
    RECURSIVE,
    Fired,
    Summary,
    Watches,
)

CHILD_TYPE: Final = 1
DATA_TYPE: Final = 2
ANY_TYPE: Final = 3
PERSISTENT_TYPE: Final = 4
RECURSIVE_TYPE: Final = 5


def watching(*watches: tuple[bytes, str, int]) -> Watches[str]:
    table: Watches[str] = Watches()
    for path, watcher, kind in watches:
        table.add(path, watcher, kind)
    return table


def created(table: Watches[str], path: bytes) -> list[Fired[str]]:
    return list(table.trigger(NODE_CREATED, path, split(path)[0]))


def deleted(table: Watches[str], path: bytes) -> list[Fired[str]]:
    return list(table.trigger(NODE_DELETED, path, split(path)[0]))


def changed(table: Watches[str], path: bytes) -> list[Fired[str]]:
    return list(table.trigger(NODE_DATA_CHANGED, path, split(path)[0]))


# one-shot watches


def test_a_data_watch_tells_of_the_next_change_only() -> None:
    table = watching((b"/a", "w", DATA))
    assert changed(table, b"/a") == [("w", NODE_DATA_CHANGED, b"/a")]
    assert changed(table, b"/a") == []


def test_a_data_watch_tells_of_creation_and_deletion() -> None:
    assert created(watching((b"/a", "w", DATA)), b"/a") == [("w", NODE_CREATED, b"/a")]
    assert deleted(watching((b"/a", "w", DATA)), b"/a") == [("w", NODE_DELETED, b"/a")]


def test_a_data_watch_is_silent_about_children() -> None:
    table = watching((b"/a", "w", DATA))
    assert created(table, b"/a/b") == []
    assert deleted(table, b"/a/b") == []


def test_a_child_watch_tells_of_the_next_child_made_or_gone() -> None:
    assert created(watching((b"/a", "w", CHILD)), b"/a/b") == [("w", NODE_CHILDREN_CHANGED, b"/a")]
    table = watching((b"/a", "w", CHILD))
    assert deleted(table, b"/a/b") == [("w", NODE_CHILDREN_CHANGED, b"/a")]
    assert deleted(table, b"/a/c") == []


def test_a_child_watch_is_silent_about_data_and_grandchildren() -> None:
    table = watching((b"/a", "w", CHILD))
    assert changed(table, b"/a") == []
    assert changed(table, b"/a/b") == []
    assert created(table, b"/a/b/c") == []


def test_a_child_watch_tells_of_its_nodes_deletion() -> None:
    assert deleted(watching((b"/a", "w", CHILD)), b"/a") == [("w", NODE_DELETED, b"/a")]


def test_the_root_is_a_parent_too() -> None:
    assert created(watching((b"/", "w", CHILD)), b"/a") == [("w", NODE_CHILDREN_CHANGED, b"/")]


def test_a_deletion_is_told_once_to_who_watches_data_and_children() -> None:
    table = watching((b"/a", "w", DATA), (b"/a", "w", CHILD))
    assert deleted(table, b"/a") == [("w", NODE_DELETED, b"/a")]
    assert table.count == 0


def test_the_node_is_told_of_before_its_parent() -> None:
    table = watching((b"/", "w", CHILD), (b"/a", "w", DATA), (b"/a", "v", CHILD))
    assert deleted(table, b"/a") == [
        ("w", NODE_DELETED, b"/a"),
        ("v", NODE_DELETED, b"/a"),
        ("w", NODE_CHILDREN_CHANGED, b"/"),
    ]


def test_watchers_are_told_in_the_order_they_came() -> None:
    names = [f"w{number}" for number in range(20)]
    table = watching(*((b"/a", name, DATA) for name in names))
    assert [watcher for watcher, _, _ in changed(table, b"/a")] == names


def test_watching_twice_is_watching_once() -> None:
    table = watching((b"/a", "w", DATA), (b"/a", "w", DATA))
    assert table.count == 1
    assert changed(table, b"/a") == [("w", NODE_DATA_CHANGED, b"/a")]


# watches that stay


def test_a_persistent_watch_tells_of_node_and_children_again_and_again() -> None:
    table = watching((b"/a", "w", PERSISTENT))
    for _ in range(2):
        assert created(table, b"/a") == [("w", NODE_CREATED, b"/a")]
        assert changed(table, b"/a") == [("w", NODE_DATA_CHANGED, b"/a")]
        assert created(table, b"/a/b") == [("w", NODE_CHILDREN_CHANGED, b"/a")]
        assert changed(table, b"/a/b") == []
        assert deleted(table, b"/a/b") == [("w", NODE_CHILDREN_CHANGED, b"/a")]
        assert deleted(table, b"/a") == [("w", NODE_DELETED, b"/a")]


def test_a_recursive_watch_tells_of_every_node_below_but_not_of_children() -> None:
    table = watching((b"/a", "w", RECURSIVE))
    for _ in range(2):
        for path in (b"/a", b"/a/b", b"/a/b/c"):
            assert created(table, path) == [("w", NODE_CREATED, path)]
            assert changed(table, path) == [("w", NODE_DATA_CHANGED, path)]
            assert deleted(table, path) == [("w", NODE_DELETED, path)]
    assert changed(table, b"/ab") == []
    assert changed(table, b"/") == []


def test_a_recursive_watch_on_the_root_tells_of_all() -> None:
    table = watching((b"/", "w", RECURSIVE))
    assert changed(table, b"/") == [("w", NODE_DATA_CHANGED, b"/")]
    assert created(table, b"/a/b") == [("w", NODE_CREATED, b"/a/b")]


def test_many_matching_watches_of_one_watcher_make_one_event() -> None:
    table = watching(
        (b"/", "w", RECURSIVE), (b"/a", "w", RECURSIVE), (b"/a", "w", PERSISTENT), (b"/a", "w", DATA)
    )
    assert changed(table, b"/a") == [("w", NODE_DATA_CHANGED, b"/a")]


def test_a_one_shot_watch_goes_and_the_persistent_one_beside_it_stays() -> None:
    table = watching(
        (b"/a", "w", DATA), (b"/a", "w", CHILD), (b"/a", "w", PERSISTENT), (b"/a", "w", RECURSIVE)
    )
    changed(table, b"/a")
    assert not table.contains(b"/a", "w", DATA_TYPE)
    assert table.contains(b"/a", "w", CHILD_TYPE)
    created(table, b"/a/b")
    assert not table.contains(b"/a", "w", CHILD_TYPE)
    assert table.contains(b"/a", "w", PERSISTENT_TYPE)
    assert table.contains(b"/a", "w", RECURSIVE_TYPE)


def test_a_recursive_watch_above_quiets_a_second_event_of_a_deletion() -> None:
    table = watching((b"/", "w", RECURSIVE), (b"/a", "w", CHILD))
    assert deleted(table, b"/a") == [("w", NODE_DELETED, b"/a")]
    assert not table.contains(b"/a", "w", CHILD_TYPE)


# taking watches away


@pytest.mark.parametrize(
    ("kind", "watcher_type"),
    [(CHILD, CHILD_TYPE), (DATA, DATA_TYPE), (PERSISTENT, PERSISTENT_TYPE), (RECURSIVE, RECURSIVE_TYPE)],
)
def test_each_kind_is_found_and_removed_by_its_type(kind: int, watcher_type: int) -> None:
    table = watching(*((b"/a", "w", each) for each in (CHILD, DATA, PERSISTENT, RECURSIVE)))
    assert table.contains(b"/a", "w", watcher_type)
    assert table.remove(b"/a", "w", watcher_type)
    assert not table.contains(b"/a", "w", watcher_type)
    assert not table.remove(b"/a", "w", watcher_type)
    table.add(b"/a", "w", kind)
    assert table.contains(b"/a", "w", watcher_type)


def test_any_removes_all_of_a_watcher_on_a_path() -> None:
    table = watching(
        *((b"/a", "w", each) for each in (CHILD, DATA, PERSISTENT, RECURSIVE)), (b"/a", "v", DATA)
    )
    assert table.remove(b"/a", "w", ANY_TYPE)
    assert not table.contains(b"/a", "w", ANY_TYPE)
    assert changed(table, b"/a") == [("v", NODE_DATA_CHANGED, b"/a")]


def test_nothing_is_found_where_nothing_is() -> None:
    table = watching((b"/a", "w", DATA))
    assert not table.contains(b"/b", "w", ANY_TYPE)
    assert not table.contains(b"/a", "v", ANY_TYPE)
    assert not table.remove(b"/b", "w", ANY_TYPE)
    assert not table.remove(b"/a", "v", ANY_TYPE)


@pytest.mark.parametrize("watcher_type", [0, 6, -1])
def test_an_unknown_type_is_refused(watcher_type: int) -> None:
    table = watching((b"/a", "w", DATA))
    for ask in (table.contains, table.remove):
        with pytest.raises(ZkError) as refusal:
            ask(b"/a", "w", watcher_type)
        assert refusal.value.code is Code.MARSHALLINGERROR


def test_a_dropped_watcher_is_told_nothing() -> None:
    table = watching(
        *((b"/a", "w", each) for each in (CHILD, DATA, PERSISTENT, RECURSIVE)), (b"/a", "v", DATA)
    )
    table.drop("w")
    table.drop("never came")
    assert changed(table, b"/a") == [("v", NODE_DATA_CHANGED, b"/a")]
    assert table.count == 0


# what the commands tell


def test_counts_are_zookeepers() -> None:
    table = watching(
        (b"/a", "w", DATA),
        (b"/b", "w", CHILD),
        (b"/c", "w", PERSISTENT),
        (b"/a", "v", RECURSIVE),
        (b"/a", "u", CHILD),
    )
    assert table.count == 6, "a persistent watch stands in both tables"
    assert table.summary() == Summary(watchers=2, paths=2, watches=3)


def test_watches_are_listed_path_by_path_and_watcher_by_watcher() -> None:
    table = watching((b"/a", "w", DATA), (b"/b", "w", PERSISTENT), (b"/b", "v", DATA), (b"/c", "v", CHILD))
    assert list(table.by_path()) == [(b"/a", "w"), (b"/b", "w"), (b"/b", "v")]
    assert list(table.by_watcher()) == [("w", b"/a"), ("w", b"/b"), ("v", b"/b")]


def test_who_a_change_may_be_told_to() -> None:
    table = watching((b"/", "top", RECURSIVE), (b"/a", "above", RECURSIVE), (b"/a/b", "w", DATA))
    table.add(b"/a/b", "kids", CHILD)
    table.add(b"/a/b", "w", CHILD)
    table.add(b"/a", "elsewhere", PERSISTENT)
    assert list(table.watchers(b"/a/b")) == [
        ("w", DATA | CHILD, b"/a/b"),
        ("kids", CHILD, b"/a/b"),
        ("above", RECURSIVE, b"/a"),
        ("top", RECURSIVE, b"/"),
    ]
    assert list(table.watchers(b"/")) == [("top", RECURSIVE, b"/")]


def test_what_one_watches() -> None:
    table = watching((b"/a", "w", DATA), (b"/b", "w", RECURSIVE), (b"/a", "other", CHILD))
    assert list(table.watched("w")) == [(b"/a", DATA), (b"/b", RECURSIVE)]
    assert list(table.watched("nobody")) == []


@pytest.mark.parametrize("dropped", [["w0"], [f"w{number}" for number in range(12)]])
def test_a_listing_goes_on_while_the_table_changes(dropped: list[str]) -> None:
    table = watching(*((b"/%d" % path, f"w{number}", DATA) for path in range(4) for number in range(12)))
    listings: list[Iterator[tuple[bytes | str, bytes | str]]] = [table.by_path(), table.by_watcher()]
    seen = [list(islice(listing, 3)) for listing in listings]
    for watcher in dropped:
        table.drop(watcher)
    changed(table, b"/3")
    table.add(b"/new", "new", DATA)
    for listing, before in zip(listings, seen, strict=True):
        for pair in listing:
            assert pair not in before
            assert b"/3" not in pair


# any mix of use, against ZooKeeper's rules

PATHS = st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"/a/c", b"/ab"])
WATCHERS = st.sampled_from([f"w{number}" for number in range(12)])
KINDS = st.sampled_from([DATA, CHILD, PERSISTENT, RECURSIVE])
TYPES: Final = {
    CHILD_TYPE: {CHILD},
    DATA_TYPE: {DATA},
    PERSISTENT_TYPE: {PERSISTENT},
    RECURSIVE_TYPE: {RECURSIVE},
}


class Model:
    """ZooKeeper's two tables as sets of (path, watcher, kind), searched from end to end."""

    def __init__(self) -> None:
        self.data: set[tuple[bytes, str, int]] = set()
        self.child: set[tuple[bytes, str, int]] = set()

    def add(self, path: bytes, watcher: str, kind: int) -> None:
        if kind != CHILD:
            self.data.add((path, watcher, kind))
        if kind in (CHILD, PERSISTENT):
            self.child.add((path, watcher, kind))

    def held(self, path: bytes, watcher: str) -> set[int]:
        return {kind for where, who, kind in self.data | self.child if (where, who) == (path, watcher)}

    def remove(self, path: bytes, watcher: str, kinds: set[int]) -> None:
        for table in (self.data, self.child):
            table -= {(path, watcher, kind) for kind in kinds}

    def drop(self, watcher: str) -> None:
        for table in (self.data, self.child):
            table -= {watch for watch in table if watch[1] == watcher}

    def trigger(self, event: int, path: bytes) -> list[set[Fired[str]]]:
        """The node's events, then the parent's; no order among watchers."""
        above = ancestors(path)
        woken = {
            who for where, who, kind in self.data if where == path or (where in above and kind == RECURSIVE)
        }
        self.data -= {(path, who, DATA) for who in woken}
        if event == NODE_DELETED:
            woken |= self._children(path)
        fired: list[set[Fired[str]]] = [{(who, event, path) for who in woken}]
        if event != NODE_DATA_CHANGED:
            parent = split(path)[0]
            fired.append({(who, NODE_CHILDREN_CHANGED, parent) for who in self._children(parent)})
        return fired

    def _children(self, path: bytes) -> set[str]:
        woken = {who for where, who, _ in self.child if where == path}
        self.child -= {(path, who, CHILD) for who in woken}
        return woken


class WatchesMachine(RuleBasedStateMachine):
    """Does the same to a table and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Watches[str] = Watches()
        self.model = Model()

    @rule(path=PATHS, watchers=st.sets(WATCHERS, min_size=1), kind=KINDS)
    def add(self, path: bytes, watchers: set[str], kind: int) -> None:
        for watcher in sorted(watchers):
            self.table.add(bytes(bytearray(path)), watcher, kind)
            self.model.add(path, watcher, kind)

    @rule(path=PATHS, watcher=WATCHERS, watcher_type=st.sampled_from(sorted(TYPES)))
    def remove(self, path: bytes, watcher: str, watcher_type: int) -> None:
        kinds = TYPES[watcher_type]
        assert self.table.remove(path, watcher, watcher_type) is bool(self.model.held(path, watcher) & kinds)
        self.model.remove(path, watcher, kinds)

    @rule(path=PATHS, watcher=WATCHERS)
    def remove_any(self, path: bytes, watcher: str) -> None:
        kinds = self.model.held(path, watcher)
        assert self.table.remove(path, watcher, ANY_TYPE) is bool(kinds)
        self.model.remove(path, watcher, kinds)

    @rule(watcher=WATCHERS)
    def drop(self, watcher: str) -> None:
        self.table.drop(watcher)
        self.model.drop(watcher)

    @rule(event=st.sampled_from([NODE_CREATED, NODE_DELETED, NODE_DATA_CHANGED]), path=PATHS)
    def trigger(self, event: int, path: bytes) -> None:
        if path == b"/" and event != NODE_DATA_CHANGED:
            return
        fired = list(self.table.trigger(event, path, split(path)[0]))
        for expected in self.model.trigger(event, path):
            part, fired = fired[: len(expected)], fired[len(expected) :]
            assert set(part) == expected
        assert fired == []

    @rule(path=PATHS, watcher=WATCHERS, watcher_type=st.sampled_from(sorted(TYPES)))
    def contains(self, path: bytes, watcher: str, watcher_type: int) -> None:
        held = self.model.held(path, watcher)
        assert self.table.contains(path, watcher, watcher_type) is bool(held & TYPES[watcher_type])
        assert self.table.contains(path, watcher, ANY_TYPE) is bool(held)

    @invariant()
    def counts_and_listings_agree(self) -> None:
        data = {(path, who) for path, who, _ in self.model.data}
        child = {(path, who) for path, who, _ in self.model.child}
        assert self.table.count == len(data) + len(child)
        assert self.table.summary() == Summary(
            len({who for _, who in data}), len({path for path, _ in data}), len(data)
        )
        by_path, by_watcher = list(self.table.by_path()), list(self.table.by_watcher())
        assert sorted(by_path) == sorted((path, who) for who, path in by_watcher) == sorted(data)


WatchesMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyMix = WatchesMachine.TestCase
