"""Applies transactions to the state: the rules of every request that changes something.

A transaction is the request itself with who sent it and when. Applying it is deterministic: every
replica computes the same state, the same answer and the same refusal. The rules and their order are
those of ZooKeeper 3.9's PrepRequestProcessor and DataTree.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from . import acl as acls
from . import multi, ops, quota
from .acl import Acl, Identity
from .errors import Code, ZkError
from .jute import INT, LONG, Malformed, Reader, pack_buffer
from .paths import PLAIN, check, split
from .session import Session, decode_identities
from .state import (
    OPEN_ACL,
    OPEN_ACL_WIRE,
    SPECIAL,
    State,
    node_key,
)
from .watches import NODE_CREATED, NODE_DATA_CHANGED, NODE_DELETED
from .znode import (
    CONTAINER,
    EXTRA_SIZE,
    LASTING,
    MAX_TTL,
    TAIL,
    TAIL_SIZE,
    TTL,
    data_of,
)

Event: TypeAlias = tuple[int, bytes, bytes, int, int]
"""(kind, path, parent's path, the znode's ACL key, its parent's): what watches are told. A change of data
is no news about the parent: it has neither."""

HEAD: Final = struct.Struct(">qqBHB")
"""time in ms since 1970, session (0: none), flags, length of the identities that follow, the server that
took it."""
ENFORCE_QUOTA: Final = 1
EXTENDED_TYPES: Final = 2
"""The flags carry what the taking server is configured to, so that all replicas do the same."""

_QUOTAS: Final = quota.ROOT + b"/"
_QUOTA_NAMES: Final = frozenset((quota.LIMITS_NAME, quota.STATS_NAME))
_DOT: Final = ord(".")
_unpack_data: Final = struct.Struct(">8s8x8s8xi16si12sI5s").unpack_from
_pack_data: Final = struct.Struct(">8sq8sqi16si12sI5s").pack
"""A tail as setData sees it: what it keeps is taken over as bytes."""
_pack_new: Final = struct.Struct(">qqqq12xqi4xqI4xB").pack
"""The tail of a new znode: versions, children and creates are zero."""
_MOST: Final = 0x7FFF_FFFF
_OPEN_SIZE: Final = len(OPEN_ACL_WIRE)
_FAMILY: Final = struct.Struct(">iiqiiqIiB")
"""A tail from cversion on: cversion aversion owner length children pzxid acl creates kind."""
_FAMILY_SIZE: Final = _FAMILY.size
_int = INT.unpack_from
_head = HEAD.unpack_from
_tail = TAIL.unpack_from
_family = _FAMILY.unpack_from


_identities = lru_cache(maxsize=1024)(decode_identities)


def transaction(
    op: int,
    body: bytes,
    *,
    session: int = 0,
    time: int = 0,
    flags: int = 0,
    identities: bytes = b"\0\0\0\0",
    server: int = 0,
) -> bytes:
    """A request as a transaction."""
    head = HEAD.pack(time, session, flags, len(identities), server)
    return b"".join((head, identities, INT.pack(op), body))


def _wrap(number: int) -> int:
    """As a signed 32-bit counter goes on after its largest value."""
    return number if number <= _MOST else -_MOST - 1


def _next_version(current: int, expected: int, path: bytes) -> int:
    if expected not in (-1, current):
        raise ZkError(Code.BADVERSION, path.decode())
    # -1 would mean "any" to a client that wants to name it (ZOOKEEPER-4743).
    following = _wrap(current + 1)
    return 0 if following == -1 else following


def _decode_create(op: int, body: bytes) -> tuple[bytes, bytes, bytes, int, int]:
    """path, data with its length, ACL vector, flags, ttl (-1 without)."""
    at = 4 + _int(body)[0]
    after = at + 4 + _int(body, at)[0] if at > 4 else -1
    if after >= at + 4 and after + _OPEN_SIZE + 4 == len(body) and op != ops.CREATE_TTL:
        acl = body[after:-4]
        if acl == OPEN_ACL_WIRE:
            return body[4:at], body[at:after], acl, _int(body, after + _OPEN_SIZE)[0], -1
    reader = Reader(body)
    path, data = reader.text(), pack_buffer(reader.buffer())
    start = len(body) - reader.left
    acls.decode(reader)
    acl = body[start : len(body) - reader.left]
    return path, data, acl, reader.int32(), reader.int64() if op == ops.CREATE_TTL else -1


class Writes:
    """Applies transactions, one after the other; events of the last one stand in .events.

    .sessions and .excesses gather until the caller clears them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Event] = []
        self.sessions: list[tuple[Session | None, int]] = []
        """What became of sessions: (as it is now, its id) or (None, the id of one that ended)."""
        self.excesses: list[tuple[bytes, quota.Excess]] = []
        """Writes that went over the quota of a path, refused or not."""
        self.op = 0
        """Of the last transaction."""
        self._session = 0
        self._flags = 0
        self._txn = b""
        self._handlers: dict[int, Callable[[int, bytes, int, int], bytes]] = {
            ops.CREATE: self._create,
            ops.CREATE2: self._create,
            ops.CREATE_CONTAINER: self._create,
            ops.CREATE_TTL: self._create,
            ops.DELETE: self._delete,
            ops.DELETE_CONTAINER: self._delete_container,
            ops.SET_DATA: self._set_data,
            ops.SET_ACL: self._set_acl,
            ops.CHECK: self._check,
            ops.MULTI: self._multi,
            ops.RECONFIG: self._reconfig,
            ops.CREATE_SESSION: self._create_session,
            ops.MOVE_SESSION: self._move_session,
            ops.CLOSE_SESSION: self._close_session,
            ops.LEAD: self._lead,
        }

    def apply(self, zxid: int, txn: bytes) -> tuple[int, bytes]:
        """Apply a transaction; (error code, the answer's body as on the wire)."""
        state = self.state
        time, session, self._flags, size, server = _head(txn)
        if time < state.time:
            time = state.time  # clocks differ between servers: time only ever goes forward
        else:
            state.time = time
        self._session = session
        self._txn = txn
        at = HEAD.size + size
        self.op = op = _int(txn, at)[0]
        self.events.clear()
        if state.idle_acls:
            state.forget_acls()
        state.zxid = zxid
        try:
            if session:
                known = state.sessions.get(session)
                if known is None:
                    return Code.SESSIONEXPIRED, b""
                if known.server and known.server != server:
                    return Code.SESSIONMOVED, b""  # its client has gone on: what it does now comes first
            return 0, self._handlers[op](op, txn[at + 4 :], zxid, time)
        except ZkError as error:
            return error.code, b""
        except (Malformed, struct.error, UnicodeDecodeError):
            return Code.MARSHALLINGERROR, b""

    # create

    def _create(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        state = self.state
        table = state.table
        path, data, acl_wire, flags, ttl = _decode_create(op, body)
        mode = ops.MODES.get(flags)
        if mode is None:
            raise ZkError(Code.BADARGUMENTS)
        if op == ops.CREATE_TTL or flags in ops.TTL_MODES:
            self._check_ttl(flags, ttl)
        parent, slash, name = path.rpartition(b"/")
        if not slash or parent == b"/":  # of //name, not of /name
            raise ZkError(Code.BADARGUMENTS)
        if acl_wire != OPEN_ACL_WIRE:
            acl_wire = self._fix_acl(acl_wire)
        parent_key = node_key(parent or b"/")
        record = table.get(parent_key)
        if record is None:
            raise ZkError(Code.BADARGUMENTS if b"\0" in path else Code.NONODE)
        cversion, aversion, parent_owner, length, children, _, parent_acl, creates, parent_kind = _family(
            record, len(record) - _FAMILY_SIZE
        )
        if parent_acl:
            self._permit(parent_acl, acls.CREATE, path)
        if mode & ops.SEQUENCE_FLAG:
            suffix = b"%010d" % creates
            path += suffix
            name += suffix
        if not name or name[0] == _DOT or name.translate(None, PLAIN):
            check(path)
        key = node_key(path)
        if table.get(key) is not None:
            raise ZkError(Code.NODEEXISTS, path.decode())
        if parent_owner:
            raise ZkError(Code.NOCHILDRENFOREPHEMERALS, path.decode())
        size = len(data) - 4
        if state.quotas:
            self._check_quota(path, 1, size)
        acl = OPEN_ACL if acl_wire == OPEN_ACL_WIRE else state.use_acl(acl_wire)
        owner, kind = 0, LASTING
        if op == ops.CREATE_CONTAINER:
            kind = CONTAINER
            state.add_mortal(path, 0)
        elif op == ops.CREATE_TTL:
            kind = TTL
            state.add_mortal(path, ttl)
        elif mode & ops.EPHEMERAL_FLAG:
            owner = self._session
            state.own(owner, path)
        table.put(
            parent_key,
            record[:-_FAMILY_SIZE]
            + _FAMILY.pack(
                cversion + 1 if cversion < _MOST else -_MOST - 1,
                aversion,
                parent_owner,
                length,
                children + 1,
                zxid,
                parent_acl,
                creates + 1 if creates < _MOST else -_MOST - 1,
                parent_kind,
            ),
        )
        tail = _pack_new(zxid, zxid, now, now, owner, size, zxid, acl, kind)
        table.add(key[: len(key) - len(name)], key, data + tail)
        state.node_count += 1
        state.data_size += len(path) + size
        if state.quotas:
            self._add_usage(path, 1, size)
        if name in _QUOTA_NAMES and path.startswith(_QUOTAS):
            self._quota_node_made(path, name)
        self.events.append((NODE_CREATED, path, parent or b"/", acl, parent_acl))
        if op == ops.CREATE:
            return INT.pack(len(path)) + path
        return INT.pack(len(path)) + path + tail[:-EXTRA_SIZE]

    def _check_ttl(self, flags: int, ttl: int) -> None:
        if flags in ops.TTL_MODES:
            if not self._flags & EXTENDED_TYPES:
                raise ZkError(Code.UNIMPLEMENTED)
            if 0 < ttl <= MAX_TTL:
                return
        raise ZkError(Code.BADARGUMENTS)

    # delete

    def _delete(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        reader = Reader(body)
        path, version = reader.text(), reader.int32()
        if b"/" not in path or b"\0" in path or path in SPECIAL:
            raise ZkError(Code.BADARGUMENTS, path.decode(errors="replace"))
        parent = split(path)[0]
        above = self.state.existing(parent)
        self._permit(_family(above, len(above) - _FAMILY_SIZE)[6], acls.DELETE, path)
        record = self.state.existing(path)
        tail = _tail(record, len(record) - TAIL_SIZE)
        if version not in (-1, tail[4]):
            raise ZkError(Code.BADVERSION, path.decode())
        self._remove(path, record, zxid)
        return b""

    def _delete_container(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        """Reap an empty container, or a TTL znode whose time is over; the reaper only makes guesses."""
        path = Reader(body).text()
        if path in SPECIAL:
            raise ZkError(Code.BADARGUMENTS)
        record = self.state.existing(path)
        tail = _tail(record, len(record) - TAIL_SIZE)
        mtime, kind = tail[3], tail[13]
        if kind == LASTING or (kind == TTL and now - mtime <= self.state.ttl(path)):
            raise ZkError(Code.BADVERSION, path.decode())
        self._remove(path, record, zxid)
        return b""

    def _remove(self, path: bytes, record: bytes, zxid: int) -> None:
        """Delete a znode that is there and may be deleted; NOTEMPTY if it has children."""
        state = self.state
        table = state.table
        tail = _tail(record, len(record) - TAIL_SIZE)
        owner, length, children, acl, kind = tail[7], tail[8], tail[9], tail[11], tail[13]
        if children:
            raise ZkError(Code.NOTEMPTY, path.decode())
        parent, name = split(path)
        key, parent_key = node_key(path), node_key(parent)
        above = state.existing(parent)
        family = _family(above, len(above) - _FAMILY_SIZE)
        table.put(
            parent_key,
            above[:-_FAMILY_SIZE]
            + _FAMILY.pack(_wrap(family[0] + 1), *family[1:4], family[4] - 1, zxid, *family[6:]),
        )
        table.remove(key[: len(key) - len(name)], key)
        state.node_count -= 1
        state.data_size -= len(path) + length
        if owner:
            state.disown(owner, path)
        elif kind != LASTING:
            state.remove_mortal(path)
        if path.startswith(_QUOTAS) and name == quota.LIMITS_NAME:
            state.remove_quota(quota.path_below(path))
        if state.quotas:
            self._add_usage(path, -1, -length)
        state.release_acl(acl)
        self.events.append((NODE_DELETED, path, parent, acl, family[6]))

    # set

    def _set_data(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        state = self.state
        at = 4 + _int(body)[0]
        if at < 4:
            raise ZkError(Code.BADARGUMENTS)
        size = _int(body, at)[0]
        end = at + 4 + size if size > 0 else at + 4
        if size < -1 or end + 4 > len(body):
            raise Malformed("a setData that ends too soon")
        path = body[4:at]
        key = node_key(path)
        record = state.table.get(key)
        if record is None:
            check(path)
            raise ZkError(Code.NONODE, path.decode())
        czxid, ctime, version, inner, length, family, acl, extra = _unpack_data(
            record, len(record) - TAIL_SIZE
        )
        if acl:
            self._permit(acl, acls.WRITE, path)
        data_size = size if size > 0 else 0  # noqa: FURB136 - max() would take longer than the rest
        if state.quotas:
            self._check_quota(path, 0, data_size - length)
        expected = _int(body, end)[0]
        if expected not in (-1, version):
            raise ZkError(Code.BADVERSION, path.decode())
        version = version + 1 if -1 != version + 1 < 0x8000_0000 else _next_version(version, -1, path)
        tail = _pack_data(czxid, zxid, ctime, now, version, inner, data_size, family, acl, extra)
        state.table.put(key, body[at:end] + tail)
        state.data_size += data_size - length
        if state.quotas:
            self._add_usage(path, 0, data_size - length)
        self.events.append((NODE_DATA_CHANGED, path, b"", acl, OPEN_ACL))
        return tail[:-EXTRA_SIZE]

    def _set_acl(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        state = self.state
        reader = Reader(body)
        path = reader.text()
        start = len(body) - reader.left
        acls.decode(reader)
        wire = body[start : len(body) - reader.left]
        expected = reader.int32()
        check(path)
        wire = self._fix_acl(wire)
        record = state.existing(path)
        tail = list(_tail(record, len(record) - TAIL_SIZE))
        self._permit(tail[11], acls.ADMIN, path)
        tail[6] = _next_version(tail[6], expected, path)
        before = tail[11]
        tail[11] = state.use_acl(wire)
        state.release_acl(before)
        packed = TAIL.pack(*tail)
        state.table.put(node_key(path), record[:-TAIL_SIZE] + packed)
        return packed[:-EXTRA_SIZE]

    def _check(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        reader = Reader(body)
        path, expected = reader.text(), reader.int32()
        check(path)
        record = self.state.existing(path)
        tail = _tail(record, len(record) - TAIL_SIZE)
        self._permit(tail[11], acls.READ, path)
        _next_version(tail[4], expected, path)
        return b""

    def _reconfig(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        raise ZkError(Code.RECONFIGDISABLED)

    # multi

    def _multi(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        """All or nothing: a failure takes back what came before it and gives each operation its result."""
        parts = multi.split(body)
        if any(kind in (ops.GET_DATA, ops.GET_CHILDREN) for kind, _ in parts):
            raise Malformed("a read in a multi that writes")
        state = self.state
        counters = state.counters()
        undo: list[Callable[[], object]] = []
        state.table.undo = undo
        results: list[bytes] = []
        failed = 0
        try:
            for kind, part in parts:
                results.append(multi.result(kind, self._handlers[kind](kind, part, zxid, now)))
        except ZkError as error:
            failed = error.code
        except (Malformed, struct.error, UnicodeDecodeError):
            failed = Code.MARSHALLINGERROR
        finally:
            state.table.undo = None
            if failed:
                for back in reversed(undo):
                    back()
                state.reset_counters(counters)
                self.events.clear()
        if failed == Code.MARSHALLINGERROR:
            raise Malformed("an operation of a multi")
        if failed:
            at = len(results)
            codes = [0] * at + [failed] + [Code.RUNTIMEINCONSISTENCY] * (len(parts) - at - 1)
            results = [multi.error(code) for code in codes]
        return multi.answer(results)

    # sessions

    def _create_session(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        session = Session.decode(body)
        self.state.open_session(session)
        self.sessions.append((session, session.id))
        return b""

    def _move_session(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        session = Session.decode(body)
        known = self.state.sessions.get(session.id)
        if known is None or not hmac.compare_digest(known.password, session.password):
            raise ZkError(Code.SESSIONEXPIRED)
        self.state.change_session(session)
        self.sessions.append((session, session.id))
        return b""

    def _close_session(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        """Close the sender's session; or, sent by a server, expire one as the leader of a generation."""
        state = self.state
        session = self._session
        if not session:
            reader = Reader(body)
            generation, session = reader.int64(), reader.int64()
            if generation < state.generation or session not in state.sessions:
                return b""
        for path in state.ephemerals(session):
            self._remove(path, state.existing(path), zxid)
        state.close_session(session)
        self.sessions.append((None, session))
        return b""

    def _lead(self, op: int, body: bytes, zxid: int, now: int) -> bytes:
        self.state.generation = max(self.state.generation, LONG.unpack(body)[0])
        return b""

    # ACLs

    def _permit(self, key: int, permission: int, path: bytes) -> None:
        if key != OPEN_ACL and not acls.allows(self.state.acl(key), permission, self._identities()):
            raise ZkError(Code.NOAUTH, path.decode(errors="replace"))

    def _identities(self) -> tuple[Identity, ...]:
        size = _head(self._txn)[3]
        return _identities(self._txn[HEAD.size : HEAD.size + size])

    def _fix_acl(self, wire: bytes) -> bytes:
        acl: list[Acl] = acls.decode(Reader(wire))
        return acls.encode(acls.fix(acl, self._identities()))

    # quotas

    def _quota_of(self, path: bytes) -> bytes | None:
        """The nearest path, this one or above, with limits of its own."""
        quotas = self.state.quotas
        while path not in quotas:
            if path == b"/" or not path:
                return None
            path = path.rpartition(b"/")[0] or b"/"
        return None if path == b"/" else path

    def _check_quota(self, path: bytes, count: int, size: int) -> None:
        """Refuse what a hard limit forbids; warn of what exceeds a soft one."""
        quota_path = self._quota_of(path)
        if quota_path is None:
            return
        limits = self.state.node(quota.limits_path(quota_path))
        usage = self.state.node(quota.stats_path(quota_path))
        if limits is None or usage is None:
            return
        excess = quota.excess(quota.parse(data_of(limits)), quota.parse(data_of(usage)), count, size)
        if excess is None:
            return
        self.excesses.append((quota_path, excess))
        if excess.hard and self._flags & ENFORCE_QUOTA:
            raise ZkError(Code.QUOTAEXCEEDED, quota_path.decode())

    def _add_usage(self, path: bytes, count: int, size: int) -> None:
        quota_path = self._quota_of(path)
        if quota_path is not None:
            stats_path = quota.stats_path(quota_path)
            record = self.state.node(stats_path)
            if record is not None:
                usage = quota.parse(data_of(record))
                self._put_usage(stats_path, record, usage.count + count, usage.bytes + size)

    def _put_usage(self, path: bytes, record: bytes, count: int, size: int) -> None:
        # As ZooKeeper does: the data changes, the Stat's versions and zxids do not.
        data = quota.format_usage(count, size)
        tail = list(_tail(record, len(record) - TAIL_SIZE))
        self.state.data_size += len(data) - tail[8]
        tail[8] = len(data)
        self.state.table.put(node_key(path), pack_buffer(data) + TAIL.pack(*tail))

    def _quota_node_made(self, path: bytes, name: bytes) -> None:
        below = quota.path_below(path)
        if not below:
            return
        if name == quota.LIMITS_NAME:
            self.state.add_quota(below)
        # ZooKeeper counts only when the stats are made; what changed while there were no limits, it misses.
        stats = quota.stats_path(below)
        record = self.state.node(stats)
        if record is not None:
            self._put_usage(stats, record, *self._measure(below))

    def _measure(self, path: bytes) -> tuple[int, int]:
        """Znodes and bytes of the subtree at path."""
        count = size = 0
        waiting = [path]
        while waiting:
            path = waiting.pop()
            record = self.state.node(path)
            if record is not None:
                tail = _tail(record, len(record) - TAIL_SIZE)
                count += 1
                size += tail[8]
                if tail[9]:
                    below = path if path != b"/" else b""
                    waiting += (below + b"/" + name for name in self.state.children(path))
        return count, size
