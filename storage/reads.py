"""Answers requests that change nothing, from applied state; sets the watches they ask for.

A handler takes the asking client and the request's body, and returns the answer's body, both as on
the wire. The rules are those of ZooKeeper 3.9's FinalRequestProcessor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from . import acl as acls
from . import multi, ops
from .errors import Code, ZkError
from .jute import INT, Malformed, Reader, pack_texts
from .session import encode_identities
from .state import OPEN_ACL, State, node_key
from .watches import (
    ADD_MODES,
    CHILD,
    DATA,
    NODE_CHILDREN_CHANGED,
    NODE_CREATED,
    NODE_DATA_CHANGED,
    NODE_DELETED,
    PERSISTENT,
    RECURSIVE,
    Watches,
)
from .znode import EXTRA_SIZE, TAIL_SIZE, stat_of

_OPEN: Final = OPEN_ACL.to_bytes(4)
_ACL_AT: Final = -EXTRA_SIZE
_ACL_END: Final = _ACL_AT + 4
_MISSED: Final = -1
"""The zxid of an event that is told late: ZooKeeper's WatchedEvent.NO_ZXID."""
_MOST: Final = 64 << 20
"""Bytes that a multiRead may be answered: 20 bytes of it can ask for a megabyte."""
_int = INT.unpack_from


class Client(Protocol):
    """Who asks: a connection with a session."""

    session_id: int
    identities: tuple[tuple[str, str], ...]

    def __hash__(self) -> int: ...

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        """Tell of a change."""
        ...


