"""The scripts' requests: how each is written to the wire, and how its answer is shown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .raw import (
    ERRORS,
    Acl,
    Blob,
    Op,
    Reader,
    Stat,
    acls,
    blob,
    blobs,
    bool_,
    int_,
    long,
)

_TOKEN = re.compile(r'(?:([a-z]+)=)?((?:"(?:[^"\\]|\\.)*"|[^\s"])+)')
_PERMS = "rwcda"
_SHOWN = "cdrwa"
_MODES = {"ephemeral": 1, "sequential": 2, "container": 4}
_WATCHES = {"children": 1, "data": 2, "any": 3, "persistent": 4, "recursive": 5}
_ADD_MODES = {"persistent": 0, "recursive": 1}


@dataclass(slots=True)
class Words:
    """A command line taken apart: its verb, what stands alone, and what is named."""

    verb: str
    args: list[str]
    options: dict[str, str]

    @classmethod
    def parse(cls, line: str) -> Words:
        verb, _, rest = line.partition(" ")
        args, options = [], {}
        for name, value in _TOKEN.findall(rest):
            if name:
                options[name] = value
            else:
                args.append(value)
        return cls(verb, args, options)

    def flag(self, name: str) -> bool:
        if name not in self.args:
            return False
        self.args.remove(name)
        return True

    def data(self, default: str) -> Blob:
        """The next argument as bytes."""
        return parse_bytes(self.args.pop(0) if self.args else default)

    def number(self, name: str, default: int) -> int:
        return int(self.options[name], 0) if name in self.options else default


def parse_bytes(token: str) -> Blob:
    """null, "JSON text" (lone surrogates allowed), hex:00ff, *N (N times x), or the token itself."""
    if token == "null":
        return None
    if token.startswith('"'):
        parsed: str = json.loads(token)
        return parsed.encode("utf-8", "surrogatepass")
    if token.startswith("hex:"):
        return bytes.fromhex(token[4:])
    if token.startswith("*"):
        return b"x" * int(token[1:])
    return token.encode()


def _list(words: Words, name: str) -> bytes:
    given = words.options.get(name)
    return blobs([parse_bytes(p) for p in given.split(",")] if given else [])


def digest(user_password: str) -> str:
    """The id of the digest scheme for USER:PASSWORD."""
    hashed = base64.b64encode(hashlib.sha1(user_password.encode()).digest()).decode()
    return f"{user_password.partition(':')[0]}:{hashed}"


def _acl(words: Words) -> bytes:
    """acl=SCHEME:ID:PERMS,... where <USER:PASSWORD> in an id stands for its digest."""
    given = words.options.get("acl", "world:anyone:cdrwa")
    if given == "null":
        return acls(None)
    if given == "none":
        return acls([])
    entries = []
    for entry in given.split(","):
        rest, _, perms = entry.rpartition(":")
        scheme, _, id_ = rest.partition(":")
        bits = int(perms) if perms.isdigit() else sum(1 << _PERMS.index(p) for p in perms)
        entries.append(Acl(bits, scheme, re.sub("<(.*)>", lambda m: digest(m[1]), id_)))
    return acls(entries)


@dataclass(slots=True)
class Names:
    """Gives what differs between runs a stable name: zxids, sessions, times."""

    sessions: dict[int, str] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)
    writes: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def wrote(self, zxid: int, began: float) -> None:
        """A write that began at that time (s since the epoch) got this zxid."""
        if zxid not in self.writes:
            label = f"w{len(self.writes) + 1}"
            self.writes[zxid] = (label, int(began * 1000), int(time.time() * 1000) + 1)

    def zxid(self, zxid: int) -> str:
        if zxid in self.writes:
            return self.writes[zxid][0]
        if zxid == 0:
            return "0"
        if zxid < min(self.writes, default=0):
            return "earlier"
        if zxid not in self.others:
            self.others.append(zxid)
        return f"x{self.others.index(zxid) + 1}"

    def zxid_of(self, label: str) -> int:
        """The zxid of w1, w2, ..., or the number itself."""
        found = [z for z, (name, _, _) in self.writes.items() if name == label]
        return found[0] if found else int(label, 0)

    def session(self, session: int) -> str:
        return self.sessions.get(session, "unknown")

    def owner(self, owner: int) -> str:
        if owner == -(1 << 63):
            return "container"
        if owner >> 56 == -1:
            return f"ttl:{owner & (1 << 40) - 1}"
        return self.session(owner)

    def stat(self, s: Stat) -> str:
        """Every field that is not 0, mzxid and pzxid only where they differ from czxid, times only
        where they do not lie within the write that set them."""
        shown = [f"czxid={self.zxid(s.czxid)}"]
        if s.mzxid != s.czxid:
            shown.append(f"mzxid={self.zxid(s.mzxid)}")
        if s.pzxid != s.czxid:
            shown.append(f"pzxid={self.zxid(s.pzxid)}")
        shown += [f"{n}={getattr(s, n)}" for n in ("version", "cversion", "aversion") if getattr(s, n)]
        if s.ephemeralOwner:
            shown.append(f"owner={self.owner(s.ephemeralOwner)}")
        shown += [f"{n}={getattr(s, n)}" for n in ("dataLength", "numChildren") if getattr(s, n)]
        for name, zxid, at in (("ctime", s.czxid, s.ctime), ("mtime", s.mzxid, s.mtime)):
            _, begin, end = self.writes.get(zxid, ("", at if zxid else 0, at if zxid else 0))
            if not begin <= at <= end:
                shown.append(f"{name}=off-by-{at - begin}ms")
        return " ".join(shown)


def show(value: Blob) -> str:
    """Bytes as the scripts write them."""
    if value is None:
        return "null"
    if len(value) > 64 and value == b"x" * len(value):
        return f"*{len(value)}"
    if all(32 <= byte < 127 for byte in value):
        return json.dumps(value.decode())
    return f"hex:{value.hex()}"


def name(path: str) -> str:
    """A path or a child's name as the scripts write it."""
    return path if re.fullmatch("[!-~]+", path) else json.dumps(path)


