"""The replicated state as rows: znodes, sessions, ACLs, quotas, and how each is kept in the engine.

Rows by their first byte:
    n depth(3) path   a znode's record; all children of /a/b are the keys that begin n 3 /a/b/
    e session(8) path an ephemeral of that session
    t path            the TTL of a TTL znode, 0 for a container
    q path            a quota's limits stand at /zookeeper/quota<path>
    s session(8)      timeout, password and server
    a acl(4)          use count and the ACL as on the wire
    m                 format, applied zxid, time, generation, counters
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from . import acl as acls
from . import quota
from .acl import Acl
from .engine import Engine, View
from .errors import Code, ZkError
from .jute import LONG, Reader
from .paths import split
from .session import Session
from .table import Table
from .znode import LASTING, NO_BYTES, TAIL

_FORMAT: Final = 2
"""Of the rows, a record's layout included: an engine with rows of another is not read."""
_META: Final = struct.Struct(">BqqqqqqI")
_SESSION: Final = struct.Struct(">i16sB")
_ACL: Final = struct.Struct(">I")
_PRESENT: Final = b"\x01"
_DEPTHS: Final = tuple(b"n" + depth.to_bytes(3) for depth in range(256))

OPEN_ACL: Final = 0
"""The key of world:anyone with all permissions: nearly every znode's, so it is never counted or stored."""
OPEN_ACL_WIRE: Final = acls.OPEN
READ_ONLY_ACL_WIRE: Final = acls.encode([Acl(acls.READ, "world", "anyone")])

CONFIG_PATH: Final = b"/zookeeper/config"
SPECIAL: Final = frozenset((b"/", b"/zookeeper", quota.ROOT, CONFIG_PATH))


class OtherFormat(Exception):
    """The engine's rows were written by a version of znoded that lays them out differently."""


class Unfinished(Exception):
    """The engine holds rows without the row m, which a restore writes last."""


class Meta(NamedTuple):
    """The row m. time is that of the last transaction, in ms; what the counts are, State tells."""

    zxid: int
    time: int
    generation: int
    node_count: int
    data_size: int
    ephemeral_count: int
    next_acl: int


NODES: Final = b"n"
"""What every znode's row begins with."""


META: Final = b"m"
"""The key of the row that says what the others are."""


def _session_row(session: Session) -> bytes:
    return _SESSION.pack(session.timeout, session.password, session.server)


def unpack_meta(row: bytes) -> Meta:
    """What the row m tells. Raises OtherFormat."""
    if row[0] != _FORMAT:
        raise OtherFormat(f"the stored rows have format {row[0]}, this version reads {_FORMAT}")
    return Meta(*_META.unpack(row)[1:])


def zxid_in(view: View) -> int:
    """The last transaction that a view of the engine holds; 0 for an empty one."""
    meta = view.get(META)
    return 0 if meta is None else unpack_meta(meta).zxid


def _depth(depth: int) -> bytes:
    if depth >= 1 << 24:
        raise ZkError(Code.BADARGUMENTS)
    return _DEPTHS[depth] if depth < 256 else b"n" + depth.to_bytes(3)


def node_key(path: bytes) -> bytes:
    """The row of a znode."""
    depth = path.count(b"/")
    return (_DEPTHS[depth] if depth < 256 else _depth(depth)) + path


def children_group(path: bytes) -> bytes:
    """What the rows of path's children begin with."""
    if path == b"/":
        return _DEPTHS[1] + path
    return _depth(path.count(b"/") + 1) + path + b"/"


