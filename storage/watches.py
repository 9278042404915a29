"""The watch table of one server: who is told of which change, by ZooKeeper's rules.

ZooKeeper keeps two tables (DataTree.dataWatches and childWatches), and so does this; what a watcher holds
on a path is one small integer, whatever the mix. A path with one watcher costs no container, and few cost
a tuple: most watched paths have one or two, and a million of them must stay small.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from .errors import Code, ZkError
from .paths import ancestors

NODE_CREATED: Final = 1
NODE_DELETED: Final = 2
NODE_DATA_CHANGED: Final = 3
NODE_CHILDREN_CHANGED: Final = 4
"""Events, by the protocol's numbers (Watcher.Event.EventType)."""

DATA: Final = 1
CHILD: Final = 2
PERSISTENT: Final = 4
RECURSIVE: Final = 8
"""Kinds of watch. exists and getData both set DATA, getChildren sets CHILD."""

ADD_MODES: Final = {0: PERSISTENT, 1: RECURSIVE}
"""addWatch's mode → kind."""

_REMOVABLE: Final = {1: CHILD, 2: DATA, 3: DATA | CHILD | PERSISTENT | RECURSIVE, 4: PERSISTENT, 5: RECURSIVE}
_IN_DATA: Final = DATA | PERSISTENT | RECURSIVE
_IN_CHILD: Final = CHILD | PERSISTENT
_FEW: Final = 8
"""Up to so many watchers of a path are a tuple: leaving costs a copy, so a crowd needs a dict."""

W = TypeVar("W", bound=Hashable)
Fired: TypeAlias = tuple[W, int, bytes]
"""(watcher, event, path): path is the changed node's, or its parent's for NODE_CHILDREN_CHANGED."""


class Summary(NamedTuple):
    """`wchs`: connections that watch, paths they watch, and how many watches that makes."""

    watchers: int
    paths: int
    watches: int


class _Own(Generic[W]):
    """One watcher's watches, path → kinds; data counts the paths that it has in the data table."""

    __slots__ = ("data", "paths", "watcher")

    def __init__(self, watcher: W) -> None:
        self.watcher = watcher
        self.paths: dict[bytes, int] = {}
        self.data = 0


class _Crowd(dict[_Own[W], None]):
    """Many watchers of one path, and the path object that they share."""

    __slots__ = ("path",)

    def __init__(self, members: Sequence[_Own[W]], path: bytes) -> None:
        super().__init__(dict.fromkeys(members))
        self.path = path


_Held: TypeAlias = _Own[W] | tuple[_Own[W], ...] | _Crowd[W]


class _Table(dict[bytes, _Held[W]]):
    """path → its watchers; pairs counts (path, watcher)."""

    __slots__ = ("pairs",)

    def __init__(self) -> None:
        super().__init__()
        self.pairs = 0

    def at(self, path: bytes) -> Sequence[_Own[W]]:
        """The watchers of path, in the order they came; stays as it is while the table changes."""
        held = self.get(path)
        if held is None:
            return ()
        if isinstance(held, _Own):
            return (held,)
        return held if isinstance(held, tuple) else tuple(held)

    def join(self, path: bytes, own: _Own[W]) -> None:
        """Add a watcher that is not there."""
        self.pairs += 1
        held = self.get(path)
        if held is None:
            self[path] = own
        elif isinstance(held, _Own):
            self[path] = (held, own)
        elif isinstance(held, tuple):
            members = (*held, own)
            self[path] = members if len(members) <= _FEW else _Crowd(members, path)
        else:
            held[own] = None

    def leave(self, path: bytes, own: _Own[W]) -> None:
        """Take out a watcher that is there."""
        self.pairs -= 1
        held = self[path]
        if isinstance(held, _Own):
            del self[path]
        elif isinstance(held, tuple):
            rest = tuple(other for other in held if other is not own)
            self[path] = rest if len(rest) > 1 else rest[0]
        else:
            del held[own]
            if len(held) <= _FEW // 2:  # not at once below _FEW: a crowd that breathes is not copied
                self[path] = tuple(held)


