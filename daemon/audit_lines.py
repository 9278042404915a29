"""What the audit log says of a transaction: a line for each change, in the form of ZooKeeper's AuditEvent."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from ..storage import acl as acls
from ..storage import multi, ops
from ..storage.jute import INT, LONG, Malformed, Reader
from ..storage.session import decode_identities
from ..storage.writes import HEAD
from ..storage.znode import STAT
from .logs import in_one_line

SUCCESS: Final = "success"
FAILURE: Final = "failure"
INVOKED: Final = "invoked"

_CREATES: Final = (ops.CREATE, ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL)
_OPERATIONS: Final = dict.fromkeys(_CREATES, "create") | {
    ops.DELETE: "delete",
    ops.DELETE_CONTAINER: "delete",
    ops.SET_DATA: "setData",
    ops.SET_ACL: "setAcl",
    ops.MULTI: "multiOperation",
    ops.RECONFIG: "reconfig",
}
_LOST_WITH_SESSION: Final = "ephemeralZNodeDeletionOnSessionCloseOrExpire"
_TYPES: Final = {
    0: "persistent",
    1: "ephemeral",
    2: "persistent_sequential",
    3: "ephemeral_sequential",
    4: "container",
    5: "persistent_with_ttl",
    6: "persistent_sequential_with_ttl",
}


@dataclass(frozen=True, slots=True)
class Applied:
    """A transaction that this server had proposed, and what came of it."""

    txn: bytes
    host: str | None
    """The client's address; None for what the server itself wanted."""
    error: int
    answer: bytes
    """The body of what the client was answered."""
    deleted: tuple[bytes, ...]
    """The znodes that went with a session."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return len(self.txn) + len(self.answer) + sum(map(len, self.deleted)) + 200

    def lines(self) -> Iterator[str]:
        """None for what changes no znode: sessions' beginnings and ends."""
        _, session, _, size, _ = HEAD.unpack_from(self.txn)
        at = HEAD.size + size
        op, body = INT.unpack_from(self.txn, at)[0], self.txn[at + INT.size :]
        if op == ops.CLOSE_SESSION:
            # An expiry is asked for by the server: the session stands behind the generation.
            closed = session or LONG.unpack_from(body, LONG.size)[0]
            for path in self.deleted:
                yield line(
                    session=_hex(closed), user=system_user(), operation=_LOST_WITH_SESSION, znode=_text(path)
                )
            return
        if op not in _OPERATIONS or (self.host is None and self.error):
            return  # the server's own guesses may be wrong: that changes nothing
        who = {"user": system_user()}
        if self.host is not None:
            users = _users(decode_identities(self.txn[HEAD.size : at]))
            who = {"session": _hex(session), "user": users, "ip": self.host}
        if op == ops.MULTI:
            for parts in _multi(body, self.error, self.answer):
                yield line(**who, **parts)
        else:
            yield line(**who, **_single(op, body, self.error, self.answer))


def line(*, result: str = SUCCESS, **fields: str) -> str:
    """Fields in their order, divided by tabs, without those that are empty; result last."""
    told = [f"{name}={value}" for name, value in fields.items() if value]
    return "\t".join((*told, f"result={result}"))


@cache
def system_user() -> str:
    """Who is said to have done what no client asked for: the user who runs the server."""
    try:
        return _escaped(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        return str(os.geteuid())


def _multi(body: bytes, error: int, answer: bytes) -> Iterable[dict[str, str]]:
    failed = {"operation": _OPERATIONS[ops.MULTI], "result": FAILURE}
    if error:
        return (failed,)
    results = Reader(answer)
    told: list[dict[str, str]] = []
    for op, part in multi.split(body):
        kind = results.int32()
        results.flag()
        results.int32()
        if kind == ops.ERROR:
            return (failed,)
        path = b""
        if op in _CREATES:
            path = results.text()
        if kind in (ops.CREATE2, ops.SET_DATA):
            for _ in range(STAT.size // INT.size):
                results.int32()
        if op in _OPERATIONS:  # a check changes nothing
            told.append(_single(op, part, 0, INT.pack(len(path)) + path))
    return told


def _single(op: int, body: bytes, error: int, answer: bytes) -> dict[str, str]:
    """operation, znode and what else belongs to one request; of one that is malformed, as far as it goes."""
    told = {"operation": _OPERATIONS[op], "result": FAILURE if error else SUCCESS}
    reader = Reader(body)
    try:
        if op == ops.RECONFIG:
            return told
        told["znode"] = _text(reader.text())
        if op in _CREATES:
            if not error:
                told["znode"] = _text(Reader(answer).text())  # with its number, if it is sequential
            reader.buffer()
            acls.decode(reader)
            told["znode_type"] = _TYPES.get(reader.int32(), "")
        elif op == ops.SET_ACL:
            told["acl"] = "".join(map(_acl, acls.decode(reader)))
    except Malformed:
        assert error
    return told


def _acl(entry: acls.Acl) -> str:
    return f"{_escaped(entry.scheme)}:{_escaped(entry.id)}:{acls.letters(entry.perms)}"


def _users(identities: Iterable[acls.Identity]) -> str:
    """As AuthUtil.getUsers: each scheme's name for its user; super is no scheme that has one. A comma in a
    name is escaped, as it would make two names of one."""
    names = (name.split(":")[0] if scheme == "digest" else name for scheme, name in identities)
    return ",".join(_escaped(name).replace(",", "\\x2c") for name in names if name.strip())


def _hex(session: int) -> str:
    return f"0x{session & (1 << 64) - 1:x}"


def _text(path: bytes) -> str:
    return in_one_line(path.replace(b"\\", b"\\\\").decode(errors="backslashreplace"))


def _escaped(text: str) -> str:
    return in_one_line(text.replace("\\", "\\\\"))
