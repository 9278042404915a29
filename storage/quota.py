"""Quotas: the texts under /zookeeper/quota, where they stand, and when a change is too much.

The znode /zookeeper/quota/a/b/zookeeper_limits limits the subtree at /a/b, itself included; its sibling
zookeeper_stats says what the subtree holds. Both are a StatsTrack of ZooKeeper's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ROOT: Final = b"/zookeeper/quota"
LIMITS_NAME: Final = b"zookeeper_limits"
STATS_NAME: Final = b"zookeeper_stats"

_SEPARATORS: Final = re.compile(rb"[,;]+")
_NUMBER: Final = re.compile(rb"[+-]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Track:
    """Numbers of znodes and bytes of data: what a subtree holds, or what it may. -1: not given."""

    count: int = -1
    bytes: int = -1
    count_hard: int = -1
    bytes_hard: int = -1


@dataclass(frozen=True, slots=True)
class Excess:
    """The limit that a change would pass: of count or bytes; now is what there would be. As text it ends
    ZooKeeper's sentence `Quota exceeded: /path [...]`."""

    what: str
    hard: bool
    now: int
    limit: int

    def __str__(self) -> str:
        kind = ("hard" if self.hard else "soft") + ("CountLimit" if self.what == "count" else "ByteLimit")
        return f"[current {self.what}={self.now}, {kind}={self.limit}]"


def parse(data: bytes | None) -> Track:
    """What the data of a limits or stats znode says. What can't be read is not given: any client may write
    there, and no text of its must stop the writes of others."""
    found: dict[bytes, int] = {}
    for pair in _SEPARATORS.split(data or b""):
        key, _, rest = pair.partition(b"=")
        number = rest.partition(b"=")[0]
        if _NUMBER.fullmatch(number) and -(1 << 63) <= int(number) < 1 << 63:
            found[key] = int(number)
    get = found.get
    return Track(get(b"count", -1), get(b"bytes", -1), get(b"countHardLimit", -1), get(b"byteHardLimit", -1))


def format_usage(count: int, size: int) -> bytes:
    """The data of a stats znode."""
    return b"count=%d,bytes=%d" % (count, size)


def format_limits(limits: Track) -> bytes:
    """The data of a limits znode, as setquota writes it."""
    # The second = after bytes is ZooKeeper's: readers older than hard limits stop there.
    return b"count=%d,bytes=%d=;byteHardLimit=%d;countHardLimit=%d" % (
        limits.count,
        limits.bytes,
        limits.bytes_hard,
        limits.count_hard,
    )


def excess(limits: Track, usage: Track, count: int, size: int) -> Excess | None:
    """The limit that a change by so many znodes and bytes would pass, a hard one before a soft one
    (ZooKeeperServer.checkQuota).

    A hard limit hides the soft one beside it. A change that leaves a number alone is not held against it,
    but one that lowers it is: a subtree above its limit shrinks by deletes, which nobody checks.
    """
    passed = []
    for what, change, there, soft, hard in (
        ("count", count, usage.count, limits.count, limits.count_hard),
        ("bytes", size, usage.bytes, limits.bytes, limits.bytes_hard),
    ):
        limit = hard if hard > -1 else soft
        if change and -1 < limit < there + change:
            passed.append(Excess(what, hard > -1, there + change, limit))
    return max(passed, key=lambda found: found.hard, default=None)


def limits_path(path: bytes) -> bytes:
    """Where the limits of the subtree at path stand."""
    return b"%s%s/%s" % (ROOT, path, LIMITS_NAME)


def stats_path(path: bytes) -> bytes:
    """Where the usage of the subtree at path stands."""
    return b"%s%s/%s" % (ROOT, path, STATS_NAME)


def path_below(path: bytes) -> bytes:
    """The subtree that a limits or stats znode is about; empty for those right below ROOT, which are about
    none: the root has no quota."""
    return path[len(ROOT) : path.rindex(b"/")]
