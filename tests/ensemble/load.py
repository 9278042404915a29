"""Clients that read and write all the time, move from server to server, and remember what they were told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..daemons import until
from ..zookeeper.raw import Acl, Connection, Event, Granted, Op, Reader, Reply, acls, blob, bool_, int_, text
from .ensemble import Address, Ensemble, Found, asked, connected
from .linearizable import Call, linearized
from .register import BadVersion, Read, RegisterCall, Told, Value, Write, step

REGISTERS: Final = 4
_PATIENCE: Final = 0.7
"""Seconds until a client tries another server."""
_SESSION: Final = 60_000
"""ms: no fault lasts that long, so no session may be lost."""
_OK, _BAD_VERSION, _NODE_EXISTS = 0, -103, -110
_REFUSED: Final = (-1, -118)
"""SystemError and SessionMoved: what was asked is not done, and never will be."""
_PERSISTENT, _EPHEMERAL, _SEQUENTIAL = 0, 1, 2
OPEN: Final = acls([Acl(31, "world", "anyone")])


class Client(threading.Thread):
    """One session. calls: what became of those on each register. sequential: the znodes that it was told
    it made, with what they hold. ephemeral: its own."""

    def __init__(self, number: int, root: str, addresses: Sequence[Address], over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.calls: list[list[RegisterCall]] = [[] for _ in range(REGISTERS)]
        self.sequential: list[tuple[str, bytes]] = []
        self.ephemeral = f"{root}/ephemeral-{number}"
        self.session = 0
        self.moves = 0
        """How often the session was taken up again."""
        self.lost = 0
        """Sessions that were refused."""
        self.failure: Exception | None = None
        self._root = root
        self._number = number
        self._addresses = addresses
        self._over = over
        self._random = random.Random(number)  # what it asks for; when, is up to the machine
        self._connection: Connection | None = None
        self._password = bytes(16)
        self._seen = 0
        self._versions = [0] * REGISTERS
        """Those seen."""
        self._unknown: list[tuple[int, RegisterCall]] = []
        """(register, write), since a write was answered."""
        self._owns = False
        self._made = 0

    @property
    def told(self) -> int:
        """Answers to calls on registers and sequential creates."""
        known = sum(call.told is not None for calls in self.calls for call in calls)
        return known + len(self.sequential)

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self._go_on()
            while self._unknown:  # nothing of it may come when all is looked at
                self._append() if self._connection else self._connect()
        except Exception as error:
            self.failure = error

    def end(self) -> None:
        """Close the session, and its ephemeral znode with it."""
        while not self._ask((Op.close, b"")):
            self._connect()
        self.drop()
        self.session = 0

    def drop(self) -> None:
        """Hang up; the session stays."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _go_on(self) -> None:
        if self._connection is None:
            self._connect()
        elif not self._owns:
            self._own()
        elif self._random.random() < 0.2:
            self._append()
        else:
            use = self._random.choice((self._peek, self._read, self._write))
            use(self._random.randrange(REGISTERS))

    def _connect(self) -> None:
        try:
            connection = Connection.open(self._random.choice(self._addresses))
        except OSError:
            time.sleep(0.02)
            return
        connection.sock.settimeout(_PATIENCE)
        granted = connection.connect(_SESSION, self.session, self._password, self._seen)
        if isinstance(granted, Granted) and granted.timeout:
            self.moves += self.session != 0
            self.session, self._password = granted.session, granted.password
            self._connection = connection
            return
        connection.drop()
        if isinstance(granted, Granted):
            self.lost += 1
            self.session, self._password, self._owns = 0, bytes(16), False
        else:
            time.sleep(0.02)  # it does not serve, or has not seen what this client has

    def _ask(self, *requests: tuple[Op, bytes]) -> list[Reply]:
        """The answers to requests sent together; none at all if one is missing."""
        if self._connection is None:
            return []
        for op, body in requests:
            self._connection.send(op, body)
        replies: list[Reply] = []
        while len(replies) < len(requests):
            item = self._connection.read()
            if isinstance(item, Reply):
                replies.append(item)
                self._seen = max(self._seen, item.zxid)
            elif not isinstance(item, Event):
                self.drop()
                return []
        return replies

    def _own(self) -> None:
        for reply in self._ask((Op.create, text(self.ephemeral) + blob(b"") + OPEN + int_(_EPHEMERAL))):
            self._owns = reply.err in (_OK, _NODE_EXISTS)  # that is: before the connection was lost

    def _append(self) -> None:
        data = self._new()
        path = text(f"{self._root}/sequential-")
        for reply in self._ask((Op.create, path + blob(data) + OPEN + int_(_SEQUENTIAL))):
            if reply.err not in _REFUSED:
                assert reply.err == _OK, reply
                self.sequential.append((Reader(reply.body).text(), data))
                self._lapse()

    def _peek(self, register: int) -> None:
        """A read without sync may be old, but time never goes back for a client."""
        for reply in self._ask((Op.getData, text(f"{self._root}/register-{register}") + bool_(False))):
            assert reply.err == _OK, reply
            reader = Reader(reply.body)
            reader.blob()
            version = reader.stat().version
            assert version >= self._versions[register], "back in time"
            self._versions[register] = version

    def _read(self, register: int) -> None:
        path = text(f"{self._root}/register-{register}")
        begun = time.monotonic()
        replies = self._ask((Op.sync, path), (Op.getData, path + bool_(False)))
        ended = time.monotonic()
        if not replies or replies[0].err in _REFUSED:
            return
        assert [reply.err for reply in replies] == [_OK, _OK]
        reader = Reader(replies[1].body)
        value = Value(reader.blob() or b"", reader.stat().version)
        self.calls[register].append(Call(Read(), value, begun, ended))
        self._versions[register] = value.version

    def _write(self, register: int) -> None:
        path = text(f"{self._root}/register-{register}")
        version = self._versions[register] if self._random.random() < 0.5 else -1
        write = Write(self._new(), version)
        begun = time.monotonic()
        replies = self._ask((Op.setData, path + blob(write.value) + int_(version)))
        ended = time.monotonic()
        if not replies:
            self._unknown.append((register, Call(write, None, begun)))
            return
        if replies[0].err in _REFUSED:
            return
        told: Told = BadVersion()
        if replies[0].err != _BAD_VERSION:
            assert replies[0].err == _OK, replies[0]
            told = Value(write.value, Reader(replies[0].body).stat().version)
            self._versions[register] = told.version
        self.calls[register].append(Call(write, told, begun, ended))
        self._lapse()

    def _lapse(self) -> None:
        """A write was answered, and a session's are done in order: those before are done by now, or never."""
        now = time.monotonic()
        for register, call in self._unknown:
            self.calls[register].append(replace(call, lapsed=now))
        self._unknown.clear()

    def _new(self) -> bytes:
        self._made += 1
        return b"%d of %d" % (self._made, self._number)