class State:
    """Everything that is replicated, and nothing else. Changed only by storage.writes."""

    def __init__(self, engine: Engine) -> None:
        self.table = Table(engine)
        self.zxid = 0
        self.time = 0
        self.generation = 0
        self.node_count = 0
        self.data_size = 0
        self.ephemeral_count = 0
        self.sessions: dict[int, Session] = {}
        self.quotas: set[bytes] = set()
        self.idle_acls: set[int] = set()
        """The keys of ACLs that may have lost their last znode."""
        self._next_acl = 1
        self._acls: dict[int, tuple[bytes, list[Acl]]] = {
            OPEN_ACL: (OPEN_ACL_WIRE, [Acl(acls.ALL, "world", "anyone")])
        }
        self._acl_keys: dict[bytes, int] = {OPEN_ACL_WIRE: OPEN_ACL}
        self._acl_uses: dict[int, int] = {}
        meta = engine.get(META)
        if meta is not None:
            self._load(unpack_meta(meta))
        elif next(engine.keys(b""), None) is None:
            self._create_first_nodes()
        else:
            raise Unfinished("rows are stored, and none that tells of them")

    def reload(self) -> None:
        """Begin anew with what the engine holds."""
        self.table.engine.refresh()
        self.table.forget()
        self.sessions.clear()
        self.quotas.clear()
        self.idle_acls.clear()
        for key in [key for key in self._acls if key != OPEN_ACL]:
            del self._acl_keys[self._acls.pop(key)[0]]
        self._acl_uses.clear()
        meta = self.table.engine.get(META)
        assert meta is not None
        self._load(unpack_meta(meta))

    # znodes

    def node(self, path: bytes) -> bytes | None:
        """The record of a znode, if it is there."""
        return self.table.get(node_key(path))

    def existing(self, path: bytes) -> bytes:
        """The record of a znode; NONODE without it."""
        record = self.table.get(node_key(path))
        if record is None:
            raise ZkError(Code.NONODE, path.decode(errors="replace"))
        return record

    def children(self, path: bytes) -> list[bytes]:
        """The names of a znode's children, in no order."""
        group = children_group(path)
        size = len(group)
        return [key[size:] for key in self.table.keys(group) if len(key) > size]

    def children_after(self, path: bytes, name: bytes, limit: int) -> list[bytes]:
        """The names of so many children that come after that one, ascending; b"" comes before all."""
        group = children_group(path)
        size = len(group)
        return [key[size:] for key in self.table.keys_after(group, group + name, limit)]

    def count_below(self, path: bytes) -> int:
        """How many descendants a znode has. The cost grows with their number."""
        if path == b"/":
            return self.node_count - 1
        count = 0
        depth = path.count(b"/") + 1
        while True:
            level = len(self.table.keys_below(_depth(depth) + path + b"/"))
            if not level:
                return count
            count += level
            depth += 1

    # ephemerals, containers and TTL znodes

    def ephemerals(self, session: int) -> list[bytes]:
        """The paths a session owns, sorted: the order in which every replica deletes them."""
        group = b"e" + LONG.pack(session)
        return sorted(key[9:] for key in self.table.keys(group))

    def ephemerals_after(self, session: int, path: bytes, limit: int) -> list[bytes]:
        """So many of the paths a session owns that come after that one, ascending; b"" comes before all."""
        group = b"e" + LONG.pack(session)
        return [key[9:] for key in self.table.keys_after(group, group + path, limit)]

    def own(self, session: int, path: bytes) -> None:
        """The session owns the ephemeral at path from now on."""
        group = b"e" + LONG.pack(session)
        self.table.add(group, group + path, _PRESENT)
        self.ephemeral_count += 1

    def disown(self, session: int, path: bytes) -> None:
        """The ephemeral at path is gone."""
        group = b"e" + LONG.pack(session)
        self.table.remove(group, group + path)
        self.ephemeral_count -= 1

    def mortals(self) -> list[bytes]:
        """The paths of all containers and TTL znodes."""
        return [key[1:] for key in self.table.keys(b"t")]

    def ttl(self, path: bytes) -> int:
        """The TTL of a TTL znode, in ms."""
        row = self.table.get(b"t" + path)
        return 0 if row is None else int(LONG.unpack(row)[0])

    def add_mortal(self, path: bytes, ttl: int) -> None:
        """A container (ttl 0) or TTL znode was made."""
        self.table.add(b"t", b"t" + path, LONG.pack(ttl))

    def remove_mortal(self, path: bytes) -> None:
        """A container or TTL znode is gone."""
        self.table.remove(b"t", b"t" + path)

    # quotas

    def add_quota(self, path: bytes) -> None:
        """Limits stand for the subtree at path."""
        self.quotas.add(path)
        self.table.add(b"q", b"q" + path, _PRESENT)
        if self.table.undo is not None:
            self.table.undo.append(lambda: self.quotas.discard(path))

    def remove_quota(self, path: bytes) -> None:
        """The limits for path are gone."""
        if path in self.quotas:
            self.quotas.discard(path)
            self.table.remove(b"q", b"q" + path)
            if self.table.undo is not None:
                self.table.undo.append(lambda: self.quotas.add(path))

    # sessions

    def open_session(self, session: Session) -> None:
        """A session begins."""
        self.sessions[session.id] = session
        self.table.add(b"s", b"s" + LONG.pack(session.id), _session_row(session))

    def change_session(self, session: Session) -> None:
        """A session that there is has another timeout or server from now on."""
        self.sessions[session.id] = session
        self.table.put(b"s" + LONG.pack(session.id), _session_row(session))

    def close_session(self, session: int) -> None:
        """A session ends; its ephemerals are the caller's to delete."""
        if self.sessions.pop(session, None) is not None:
            self.table.remove(b"s", b"s" + LONG.pack(session))

    # ACLs

    def acl(self, key: int) -> list[Acl]:
        """The ACL under a key."""
        return self._acls[key][1]

    def acl_wire(self, key: int) -> bytes:
        """The ACL under a key as on the wire."""
        return self._acls[key][0]

    def use_acl(self, wire: bytes) -> int:
        """Count one more znode with this ACL; its key."""
        key = self._acl_keys.get(wire)
        if key == OPEN_ACL:
            return OPEN_ACL
        if key is None:
            key = self._next_acl
            self._next_acl += 1
            self._acl_keys[wire] = key
            self._acls[key] = (wire, acls.decode(Reader(wire)))
        self._count_acl(key, 1)
        return key

    def release_acl(self, key: int) -> None:
        """Count one less znode with the ACL under key."""
        if key != OPEN_ACL:
            self._count_acl(key, -1)

    def forget_acls(self) -> None:
        """Forget the idle ACLs that nobody has, once the events that name them are told: an ACL whose row
        is gone gets another key after a restart, so it must without one."""
        for key in self.idle_acls:
            if not self._acl_uses[key]:
                del self._acl_uses[key], self._acl_keys[self._acls.pop(key)[0]]
        self.idle_acls.clear()

    def _count_acl(self, key: int, change: int) -> None:
        uses = self._acl_uses.get(key, 0) + change
        self._set_acl_uses(key, uses)
        row = b"a" + _ACL.pack(key)
        wire = self._acls[key][0]
        if uses:
            self.table.add(b"a", row, LONG.pack(uses) + wire)
        else:
            self.table.remove(b"a", row)
        if self.table.undo is not None:
            self.table.undo.append(lambda: self._set_acl_uses(key, uses - change))

    def _set_acl_uses(self, key: int, uses: int) -> None:
        self._acl_uses[key] = uses
        if not uses:
            self.idle_acls.add(key)

    # flushing

    def counters(self) -> tuple[int, int, int, int]:
        """What a failed multi must put back besides rows."""
        return self.node_count, self.data_size, self.ephemeral_count, self._next_acl

    def reset_counters(self, counters: tuple[int, int, int, int]) -> None:
        """Put back what counters() gave."""
        self.node_count, self.data_size, self.ephemeral_count, self._next_acl = counters

    def freeze(self) -> Mapping[bytes, bytes | None]:
        """Begin a flush; what it writes carries the applied zxid."""
        self.table.put(META, self._meta())
        return self.table.freeze()

    def _meta(self) -> bytes:
        return _META.pack(
            _FORMAT,
            self.zxid,
            self.time,
            self.generation,
            self.node_count,
            self.data_size,
            self.ephemeral_count,
            self._next_acl,
        )

    def _load(self, meta: Meta) -> None:
        (
            self.zxid,
            self.time,
            self.generation,
            self.node_count,
            self.data_size,
            self.ephemeral_count,
            self._next_acl,
        ) = meta
        engine = self.table.engine
        for key, value in engine.scan(b"s"):
            session = LONG.unpack(key[1:])[0]
            self.sessions[session] = Session(session, *_SESSION.unpack(value))
        for key, value in engine.scan(b"a"):
            acl = _ACL.unpack(key[1:])[0]
            wire = value[8:]
            self._acl_keys[wire] = acl
            self._acls[acl] = (wire, acls.decode(Reader(wire)))
            self._acl_uses[acl] = LONG.unpack_from(value)[0]
        self.quotas.update(key[1:] for key in engine.keys(b"q"))

    def _create_first_nodes(self) -> None:
        # As a new ZooKeeper has them, down to a cversion that counts the first children against creates.
        config_acl = self.use_acl(READ_ONLY_ACL_WIRE)
        for path, children, aversion, acl in (
            (b"/", 1, 0, OPEN_ACL),
            (b"/zookeeper", 2, 0, OPEN_ACL),
            (quota.ROOT, 0, 0, OPEN_ACL),
            (CONFIG_PATH, 0, -1, config_acl),
        ):
            tail = TAIL.pack(0, 0, 0, 0, 0, -children, aversion, 0, 0, children, 0, acl, 0, LASTING)
            self.table.add(children_group(split(path)[0]), node_key(path), NO_BYTES + tail)
            self.node_count += 1
            self.data_size += len(path)
