"""Runs a script of requests against a server and writes down what it answers.

A script is text that a person can read. A line is a comment (#), a command (`SESSION: VERB ...`), an
operation inside the multi above it (`- VERB ...`), or, indented by four spaces, a line of the answer.
play() gives the script back with the answers of the server at hand: recording writes that down, testing
compares it. Sessions open by themselves when they are first named.

What differs between runs has a name: w1, w2, ... are the zxids of the script's writes, in their order
(a write's answer shows its own), x1, x2, ... those of what the server wrote by itself, and a session is
called after the letter that opened it. Lists that come in no order are sorted. Times are checked, and
shown only if wrong. What reaches a session beside its own answers (events, the end of its connection) is
shown below the command that caused it.

Verbs beside the protocol's requests: `connect` (timeout=, session= to go on with another's, password=,
zxid=, readonly, old: without the read-only flag, quiet: never pinged), `drop` (hang up without closing
the session), `wait` (for one event, or the connection's end), `raw TYPE BYTES`, `open` and `bytes BYTES`
(no framing). A command that ends with & does not wait for its answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from .commands import WRITES, Names, Words, answer, body, error, name, parse_bytes
from .raw import (
    AUTH,
    EVENTS,
    PING,
    SET_WATCHES,
    Blob,
    Closed,
    Connection,
    Event,
    Item,
    Op,
    Reader,
    Reply,
    Silence,
    bool_,
    int_,
    text,
)

SUPER = "super:secret"
"""The super user that servers under these scripts are configured with."""

_XIDS = {"ping": PING, "auth": AUTH, "setWatches": SET_WATCHES, "setWatches2": SET_WATCHES}


@dataclass(slots=True)
class _Actor:
    name: str
    connection: Connection
    polled: bool = False
    waiting: list[tuple[int, str, float]] = field(default_factory=list)


class Run:
    """One run of a script."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._names = Names()
        self._actors: dict[str, _Actor] = {}
        self._passwords: dict[int, bytes] = {}
        self._seen = 0

    def command(self, line: str, parts: list[str]) -> list[str]:
        """Do what a command line says; the lines of its answer."""
        who, _, rest = line.partition(": ")
        later = rest.endswith(" &")
        words = Words.parse(rest.removesuffix(" &"))
        said = self._do(who, words, [Words.parse(p) for p in parts], later)
        if not later:
            for actor in sorted(self._actors.values(), key=lambda a: (a.name != who, a.name)):
                if actor.polled and not actor.waiting:
                    prefix = "" if actor.name == who else f"{actor.name}: "
                    said += [prefix + shown for shown in self._poll(actor)]
        return said

    def end(self) -> None:
        """Close every session that is still connected."""
        for actor in self._actors.values():
            if actor.polled:
                actor.connection.send(Op.close)
                while isinstance(actor.connection.read(), Event | Reply):
                    pass
            actor.connection.drop()

    def _do(self, who: str, words: Words, parts: list[Words], later: bool) -> list[str]:
        actor = self._actors.get(who)
        if words.verb in ("connect", "open") or actor is None:
            before = actor
            actor = self._actors[who] = _Actor(who, Connection.open(self._server))
            asked = words if words.verb == "connect" else Words("connect", [], {})
            told = self._connect(actor, asked) if words.verb != "open" else []
            if before:
                before.connection.drop()
            if words.verb in ("connect", "open"):
                return told
        connection = actor.connection
        if words.verb == "drop":
            actor.polled = False
            connection.drop()
            return []
        if words.verb == "wait":
            return self._show(actor, [connection.read()])
        if words.verb == "bytes":
            connection.write(words.data("null") or b"")
            return []
        if words.verb == "raw":
            kind = int(words.args.pop(0))
            content = words.data("hex:") or b""
        else:
            kind = Op[words.verb]
            content = body(words, parts, self._names)
        began = time.time()
        xid = connection.send(kind, content, _XIDS.get(words.verb))
        actor.waiting.append((xid, words.verb, began))
        return [] if later else self._answers(actor)

    def _connect(self, actor: _Actor, words: Words) -> list[str]:
        given = words.options
        quiet, old, read_only = words.flag("quiet"), words.flag("old"), words.flag("readonly")
        session = 0
        if "session" in given:
            known = {label: id_ for id_, label in self._names.sessions.items()}
            session = known.get(given["session"]) or int(given["session"], 0)
        password: Blob = self._passwords.get(session, bytes(16))
        if "password" in given:
            password = parse_bytes(given["password"])
        zxid = 1 << 62 if given.get("zxid") == "ahead" else self._names.zxid_of(given.get("zxid", "0"))
        granted = actor.connection.connect(
            words.number("timeout", 10000), session, password, zxid, None if old else read_only
        )
        if isinstance(granted, Closed | Silence):
            return self._show(actor, [granted])
        actor.polled = not quiet
        shown = f"no session, password {granted.password.hex()}"
        if granted.session:
            self._names.sessions.setdefault(granted.session, actor.name)
            self._passwords[granted.session] = granted.password
            shown = f"session {self._names.session(granted.session)}"
        shown += f", timeout {granted.timeout}"
        if granted.protocol:
            shown += f", protocol {granted.protocol}"
        if granted.read_only is not False:
            shown += ", read-only" if granted.read_only else ", no read-only flag"
        return [shown]

    def _answers(self, actor: _Actor) -> list[str]:
        """What comes until every request of this session is answered."""
        items: list[Item] = []
        due = len(actor.waiting)
        while due:
            items.append(actor.connection.read())
            if isinstance(items[-1], Closed | Silence):
                break
            due -= isinstance(items[-1], Reply)
        return self._show(actor, items)

    def _poll(self, actor: _Actor) -> list[str]:
        """What came to a session beside its answers; a ping's answer comes behind all of it."""
        items: list[Item] = []
        actor.connection.send(Op.ping, xid=PING)
        while True:
            item = actor.connection.read()
            if isinstance(item, Reply) and item.xid == PING:
                return self._show(actor, items)
            items.append(item)
            if isinstance(item, Closed | Silence):
                return self._show(actor, items)

    def _show(self, actor: _Actor, items: list[Item]) -> list[str]:
        replies = [i for i in items if isinstance(i, Reply)]
        numbered = len(actor.waiting) > 1
        for reply, (_, verb, began) in zip(replies, actor.waiting, strict=False):
            if verb in WRITES and not reply.err and not (verb == "multi" and _refused(reply.body)):
                self._names.wrote(reply.zxid, began)
        said = []
        count = 0
        for item in items:
            if isinstance(item, Event):
                said.append(self._event(item))
            elif isinstance(item, Reply):
                count += 1
                shown = self._reply(item, *actor.waiting.pop(0)[:2]) if actor.waiting else f"unasked: {item}"
                said += (f"[{count}] {shown}" if numbered else shown).splitlines()
            else:
                said.append("closed" if isinstance(item, Closed) else "silence")
                actor.polled = False
                actor.waiting.clear()
        return said

    def _event(self, event: Event) -> str:
        shown = f"event {EVENTS.get(event.type, event.type)} {name(event.path)}"
        if event.zxid != -1:
            shown += f" {self._names.zxid(event.zxid)}"
        return shown if event.state == 3 else f"{shown} state={event.state}"

    def _reply(self, reply: Reply, xid: int, verb: str) -> str:
        if reply.xid != xid:
            return f"out of turn: xid {reply.xid} for {xid}"
        if 0 < reply.zxid < self._seen:
            return f"went back in time: zxid {reply.zxid} after {self._seen}"
        self._seen = max(self._seen, reply.zxid)
        if reply.err:
            return error(reply.err)
        shown = answer(verb, reply.body, self._names)
        label = self._names.zxid(reply.zxid) if reply.zxid in self._names.writes and verb in WRITES else ""
        separator = "\n" if verb in ("multi", "multiRead") and shown else " "
        return f"ok {label}".rstrip() + (separator + shown if shown else "")