def error(code: int) -> str:
    return f"error {ERRORS.get(code, 'UNKNOWN')} ({code})"


def _show_acl(acl: Acl) -> str:
    bits = "".join(p for p in _SHOWN if acl.perms & 1 << _PERMS.index(p))
    return f"{acl.scheme}:{acl.id}:{bits if 0 < acl.perms < 32 else acl.perms}"


def _names(names: list[str]) -> str:
    return "[" + ", ".join(name(n) for n in sorted(names)) + "]"


def _create(words: Words) -> bytes:
    default = {"createContainer": 4, "createTTL": 5}.get(words.verb, 0)
    mode = sum(bit for name, bit in _MODES.items() if words.flag(name))
    if words.verb == "createTTL":
        mode = default + bool(mode)
    body = blob(words.data("null")) + blob(words.data('""')) + _acl(words)
    body += int_(words.number("flags", mode or default))
    return body + long(words.number("ttl", -1)) if words.verb == "createTTL" else body


def _path(words: Words) -> bytes:
    return blob(words.data("null"))


def _versioned(words: Words) -> bytes:
    return _path(words) + int_(words.number("version", -1))


def _watchable(words: Words) -> bytes:
    watch = words.flag("watch")
    return _path(words) + bool_(watch)


def _set_data(words: Words) -> bytes:
    return _path(words) + blob(words.data('""')) + int_(words.number("version", -1))


def _set_acl(words: Words) -> bytes:
    return _path(words) + _acl(words) + int_(words.number("version", -1))


def _typed(kinds: dict[str, int]) -> Callable[[Words], bytes]:
    def body(words: Words) -> bytes:
        path = _path(words)
        kind = words.args[0]
        return path + int_(kinds[kind] if kind in kinds else int(kind))

    return body


def _reconfig(words: Words) -> bytes:
    return blob(words.data("null")) + blob(words.data("null")) + blob(words.data("null")) + long(-1)


def _auth(words: Words) -> bytes:
    return int_(0) + blob(words.data("null")) + blob(words.data('""'))


def _nothing(words: Words) -> bytes:
    return b""