class Load:
    """Clients that are at it, below a root of their own."""

    def __init__(self, root: str, ensemble: Ensemble, clients: int) -> None:
        self._root = root
        self._over = threading.Event()
        first = connected(ensemble.addresses[0])
        for path in (root, *(f"{root}/register-{number}" for number in range(REGISTERS))):
            made = asked(first, Op.create, text(path) + blob(b"") + OPEN + int_(_PERSISTENT))
            assert made.err == _OK, path
        asked(first, Op.close)
        first.drop()
        self.clients = [Client(number, root, ensemble.addresses, self._over) for number in range(clients)]
        for client in self.clients:
            client.start()

    def progress(self, answers: int = 50) -> None:
        """Wait until the clients together have been told so much more."""
        before = self.told
        until(lambda: self.told >= before + answers, f"{answers} more answers")

    def stop(self) -> None:
        """Have the clients stop. Every other one ends its session; those of the rest live on."""
        self._over.set()
        for client in self.clients:
            client.join()
        for client in self.clients[::2]:
            client.end()

    @property
    def told(self) -> int:
        """All that the clients were told."""
        return sum(client.told for client in self.clients)

    def clear(self, address: Address) -> None:
        """Nothing is left of it, nor of its clients."""
        for client in self.clients:
            if client.session:
                client.end()
        connection = connected(address)
        asked(connection, Op.sync, text("/"))
        names = Reader(asked(connection, Op.getChildren, text(self._root) + bool_(False)).body).texts()
        for path in (*(f"{self._root}/{name}" for name in names), self._root):
            assert asked(connection, Op.delete, text(path) + int_(-1)).err == _OK
        asked(connection, Op.close)
        connection.drop()

    def assert_kept(self, found: dict[str, Found]) -> None:
        """What clients were told is true of a tree, and of the way to it; all of them have stopped."""
        for client in self.clients:
            if client.failure is not None:
                raise client.failure
            assert client.lost == 0, "a session was lost"
        self._assert_sequential(found)
        self._assert_ephemerals(found)
        for register in range(REGISTERS):
            calls = [call for client in self.clients for call in client.calls[register]]
            node = found[f"{self._root}/register-{register}"]
            now = time.monotonic()
            calls.append(Call(Read(), Value(node.data, node.stat.version), now, now))
            assert linearized(calls, Value(b"", 0), step) is not None, _told(calls)

    def _assert_sequential(self, found: dict[str, Found]) -> None:
        told = [made for client in self.clients for made in client.sequential]
        assert len({path for path, _ in told}) == len(told), "two creates made the same znode"
        for path, data in told:
            assert found[path].data == data
        there = [node.data for path, node in found.items() if path.startswith(f"{self._root}/sequential-")]
        assert len(set(there)) == len(there), "a create was done twice"

    def _assert_ephemerals(self, found: dict[str, Found]) -> None:
        living = {client.ephemeral: client.session for client in self.clients if client.session}
        there = {
            path: node.stat.ephemeralOwner
            for path, node in found.items()
            if path.startswith(f"{self._root}/ephemeral-")
        }
        assert there == living


def _told(calls: list[RegisterCall]) -> str:
    lines = [f"{call.begun:.6f} {call.ended:.6f} {call.asked} {call.told}" for call in calls]
    return "\n".join(["not linearizable:", *sorted(lines)])
