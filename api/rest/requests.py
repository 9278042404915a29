"""Requests as the server core takes them: an operation's number and its body, as on the wire."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ...storage import acl as acls
from ...storage import multi as multi_wire
from ...storage import ops
from ...storage.errors import Code
from ...storage.jute import INT, LONG, pack_buffer
from ...storage.znode import STAT
from .forms import Fault

_PART: Final = struct.Struct(">iBi")


class Ask(NamedTuple):
    """A request: the operation's number, and its body."""

    op: int
    body: bytes


class Result(NamedTuple):
    """What an operation of a multi came to: a create has the path; it and a set have the
    Stat as on the wire."""

    path: bytes
    stat: bytes


class Failed(NamedTuple):
    """The first operation of a multi that failed: its place in the list, and why."""

    at: int
    code: int


def read(op: int, path: bytes) -> Ask:
    """A read of one znode, without a watch."""
    return Ask(op, INT.pack(len(path)) + path + b"\0")


def versioned(op: int, path: bytes, version: int) -> Ask:
    """Delete or check."""
    return Ask(op, pack_buffer(path) + INT.pack(version))


def set_data(path: bytes, data: bytes | None, version: int) -> Ask:
    """Set data."""
    return Ask(ops.SET_DATA, pack_buffer(path) + pack_buffer(data) + INT.pack(version))


def set_acl(path: bytes, acl: bytes, version: int) -> Ask:
    """Set the access control list; acl as on the wire, version the list's own."""
    return Ask(ops.SET_ACL, pack_buffer(path) + acl + INT.pack(version))


def watch(path: bytes, *, recursive: bool) -> Ask:
    """A persistent watch."""
    return Ask(ops.ADD_WATCH, pack_buffer(path) + INT.pack(1 if recursive else 0))


def create(
    path: bytes,
    data: bytes | None,
    acl: bytes | None,
    *,
    sequence: bool,
    ephemeral: bool,
    container: bool,
    ttl: int,
    session: int,
) -> Ask:
    """Create a znode that anybody may do anything with, as the gateway's, unless acl, as on the wire, says
    otherwise; ttl in ms, 0 for none. Raises Fault."""
    head = pack_buffer(path) + pack_buffer(data) + (acl or acls.OPEN)
    if (container and (sequence or ephemeral)) or (ttl and (container or ephemeral)):
        raise Fault(
            400, "ephemeral, container and ttl exclude each other, and a container can't be a sequence"
        )
    if ephemeral and not session:
        raise Fault(400, "an ephemeral needs a session: POST /sessions/v1?op=create, then session=ID")
    if container:
        return Ask(ops.CREATE_CONTAINER, head + INT.pack(ops.CONTAINER_MODE))
    if ttl:
        return Ask(ops.CREATE_TTL, head + INT.pack(ops.TTL_MODES[sequence]) + LONG.pack(ttl))
    return Ask(ops.CREATE2, head + INT.pack(ephemeral * ops.EPHEMERAL_FLAG | sequence * ops.SEQUENCE_FLAG))


def multi(asked: list[Ask]) -> Ask:
    """All of them, or none."""
    return Ask(ops.MULTI, multi_wire.request(asked))


def created(answer: bytes, at: int = 0) -> Result:
    """What a create came to; its answer begins there."""
    size = INT.unpack_from(answer, at)[0]
    end = at + 4 + size
    return Result(answer[at + 4 : end], answer[end : end + STAT.size])


def results(answer: bytes, count: int) -> list[Result] | Failed:
    """What the operations of a multi came to, one by one; or which one failed it."""
    done: list[Result] = []
    at = 0
    for number in range(count):
        op, _, _ = _PART.unpack_from(answer, at)
        at += _PART.size
        if op == ops.ERROR:
            code: int = INT.unpack_from(answer, at)[0]
            if code != Code.OK:
                return Failed(number, code)
            at += INT.size
        elif op == ops.CREATE2:
            result = created(answer, at)
            done.append(result)
            at += 4 + len(result.path) + STAT.size
        elif op == ops.SET_DATA:
            done.append(Result(b"", answer[at : at + STAT.size]))
            at += STAT.size
        else:
            done.append(Result(b"", b""))
    return done