class Watches(Generic[W]):
    """Every watch that clients of this server hold. A watcher is whatever stands for a connection; one
    that is closed must be dropped, and must not add again."""

    __slots__ = ("_child", "_data", "_recursive", "_tables", "owners")

    def __init__(self) -> None:
        self.owners: dict[W, _Own[W]] = {}
        """Those who watch anything; empty, there is nobody to tell."""
        self._data: _Table[W] = _Table()
        self._child: _Table[W] = _Table()
        self._recursive: _Table[W] = _Table()
        self._tables = ((self._data, _IN_DATA), (self._child, _IN_CHILD), (self._recursive, RECURSIVE))

    def add(self, path: bytes, watcher: W, kind: int) -> None:
        """Set a watch of one kind. Different kinds of one watcher on a path stand side by side."""
        own = self.owners.get(watcher)
        if own is None:
            own = self.owners[watcher] = _Own(watcher)
        old = own.paths.get(path, 0)
        if not old & kind:
            self._set(own, self._shared(path), old, old | kind)

    def remove(self, path: bytes, watcher: W, watcher_type: int) -> bool:
        """Take away what removeWatches names (WatcherType: 1 child, 2 data, 3 any, 4 persistent,
        5 persistent recursive); whether there was any. MARSHALLINGERROR for another type."""
        kinds = _removable(watcher_type)
        own = self.owners.get(watcher)
        old = 0 if own is None else own.paths.get(path, 0)
        if own is None or not old & kinds:
            return False
        self._set(own, path, old, old & ~kinds)
        return True

    def contains(self, path: bytes, watcher: W, watcher_type: int) -> bool:
        """Whether there is a watch that checkWatches names; types and error as for remove."""
        kinds = _removable(watcher_type)
        own = self.owners.get(watcher)
        return own is not None and own.paths.get(path, 0) & kinds != 0

    def drop(self, watcher: W) -> None:
        """Forget a watcher: its connection is closed."""
        own = self.owners.pop(watcher, None)
        if own is None:
            return
        for path, kinds in own.paths.items():
            for table, mask in self._tables:
                if kinds & mask:
                    table.leave(path, own)
        own.paths.clear()  # a by_watcher() under way must not tell them any more

    def trigger(self, event: int, path: bytes, parent: bytes) -> Sequence[Fired[W]]:
        """What a change (NODE_CREATED, NODE_DELETED, NODE_DATA_CHANGED) sends, in order; one-shot watches
        that fire are gone. The parent's NODE_CHILDREN_CHANGED comes with it, never ask for it.
        parent: path's parent, which whoever changed the tree has at hand; a change of data needs none.

        No watcher gets one event twice, however many of its watches match (DataTree.createNode,
        deleteNode, setData; WatchManager.triggerWatch).
        """
        # Nearly every call ends here. No comprehension: its closure alone would double the cost.
        recursive = self._recursive
        if path not in self._data and (not recursive or recursive.keys().isdisjoint(ancestors(path))):
            if event == NODE_DATA_CHANGED:
                return ()
            child = self._child
            if parent not in child and (event == NODE_CREATED or path not in child):
                return ()
        return self._fired(event, path, parent)

    @property
    def count(self) -> int:
        """Watches as `mntr` counts them: (path, watcher) pairs of both tables, a persistent one twice."""
        return self._data.pairs + self._child.pairs

    def summary(self) -> Summary:
        """What `wchs` tells; like it, of the data table alone. Cost: the number of watchers."""
        watchers = sum(1 for own in self.owners.values() if own.data)
        return Summary(watchers, len(self._data), self._data.pairs)

    def by_path(self) -> Iterator[tuple[bytes, W]]:
        """`wchp`: (path, watcher), path by path, of the data table. May be left and resumed at any time
        while the table changes: what goes meanwhile is left out, what comes may be."""
        for path in list(self._data):
            for own in self._data.at(path):
                yield path, own.watcher

    def by_watcher(self) -> Iterator[tuple[W, bytes]]:
        """`wchc`: (watcher, path), watcher by watcher, otherwise as by_path."""
        for own in list(self.owners.values()):
            for path in list(own.paths):
                if own.paths.get(path, 0) & _IN_DATA:
                    yield own.watcher, path

    def watchers(self, path: bytes) -> Iterator[tuple[W, int, bytes]]:
        """(watcher, kinds, where) of the watches that a change at path may fire: those there, then recursive
        ones above, the nearest first. Take them at once."""
        there = dict.fromkeys(self._data.at(path))
        there.update(dict.fromkeys(self._child.at(path)))
        for own in there:
            yield own.watcher, own.paths[path], path
        if self._recursive:
            for above in ancestors(path):
                for own in self._recursive.at(above):
                    yield own.watcher, RECURSIVE, above

    def watched(self, watcher: W) -> Iterator[tuple[bytes, int]]:
        """(path, kinds) of all that one watches. Take them at once."""
        own = self.owners.get(watcher)
        if own is not None:
            yield from own.paths.items()

    def _shared(self, path: bytes) -> bytes:
        """The path object that others on a crowded path hold already."""
        for table, _ in self._tables:
            held = table.get(path)
            if isinstance(held, _Crowd):
                return held.path
        return path

    def _set(self, own: _Own[W], path: bytes, old: int, new: int) -> None:
        for table, mask in self._tables:
            if new & mask:
                if not old & mask:
                    table.join(path, own)
            elif old & mask:
                table.leave(path, own)
        own.data += (new & _IN_DATA != 0) - (old & _IN_DATA != 0)
        if new:
            own.paths[path] = new
        else:
            del own.paths[path]
            if not own.paths:
                del self.owners[own.watcher]

    def _fire(self, table: _Table[W], path: bytes, once: int) -> Sequence[_Own[W]]:
        """The watchers of path in table; their one-shot watches there end."""
        fired = table.at(path)
        for own in fired:
            kinds = own.paths[path]
            if kinds & once:
                self._set(own, path, kinds, kinds & ~once)
        return fired

    def _fired(self, event: int, path: bytes, parent: bytes) -> list[Fired[W]]:
        woken = dict.fromkeys(self._fire(self._data, path, DATA))
        if self._recursive:
            for above in ancestors(path):
                woken.update(dict.fromkeys(self._recursive.at(above)))
        if event == NODE_DELETED:
            woken.update(dict.fromkeys(self._fire(self._child, path, CHILD)))
        fired = [(own.watcher, event, path) for own in woken]
        if event != NODE_DATA_CHANGED:
            family = self._fire(self._child, parent, CHILD)
            fired += [(own.watcher, NODE_CHILDREN_CHANGED, parent) for own in family]
        return fired


def _removable(watcher_type: int) -> int:
    kinds = _REMOVABLE.get(watcher_type)
    if kinds is None:
        raise ZkError(Code.MARSHALLINGERROR)
    return kinds