_BODIES: dict[str, Callable[[Words], bytes]] = {
    "create": _create,
    "create2": _create,
    "createContainer": _create,
    "createTTL": _create,
    "delete": _versioned,
    "deleteContainer": _path,
    "exists": _watchable,
    "getData": _watchable,
    "setData": _set_data,
    "getACL": _path,
    "setACL": _set_acl,
    "getChildren": _watchable,
    "getChildren2": _watchable,
    "getEphemerals": _path,
    "getAllChildrenNumber": _path,
    "check": _versioned,
    "sync": _path,
    "whoAmI": _nothing,
    "addWatch": _typed(_ADD_MODES),
    "removeWatches": _typed(_WATCHES),
    "checkWatches": _typed(_WATCHES),
    "reconfig": _reconfig,
    "auth": _auth,
    "ping": _nothing,
    "close": _nothing,
}


def body(words: Words, parts: list[Words], names: Names) -> bytes:
    """A request's bytes after the header; parts are the operations inside a multi."""
    if words.verb in ("multi", "multiRead"):
        inner = b"".join(int_(Op[p.verb]) + bool_(False) + int_(-1) + _BODIES[p.verb](p) for p in parts)
        return inner + int_(-1) + bool_(True) + int_(-1)
    if words.verb in ("setWatches", "setWatches2"):
        kinds = ["data", "exist", "child", "persistent", "recursive"]
        seen = long(names.zxid_of(words.options["zxid"]))
        return seen + b"".join(_list(words, k) for k in kinds[: 3 if words.verb == "setWatches" else 5])
    return _BODIES[words.verb](words)


def _show_multi(r: Reader, names: Names) -> str:
    lines: list[str] = []
    while True:
        kind, done, err = r.int_(), r.bool_(), r.int_()
        if done:
            return "\n".join(lines)
        if kind == Op.error:
            told = r.int_()
            shown = error(told) if told else "undone (0)"
            lines.append(f"  {shown}" if told == err else f"  {shown}, {err} in its header")
        else:
            lines.append(f"  {Op(kind).name} {_ANSWERS[Op(kind).name](r, names)}".rstrip())


def _create2_answer(r: Reader, n: Names) -> str:
    return f"{name(r.text())} {n.stat(r.stat())}"


def _stat_answer(r: Reader, n: Names) -> str:
    return n.stat(r.stat())


def _nothing_answer(r: Reader, n: Names) -> str:
    return ""


_ANSWERS: dict[str, Callable[[Reader, Names], str]] = {
    "create": lambda r, n: name(r.text()),
    "create2": _create2_answer,
    "createContainer": _create2_answer,
    "createTTL": _create2_answer,
    "delete": _nothing_answer,
    "deleteContainer": _nothing_answer,
    "exists": _stat_answer,
    "getData": lambda r, n: f"{show(r.blob())} {n.stat(r.stat())}",
    "setData": _stat_answer,
    "getACL": lambda r, n: f"[{', '.join(map(_show_acl, r.acls()))}] {n.stat(r.stat())}",
    "setACL": _stat_answer,
    "getChildren": lambda r, n: _names(r.texts()),
    "getChildren2": lambda r, n: f"{_names(r.texts())} {n.stat(r.stat())}",
    "getEphemerals": lambda r, n: _names(r.texts()),
    "getAllChildrenNumber": lambda r, n: str(r.int_()),
    "check": _nothing_answer,
    "sync": lambda r, n: name(r.text()),
    "whoAmI": lambda r, n: _names([f"{r.text()}:{r.text()}" for _ in range(r.int_())]),
    "addWatch": lambda r, n: "" if (code := r.int_()) == 0 else error(code),
    "multi": _show_multi,
    "multiRead": _show_multi,
}

WRITES = frozenset(
    {"create", "create2", "createContainer", "createTTL", "delete", "deleteContainer"}
    | {"setData", "setACL", "multi", "close"}
)


def answer(verb: str, content: bytes, names: Names) -> str:
    """A successful answer's body, shown; names what is left over."""
    r = Reader(content)
    shown = _ANSWERS.get(verb, _nothing_answer)(r, names)
    return f"{shown} and {r.left} bytes more" if r.left else shown