def _refused(multi: bytes) -> bool:
    return multi[:4] == b"\xff\xff\xff\xff" and multi[4] == 0


def scripts() -> list[Path]:
    """Every script; the one for a server that has seen nothing yet comes first."""
    return sorted(
        (Path(__file__).parent / "scripts").glob("*.txt"), key=lambda p: (p.stem != "fresh", p.stem)
    )


def play(script: str, server: tuple[str, int]) -> str:
    """The script, with this server's answers in place of those it holds."""
    blocks: list[list[str]] = []
    for line in script.splitlines():
        if line.startswith("- "):
            blocks[-1].append(line)
        elif not line.startswith("    "):
            blocks.append([line])
    out = []
    run = Run(server)
    try:
        for command, *parts in blocks:
            out += [command, *parts]
            if command and not command.startswith("#"):
                out += ["    " + said for said in run.command(command, [p[2:] for p in parts])]
    finally:
        run.end()
        sweep(server)
    return "\n".join(out) + "\n"


def sweep(server: tuple[str, int]) -> None:
    """Delete, as the super user, whatever a script left behind."""
    connection = Connection.open(server)
    connection.connect(10000, 0, bytes(16), 0)

    def ask(op: int, content: bytes) -> Reply:
        connection.send(op, content)
        item = connection.read()
        if not isinstance(item, Reply):
            raise RuntimeError(f"{item} while sweeping")
        return item

    def remove(path: str) -> None:
        kept = path in ("", "/zookeeper", "/zookeeper/quota", "/zookeeper/config")
        for child in Reader(ask(Op.getChildren, text(path or "/") + bool_(False)).body).texts():
            remove(f"{path}/{child}")
        if not kept:
            ask(Op.delete, text(path) + int_(-1))

    ask(Op.auth, int_(0) + text("digest") + text(SUPER))
    remove("")
    ask(Op.close, b"")
    connection.drop()