class Reads:
    """The read requests by number: .handlers[op](client, body) → the answer's body; raises ZkError."""

    def __init__(self, state: State, watches: Watches[Client]) -> None:
        self._state = state
        self._table = state.table
        self._watches = watches
        self.handlers: dict[int, Callable[[Client, bytes], bytes]] = {
            ops.GET_DATA: self._get_data,
            ops.EXISTS: self._exists,
            ops.GET_ACL: self._get_acl,
            ops.GET_CHILDREN: self._get_children,
            ops.GET_CHILDREN2: self._get_children2,
            ops.GET_ALL_CHILDREN_NUMBER: self._get_all_children_number,
            ops.GET_EPHEMERALS: self._get_ephemerals,
            ops.MULTI_READ: self._multi_read,
            ops.WHO_AM_I: self._who_am_i,
            ops.ADD_WATCH: self._add_watch,
            ops.CHECK_WATCHES: self._check_watches,
            ops.REMOVE_WATCHES: self._remove_watches,
            ops.SET_WATCHES: self._set_watches,
            ops.SET_WATCHES2: self._set_watches2,
        }

    def _get_data(self, client: Client, body: bytes) -> bytes:
        end = 4 + _int(body)[0]
        if end < 3:  # -1 is no string, and none is as good as an empty one
            raise Malformed(f"a length of {end - 4}")
        path = body[4:end]
        record = self._table.get(node_key(path))
        if record is None:
            raise ZkError(Code.NONODE, path.decode(errors="replace"))
        if record[_ACL_AT:_ACL_END] != _OPEN:
            self._permit(client, record, acls.READ, path)
        if body[end]:
            self._watches.add(path, client, DATA)
        return record[:-EXTRA_SIZE]

    def _exists(self, client: Client, body: bytes) -> bytes:
        reader = Reader(body)
        path, watch = reader.text(), reader.flag()
        if b"\0" in path:
            raise ZkError(Code.BADARGUMENTS, path.decode(errors="replace"))
        record = self._table.get(node_key(path))
        if record is not None:
            self._permit(client, record, acls.READ, path)
        if watch:
            self._watches.add(path, client, DATA)
        if record is None:
            raise ZkError(Code.NONODE, path.decode(errors="replace"))
        return record[-TAIL_SIZE:-EXTRA_SIZE]

    def _get_acl(self, client: Client, body: bytes) -> bytes:
        path = Reader(body).text()
        record = self._state.existing(path)
        self._permit(client, record, acls.READ | acls.ADMIN, path)
        key = int.from_bytes(record[_ACL_AT:_ACL_END])
        wire = self._state.acl_wire(key)
        if not acls.allows(self._state.acl(key), acls.ADMIN, client.identities):
            wire = acls.encode(acls.redact(self._state.acl(key)))
        return wire + record[-TAIL_SIZE:-EXTRA_SIZE]

    def _children_of(self, client: Client, body: bytes) -> tuple[bytes, bytes]:
        """The names as a vector, and the record."""
        reader = Reader(body)
        path, watch = reader.text(), reader.flag()
        record = self._state.existing(path)
        self._permit(client, record, acls.READ, path)
        if watch:
            self._watches.add(path, client, CHILD)
        return pack_texts(self._state.children(path)), record

    def _get_children(self, client: Client, body: bytes) -> bytes:
        return self._children_of(client, body)[0]

    def _get_children2(self, client: Client, body: bytes) -> bytes:
        names, record = self._children_of(client, body)
        return names + record[-TAIL_SIZE:-EXTRA_SIZE]

    def _get_all_children_number(self, client: Client, body: bytes) -> bytes:
        path = Reader(body).text()
        self._permit(client, self._state.existing(path), acls.READ, path)
        return INT.pack(self._state.count_below(path))

    def _get_ephemerals(self, client: Client, body: bytes) -> bytes:
        prefix = Reader(body).text()
        if prefix.strip() in (b"", b"/"):
            prefix = b""
        paths = self._state.ephemerals(client.session_id)
        return pack_texts([path for path in paths if path.startswith(prefix)])

    def _multi_read(self, client: Client, body: bytes) -> bytes:
        results = []
        size = 0
        for op, part in multi.split(body):
            if op not in (ops.GET_DATA, ops.GET_CHILDREN):
                raise Malformed(f"operation {op} in a multiRead")
            try:
                # Without its last byte, whether to watch: ZooKeeper sets no watches here.
                results.append(multi.result(op, self.handlers[op](client, part[:-1] + b"\0")))
            except ZkError as error:
                results.append(multi.error(error.code))
            size += len(results[-1])
            if size > _MOST:
                raise ZkError(Code.BADARGUMENTS)
        return multi.answer(results)

    def _who_am_i(self, client: Client, body: bytes) -> bytes:
        def user(scheme: str, name: str) -> str:
            return "" if scheme == "super" else name.split(":")[0] if scheme == "digest" else name

        return encode_identities(tuple((scheme, user(scheme, name)) for scheme, name in client.identities))

    def _add_watch(self, client: Client, body: bytes) -> bytes:
        reader = Reader(body)
        path, mode = reader.text(), reader.int32()
        kind = ADD_MODES.get(mode)
        if kind is None:
            raise Malformed(f"watch mode {mode}")
        self._watches.add(path, client, kind)
        return INT.pack(0)

    def _check_watches(self, client: Client, body: bytes) -> bytes:
        return self._need_watch(self._watches.contains, client, body)

    def _remove_watches(self, client: Client, body: bytes) -> bytes:
        return self._need_watch(self._watches.remove, client, body)

    def _need_watch(self, found: Callable[[bytes, Client, int], bool], client: Client, body: bytes) -> bytes:
        reader = Reader(body)
        path, kind = reader.text(), reader.int32()
        if not found(path, client, kind):
            raise ZkError(Code.NOWATCHER, path.decode(errors="replace"))
        return b""

    def _set_watches(self, client: Client, body: bytes) -> bytes:
        reader = Reader(body)
        self._rearm(client, reader)
        return b""

    def _set_watches2(self, client: Client, body: bytes) -> bytes:
        reader = Reader(body)
        self._rearm(client, reader)
        for kind in (PERSISTENT, RECURSIVE):
            for path in reader.vector(reader.text):
                self._watches.add(path, client, kind)
        return b""

    def _rearm(self, client: Client, reader: Reader) -> None:
        """A client is back on a new connection: what it missed is told now, the rest is watched again
        (DataTree.setWatches)."""
        seen = reader.int64()
        for path in reader.vector(reader.text):
            record = self._state.node(path)
            if record is None:
                client.event(NODE_DELETED, path, _MISSED)
            elif stat_of(record).mzxid > seen:
                client.event(NODE_DATA_CHANGED, path, _MISSED)
            else:
                self._watches.add(path, client, DATA)
        for path in reader.vector(reader.text):
            if self._state.node(path) is not None:
                client.event(NODE_CREATED, path, _MISSED)
            else:
                self._watches.add(path, client, DATA)
        for path in reader.vector(reader.text):
            record = self._state.node(path)
            if record is None:
                client.event(NODE_DELETED, path, _MISSED)
            elif stat_of(record).pzxid > seen:
                client.event(NODE_CHILDREN_CHANGED, path, _MISSED)
            else:
                self._watches.add(path, client, CHILD)

    def _permit(self, client: Client, record: bytes, permission: int, path: bytes) -> None:
        key = record[_ACL_AT:_ACL_END]
        if key != _OPEN and not acls.allows(
            self._state.acl(int.from_bytes(key)), permission, client.identities
        ):
            raise ZkError(Code.NOAUTH, path.decode(errors="replace"))
