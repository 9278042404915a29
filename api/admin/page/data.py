"""What the live page shows, as data: each answer bounded, however large the tree and many the clients.

Ids and zxids are text, because a browser's numbers have 53 bits.

The page is open to whoever reaches the admin port, so what a znode holds, its data and its children's
names, is shown only if its ACL lets anyone read it. The rest (stats, ACLs without hashes, owners, watchers)
is an administrator's business, and told of any znode.
"""

from __future__ import annotations

import re
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Final, TypeAlias, TypeVar

from ....storage import acl as acls
from ....storage import paths
from ..commands import address
from ..ensemble import Ensemble
from ..view import Interval, Sample, ServerView, Znode

_PREVIEW: Final = 4096
"""Bytes of data that are shown, if it is text."""
_DUMP: Final = 512
"""Bytes that are shown, if it is not."""
_MOST: Final = 1000
"""Items of a list in one answer."""
_FEW: Final = 100
"""Items of lists that have no further pages."""
_ROOM: Final = 256 * 1024
"""Bytes of names or paths in a list: each may be a megabyte."""

_IDS: Final = ("czxid", "mzxid", "pzxid", "ephemeral_owner")
_KINDS: Final = ((1, "data"), (2, "children"), (4, "persistent"), (8, "recursive"))
"""The bits of a watch table's kinds."""
_BINARY: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SIGN: Final = 1 << 63

_Json: TypeAlias = Mapping[str, object]
_T = TypeVar("_T")


class Refused(Exception):
    """There is no answer; str() says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Data:
    """A server's answers to the page."""

    def __init__(self, server: ServerView) -> None:
        self._server = server

    def live(self, since: int) -> _Json:
        """How it is now, and the samples taken after since (an uptime, ms)."""
        server = self._server
        uptime = server.uptime
        return {
            "mode": server.mode,
            "serving": server.serving,
            "ensemble": None if server.ensemble is None else _ensemble(server.ensemble),
            "version": server.version,
            "uptime": uptime,
            "started": int(time.time() * 1000) - uptime,
            "zxid": _hex(server.zxid),
            "sessions": len(server.sessions),
            "connections": len(server.connections),
            "watches": server.watches.count,
            "znodes": server.node_count,
            "ephemerals": server.ephemerals_count,
            "data_size": server.data_size,
            "outstanding": server.outstanding,
            "history": [_sample(sample) for sample in list(server.history) if sample.uptime > since],
        }

    def tree(self, path: bytes, after: bytes, limit: int) -> _Json:
        """A znode, and those of its children whose names come after that one."""
        server = self._server
        self._need_server()
        fault = paths.fault(path)
        if fault is not None:
            raise Refused(400, f"not a path: {fault}")
        znode = server.znode(path)
        if znode is None:
            raise Refused(404, f"there is no {path.decode()}")
        stat, owner = znode.stat, znode.stat.ephemeral_owner
        watchers, more_watchers = _bounded(server.watches.watchers(path), lambda found: len(found[2]), _FEW)
        acl, more_acl = _bounded(acls.redact(znode.acl), lambda entry: len(entry.id), _FEW)
        addresses = self._addresses({owner, *(watcher.session_id for watcher, _, _ in watchers)})
        return {
            "path": path.decode(),
            "stat": {**stat._asdict(), **{name: _hex(getattr(stat, name)) for name in _IDS}},
            "container": znode.container,
            "ttl": znode.ttl,
            "owner": {"session": _hex(owner), "address": addresses.get(owner)} if owner else None,
            "acl": _list(
                (
                    {"perms": acls.letters(entry.perms), "scheme": entry.scheme, "id": entry.id}
                    for entry in acl
                ),
                more_acl,
            ),
            "public": znode.public,
            "data": _preview(znode),
            "children": self._children(path, after, min(limit, _MOST)) if znode.public else None,
            "watchers": _list(
                (
                    {
                        "session": _hex(watcher.session_id),
                        "address": addresses.get(watcher.session_id),
                        "kinds": _kinds(kinds),
                        "at": _text(at),
                    }
                    for watcher, kinds, at in watchers
                ),
                more_watchers,
            ),
        }

    def sessions(self, offset: int, limit: int) -> _Json:
        """Sessions, in the order they came."""
        server = self._server
        self._need_server()
        found, more = _bounded(islice(server.sessions, offset, None), lambda _: 0, min(limit, _MOST))
        addresses = self._addresses(found)
        return _list(
            (
                {
                    "session": _hex(session),
                    "address": addresses.get(session),
                    "timeout": server.session_timeout(session),
                }
                for session in found
            ),
            more,
        )

    def session(self, asked: str) -> _Json:
        """A session (its id in hexadecimal), what it owns and what it watches."""
        server = self._server
        self._need_server()
        try:
            session = (int(asked, 16) + _SIGN) % (2 * _SIGN) - _SIGN
        except ValueError:
            raise Refused(400, f"a session's id is hexadecimal, not {asked}") from None
        timeout = server.session_timeout(session)
        if timeout is None:
            raise Refused(404, f"there is no session {_hex(session)}: it was closed, or has expired")
        owned, more_owned = _bounded(server.ephemerals_after(session, b"", _FEW + 1), len, _FEW)
        watched, more_watched = _bounded(server.watched(session), lambda found: len(found[0]), _FEW)
        return {
            "session": _hex(session),
            "address": self._addresses({session}).get(session),
            "timeout": timeout,
            "owns": _list(map(_text, owned), more_owned),
            "watches": _list(
                ({"path": _text(path), "kinds": _kinds(kinds)} for path, kinds in watched), more_watched
            ),
        }

    def _need_server(self) -> None:
        if not self._server.serving:
            raise Refused(503, "the server is not serving")

    def _children(self, path: bytes, after: bytes, limit: int) -> _Json:
        server = self._server
        names, more = _bounded(server.children_after(path, after, limit + 1), len, limit)
        above = path if path.endswith(b"/") else path + b"/"
        children = []
        for name in names:
            child = server.znode(above + name)
            assert child is not None
            children.append(
                {
                    "name": name.decode(),
                    "children": child.stat.num_children,
                    "ephemeral": child.stat.ephemeral_owner != 0,
                }
            )
        return _list(children, more)

    def _addresses(self, sessions: Collection[int]) -> Mapping[int, str]:
        """Where those sessions are connected, if they are."""
        return {
            connection.session_id: address(connection)
            for connection in self._server.connections
            if connection.session_id in sessions
        }


