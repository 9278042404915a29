"""Requests at random: most of them do something, some of them are refused, by every rule there is."""

from __future__ import annotations

from random import Random
from typing import Final

from znoded.storage import ops
from znoded.storage.acl import ADMIN, ALL, CREATE, DELETE, READ, WRITE, Acl, Identity
from znoded.storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES

from .model import Sender
from .requests import OPEN, SUPER, Request

MINE: Final[tuple[Identity, ...]] = (("ip", "10.0.0.1"), ("digest", "me:hash"))
_BAD: Final = [
    b"",
    b"a",
    b"a/b",
    b"/a/",
    b"//",
    b"//a",
    b"/a/..",
    b"/\xff",
    b"/a\0",
    b"/none/a",
    b"/",
    b"/zookeeper",
]
_NAMES: Final = [b"a", b"b", b"c", b"s0000000001"]
_DATA: Final = [None, b"", b"x", b"some more", b"0123456789" * 3]
_ACLS: Final = [
    *((Acl(ALL & ~perm, "world", "anyone"),) for perm in (READ, WRITE, CREATE, DELETE, ADMIN)),
    (Acl(ALL, "digest", "me:hash"),),
    (Acl(ALL, "auth", ""),),
    (Acl(WRITE | READ, "ip", "10.0.0.1"), Acl(ALL, "digest", "you:hash")),
    (Acl(ALL, "world", "anyone"), Acl(ALL, "world", "anyone")),
    (Acl(ALL, "nobody", "knows"),),
    (),
]
_CREATES: Final = [ops.CREATE] * 4 + [ops.CREATE2] * 2 + [ops.CREATE_CONTAINER, ops.CREATE_TTL]
_OTHERS: Final = [ops.DELETE] * 3 + [ops.SET_DATA] * 3 + [ops.CHECK]
_ALONE: Final = [ops.SET_ACL] * 2 + [ops.DELETE_CONTAINER]


class Draws:
    """The same seed draws the same requests. there: the paths of znodes that requests may be about."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def sender(self, sessions: set[int]) -> Sender:
        """Seldom one whose session is over, or who may do all."""
        pick = self.random.choice
        return Sender(
            pick(sorted(sessions)) if sessions and self.random.random() < 0.97 else 77,
            pick([MINE] * 6 + [(("ip", "10.0.0.2"),), SUPER]),
            pick([ENFORCE_QUOTA | EXTENDED_TYPES] * 6 + [ENFORCE_QUOTA, EXTENDED_TYPES]),
        )

    def request(self, there: list[bytes], *, part: bool = False) -> Request:
        """part: one that a multi may hold."""
        pick = self.random.choice
        op = pick(_CREATES + _OTHERS + ([] if part else _ALONE))
        path = self._path(there, new=op in _CREATES)
        usual = {ops.CREATE_TTL: 5, ops.CREATE_CONTAINER: 4}.get(op)
        return Request(
            op,
            path,
            pick(_DATA),
            # Which of two faults is told, the path's or the list's, matters to nobody.
            pick(_ACLS) if self.random.random() < 0.3 and path not in _BAD else OPEN,
            pick([0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7] if usual is None else [usual] * 8 + [0, 1, 2, 6]),
            pick([50] * 5 + [-1, 0, (1 << 40) - 1, 1 << 40]),
            pick([-1, -1, -1, 0, 0, 1]),
        )

    def multi(self, there: list[bytes]) -> Request:
        """Of up to five operations, which seldom all succeed."""
        parts = [self.request(there, part=True) for _ in range(self.random.randrange(6))]
        return Request(ops.MULTI, parts=tuple(parts))

    def _path(self, there: list[bytes], *, new: bool) -> bytes:
        kind = self.random.random()
        if kind < 0.07:
            return self.random.choice(_BAD)
        path = self.random.choice(there)
        if new and kind < 0.9:
            path = (path if path.count(b"/") < 4 else b"").rstrip(b"/") + b"/" + self.random.choice(_NAMES)
        return path


def set_quota(top: bytes, count: int, size: int) -> Request:
    """As the shell does it, in one transaction."""
    at = b"/zookeeper/quota" + top
    limits = b"count=-1,bytes=-1=;byteHardLimit=%d;countHardLimit=%d" % (size, count)
    return Request(
        ops.MULTI,
        parts=(
            Request(ops.CREATE, at),
            Request(ops.CREATE, at + b"/zookeeper_limits", limits),
            Request(ops.CREATE2, at + b"/zookeeper_stats"),
        ),
    )


def del_quota(top: bytes) -> Request:
    """What set_quota() made."""
    at = b"/zookeeper/quota" + top
    names = (b"/zookeeper_stats", b"/zookeeper_limits", b"")
    return Request(ops.MULTI, parts=tuple(Request(ops.DELETE, at + name) for name in names))
