"""ZooKeeper's rules told once more, as naively as possible: dicts, and everything counted from scratch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from znoded.storage import ops
from znoded.storage.acl import ADMIN, CREATE, DELETE, READ, WRITE, Acl, Identity
from znoded.storage.errors import Code
from znoded.storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES
from znoded.storage.znode import Stat

from .requests import OPEN, READ_ONLY, Answer, Request

CREATED, DELETED, CHANGED = 1, 2, 3
_SPECIAL = (b"/", b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/config")


class Refused(Exception):
    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def refuse_if(wrong: bool, code: Code) -> None:
    if wrong:
        raise Refused(code)


@dataclass
class Node:
    zxid: int
    time: int
    data: bytes | None = b""
    acl: tuple[Acl, ...] = OPEN
    owner: int = 0
    """The session of an ephemeral."""
    ttl: int | None = None
    """Of a TTL znode in ms; 0 for a container, which may go as soon as it is empty."""
    mzxid: int = 0
    mtime: int = 0
    version: int = 0
    aversion: int = 0
    pzxid: int = 0
    creates: int = 0

    def __post_init__(self) -> None:
        self.mzxid = self.pzxid = self.zxid
        self.mtime = self.time


@dataclass
class Sender:
    """Who sent a request, and to a server configured how."""

    session: int = 0
    identities: tuple[Identity, ...] = ()
    flags: int = 0


@dataclass
class Model:
    nodes: dict[bytes, Node] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    zxid: int = 0
    time: int = 0
    generation: int = 0
    events: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = {path: Node(0, 0) for path in _SPECIAL}
        self.nodes[b"/zookeeper/config"].acl = READ_ONLY
        self.nodes[b"/zookeeper/config"].aversion = -1

    # questions

    def children(self, path: bytes) -> set[bytes]:
        return {other.rpartition(b"/")[2] for other in self.nodes if other != b"/" and parent(other) == path}

    def below(self, path: bytes) -> list[bytes]:
        """The paths of a subtree, its top included."""
        return [other for other in self.nodes if other == path or other.startswith(path.rstrip(b"/") + b"/")]

    def data(self, path: bytes) -> bytes | None:
        """A quota's usage is what there is, counted now."""
        top = path.removeprefix(b"/zookeeper/quota").removesuffix(b"/zookeeper_stats")
        if path.endswith(b"/zookeeper_stats") and self.limits(top):
            count, size = self.usage(top)
            return b"count=%d,bytes=%d" % (count, size)
        return self.nodes[path].data

    def usage(self, top: bytes) -> tuple[int, int]:
        subtree = self.below(top)
        return len(subtree), sum(len(self.nodes[path].data or b"") for path in subtree)

    def limits(self, top: bytes) -> dict[bytes, int]:
        node = self.nodes.get(b"/zookeeper/quota%s/zookeeper_limits" % top)
        if node is None:
            return {}
        pairs = (pair.split(b"=") for pair in (node.data or b"").replace(b";", b",").split(b","))
        return {pair[0]: int(pair[1]) for pair in pairs}

    def stat(self, path: bytes) -> Stat:
        node, children = self.nodes[path], len(self.children(path))
        return Stat(
            node.zxid,
            node.mzxid,
            node.time,
            node.mtime,
            node.version,
            2 * node.creates - children,  # DataTree.copyStat
            node.aversion,
            node.owner,
            len(self.data(path) or b""),
            children,
            node.pzxid,
        )

    def ephemerals(self, session: int) -> list[bytes]:
        return sorted(path for path, node in self.nodes.items() if session and node.owner == session)

    def size(self) -> int:
        return sum(len(path) + len(self.data(path) or b"") for path in self.nodes)

    # changes

    def apply(self, zxid: int, time: int, sender: Sender, request: Request) -> tuple[int, Answer]:
        """Error code and answer of a client's request."""
        self.begin(zxid, time)
        try:
            refuse_if(sender.session not in self.sessions and sender.session != 0, Code.SESSIONEXPIRED)
            if request.op == ops.MULTI:
                return 0, self._multi(sender, request)
            return 0, self._one(sender, request)
        except Refused as refusal:
            return refusal.code, None

    def begin(self, zxid: int, time: int) -> None:
        self.zxid, self.time = zxid, max(time, self.time)
        self.events = []

    def close(self, session: int) -> None:
        for path in self.ephemerals(session):
            self._remove(path)
        self.sessions.discard(session)

    def expire(self, session: int, generation: int) -> None:
        if generation >= self.generation:
            self.close(session)

    def _multi(self, sender: Sender, request: Request) -> list[Answer | int]:
        for part in request.parts:
            made = part.op in (ops.CREATE, ops.CREATE2, ops.CREATE_CONTAINER, ops.CREATE_TTL)
            refuse_if(made and part.flags not in range(7), Code.MARSHALLINGERROR)
        nodes = copy.deepcopy(self.nodes)
        results: list[Answer | int] = []
        try:
            for part in request.parts:
                answer = self._one(sender, part)
                results.append(answer)
        except Refused as refusal:
            self.nodes, self.events = nodes, []
            rest = len(request.parts) - len(results) - 1
            return [*[0] * len(results), int(refusal.code), *[int(Code.RUNTIMEINCONSISTENCY)] * rest]
        return results

    def _one(self, sender: Sender, request: Request) -> Answer:
        if request.op == ops.SET_DATA:
            return self._set_data(sender, request)
        if request.op == ops.SET_ACL:
            return self._set_acl(sender, request)
        if request.op == ops.DELETE:
            self._delete(sender, request)
        elif request.op == ops.CHECK:
            self._check(sender, request)
        elif request.op == ops.DELETE_CONTAINER:
            self._delete_container(request)
        else:
            return self._create(sender, request)
        return None

    def _create(self, sender: Sender, request: Request) -> Answer:
        op, flags, path = request.op, request.flags, request.path
        refuse_if(flags not in range(7), Code.BADARGUMENTS)
        refuse_if(flags in (5, 6) and not sender.flags & EXTENDED_TYPES, Code.UNIMPLEMENTED)
        ttl = request.ttl if op == ops.CREATE_TTL else -1
        refuse_if((flags in (5, 6)) != (op == ops.CREATE_TTL), Code.BADARGUMENTS)
        refuse_if(op == ops.CREATE_TTL and not 0 < ttl < 1 << 40, Code.BADARGUMENTS)
        refuse_if(b"/" not in path or b"\0" in path, Code.BADARGUMENTS)
        acl = self._fixed(sender, request.acl)
        above = self._node(parent(path))
        self._permit(sender, above.acl, CREATE)
        if flags in (2, 3, 6):
            path += b"%010d" % above.creates
        refuse_if(not is_good(path), Code.BADARGUMENTS)
        refuse_if(path in self.nodes, Code.NODEEXISTS)
        refuse_if(above.owner != 0, Code.NOCHILDRENFOREPHEMERALS)
        size = len(request.data or b"")
        self._check_quota(sender, path, 1, size)
        mortal = 0 if op == ops.CREATE_CONTAINER else ttl if op == ops.CREATE_TTL else None
        owner = sender.session if flags in (1, 3) and mortal is None else 0
        self.nodes[path] = Node(self.zxid, self.time, request.data, acl, owner, mortal)
        above.creates += 1
        above.pzxid = self.zxid
        self.events.append((CREATED, path))
        if op == ops.CREATE:
            return path
        stat = self.stat(path)
        return path, stat._replace(data_length=size)  # what was sent, also where a count takes its place

    def _delete(self, sender: Sender, request: Request) -> None:
        path = request.path
        refuse_if(b"/" not in path or b"\0" in path or path in _SPECIAL, Code.BADARGUMENTS)
        self._permit(sender, self._node(parent(path)).acl, DELETE)
        node = self._node(path)
        refuse_if(request.version not in (-1, node.version), Code.BADVERSION)
        refuse_if(bool(self.children(path)), Code.NOTEMPTY)
        self._remove(path)

    def _delete_container(self, request: Request) -> None:
        path = request.path
        refuse_if(path in _SPECIAL, Code.BADARGUMENTS)
        node = self._node(path)
        refuse_if(node.ttl is None, Code.BADVERSION)
        refuse_if(node.ttl != 0 and self.time - node.mtime <= (node.ttl or 0), Code.BADVERSION)
        refuse_if(bool(self.children(path)), Code.NOTEMPTY)
        self._remove(path)

    def _remove(self, path: bytes) -> None:
        del self.nodes[path]
        self.nodes[parent(path)].pzxid = self.zxid
        self.events.append((DELETED, path))

    def _set_data(self, sender: Sender, request: Request) -> Stat:
        path = request.path
        refuse_if(not is_good(path), Code.BADARGUMENTS)
        node = self._node(path)
        self._permit(sender, node.acl, WRITE)
        self._check_quota(sender, path, 0, len(request.data or b"") - len(node.data or b""))
        refuse_if(request.version not in (-1, node.version), Code.BADVERSION)
        node.data = request.data
        node.version += 1
        node.mzxid, node.mtime = self.zxid, self.time
        self.events.append((CHANGED, path))
        return self.stat(path)

    def _set_acl(self, sender: Sender, request: Request) -> Stat:
        refuse_if(not is_good(request.path), Code.BADARGUMENTS)
        acl = self._fixed(sender, request.acl)
        node = self._node(request.path)
        self._permit(sender, node.acl, ADMIN)
        refuse_if(request.version not in (-1, node.aversion), Code.BADVERSION)
        node.acl = acl
        node.aversion = 0 if node.aversion == -2 else node.aversion + 1
        return self.stat(request.path)

    def _check(self, sender: Sender, request: Request) -> None:
        refuse_if(not is_good(request.path), Code.BADARGUMENTS)
        node = self._node(request.path)
        self._permit(sender, node.acl, READ)
        refuse_if(request.version not in (-1, node.version), Code.BADVERSION)

    def _node(self, path: bytes) -> Node:
        refuse_if(path not in self.nodes, Code.NONODE)
        return self.nodes[path]

    def _permit(self, sender: Sender, acl: tuple[Acl, ...], permission: int) -> None:
        mine = {("world", "anyone"), *sender.identities}
        given = any(perms & permission and (scheme, id) in mine for perms, scheme, id in acl)
        refuse_if(not given and ("super", "") not in mine, Code.NOAUTH)

    def _fixed(self, sender: Sender, acl: tuple[Acl, ...]) -> tuple[Acl, ...]:
        fixed: list[Acl] = []
        for entry in dict.fromkeys(acl):
            if entry.scheme == "auth":
                proved = [one for one in sender.identities if one[0] in ("digest", "x509")]
                mine = [Acl(entry.perms, scheme, id) for scheme, id in proved]
                refuse_if(not mine, Code.INVALIDACL)
                fixed += mine
            else:
                refuse_if(entry.scheme not in ("world", "digest", "ip", "x509"), Code.INVALIDACL)
                fixed.append(entry)
        refuse_if(not fixed, Code.INVALIDACL)
        return tuple(fixed)

    def _check_quota(self, sender: Sender, path: bytes, count: int, size: int) -> None:
        if not sender.flags & ENFORCE_QUOTA:
            return
        while path != b"/":
            limits = self.limits(path)
            if limits and b"/zookeeper/quota%s/zookeeper_stats" % path in self.nodes:
                has = self.usage(path)
                most = limits[b"countHardLimit"], limits[b"byteHardLimit"]
                for change, there, limit in zip((count, size), has, most, strict=True):
                    refuse_if(bool(change) and -1 < limit < there + change, Code.QUOTAEXCEEDED)
            path = parent(path)


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def is_good(path: bytes) -> bool:
    """For the few bad ones that tests use."""
    names = path.split(b"/")
    if path == b"/":
        return True
    if names[0] != b"" or len(names) < 2 or b"\xff" in path or b"\0" in path:
        return False
    return not any(name in (b"", b".", b"..") for name in names[1:])