def _bounded(items: Iterable[_T], size: Callable[[_T], int], limit: int) -> tuple[list[_T], bool]:
    """The first of the items, as many as fit; and whether there are more."""
    taken: list[_T] = []
    room = _ROOM
    for item in items:
        if len(taken) == limit or (taken and size(item) > room):
            return taken, True
        taken.append(item)
        room -= size(item)
    return taken, False


def _list(items: Iterable[object], more: bool) -> _Json:
    return {"items": list(items), "more": more}


def _ensemble(ensemble: Ensemble) -> _Json:
    learnt = ("follows", "synced", "lag") if ensemble.leads else ()
    names = ("id", "observer", "connected", *learnt)
    return {
        "me": ensemble.me,
        "leader": ensemble.leader,
        "epoch": ensemble.epoch,
        "phase": ensemble.phase,
        "peers": [{name: getattr(peer, name) for name in names} for peer in ensemble.peers],
    }


def _sample(sample: Sample) -> _Json:
    return {
        name: value._asdict() if isinstance(value, Interval) else value
        for name, value in sample._asdict().items()
    }


def _preview(znode: Znode) -> _Json | None:
    """None where there is nothing that anyone may see."""
    if not znode.public or znode.data is None:
        return None
    start = znode.data[:_PREVIEW]
    try:
        # A character that the preview cuts in two is left out.
        text = getincrementaldecoder("utf-8")().decode(start, final=len(start) == len(znode.data))
    except UnicodeDecodeError:
        text = "\0"
    if _BINARY.search(text):
        shown = znode.data[:_DUMP]
        return {"hex": shown.hex(), "more": len(shown) < len(znode.data)}
    return {"text": text, "more": len(start) < len(znode.data)}


def _kinds(kinds: int) -> list[str]:
    return [name for bit, name in _KINDS if kinds & bit]


def _hex(number: int) -> str:
    return f"{number % (2 * _SIGN):#x}"


def _text(path: bytes) -> str:
    return path.decode(errors="replace")
