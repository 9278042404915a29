"""The server core with all around it replaced: consensus and clock by hand, connections that listen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import pytest

from znoded.api.connection import Connection
from znoded.consensus.contract import Consensus, Entry, NotServing, Replica, Role, Status, Waiter
from znoded.daemon.config import load
from znoded.daemon.flusher import Flusher
from znoded.daemon.server import Server
from znoded.daemon.stats import Stats
from znoded.storage import ops
from znoded.storage.jute import INT, pack_buffer
from znoded.storage.log import Log
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.session import Session
from znoded.storage.state import OPEN_ACL_WIRE, State

Said: TypeAlias = tuple[object, ...]
"""("reply", xid, error) | ("event", kind, path) | ("welcome", id) | ("refused",) | ("closed", reason)."""
GET: Final = ops.GET_DATA
SET: Final = ops.SET_DATA


class Clock:
    """Stands still until moved; in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now + 0.0  # an object of its own each time, as time.monotonic()'s


class Steps:
    """A backend that does nothing by itself."""

    def __init__(self) -> None:
        self.pending: list[tuple[bytes, Waiter]] = []
        self.barriers: list[Waiter] = []
        self.refusal: str | None = None
        self.generation = 0
        self._zxid = 0

    @property
    def status(self) -> Status:
        return Status(Role.STANDALONE, 0, None, (), 0)

    async def start(self, replica: Replica) -> None:
        self.begin(replica)

    def begin(self, replica: Replica) -> None:
        self._replica = replica
        self._zxid = replica.applied_zxid

    async def stop(self) -> None:
        self.commit()

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        if self.refusal is not None:
            raise NotServing(self.refusal)
        self.pending.append((txn, waiter))

    def barrier(self, waiter: Waiter) -> None:
        if self.refusal is not None:
            raise NotServing(self.refusal)
        self.barriers.append(waiter)

    def to_leader(self, message: bytes) -> None:
        pass

    def commit(self, count: int | None = None) -> None:
        """Have the first proposals applied, as one batch: so many, or all there are."""
        taken = self._take(count)
        entries: Sequence[Entry] = [(self._zxid + at, *one) for at, one in enumerate(taken, 1)]
        self._zxid += len(taken)
        self._replica.apply(entries)

    def drop(self, count: int | None = None, *, unknown: bool = False) -> None:
        """Have the first proposals dropped."""
        self._replica.dropped([waiter for _, waiter in self._take(count)], "a reason", unknown=unknown)

    def confirm(self) -> None:
        """Have the barriers passed that wait now."""
        barriers, self.barriers = self.barriers, []
        self._replica.reached(barriers)

    def settle(self) -> None:
        """Commit and confirm until nothing is under way."""
        while self.pending or self.barriers:
            self.commit()
            self.confirm()

    def _take(self, count: int | None) -> list[tuple[bytes, Waiter]]:
        taken = self.pending[:count]
        del self.pending[: len(taken)]
        return taken


class Idle(Flusher):
    """Flushes nothing: a flush changes no answer."""

    def applied(self) -> None:
        pass


class Around(Protocol):
    """What a connection needs of what it is connected to."""

    clock: Clock
    server: Server


class Ear(Connection):
    """Writes down what it is told; sends requests by number, xids counted from 1."""

    dialect = "spoken"

    def __init__(self, core: Around, host: str = "127.0.0.1") -> None:
        super().__init__(host, 1)
        self._core = core
        self._server = core.server
        self.heard = core.clock()
        self.said: list[Said] = []
        self.bodies: dict[int, bytes] = {}
        self.sent_until = 0
        self._held = False
        self.closed: str | None = None
        self.password = b""
        self.xid = 0

    @property
    def interest_ops(self) -> int:
        return 0

    # what the client does

    def request(self, op: int, body: bytes) -> int:
        """Its xid."""
        self.xid += 1
        self._server.submit(self, self.xid, op, body)
        return self.xid

    def ask(self, op: int, body: bytes) -> int:
        """A request that comes alone in a read of the socket."""
        self.heard = self._core.clock()
        xid = self.request(op, body)
        self._server.settle(self, 1, len(body))
        return xid

    def get(self, path: bytes, *, watch: bool = False) -> int:
        return self.ask(GET, pack_buffer(path) + bytes([watch]))

    def set(self, path: bytes, data: bytes) -> int:
        return self.ask(SET, pack_buffer(path) + pack_buffer(data) + INT.pack(-1))

    def create(self, path: bytes, *, flags: int = 0, acl: bytes = OPEN_ACL_WIRE) -> int:
        return self.ask(ops.CREATE, pack_buffer(path) + pack_buffer(b"") + acl + INT.pack(flags))

    def sync(self) -> int:
        return self.ask(ops.SYNC, pack_buffer(b"/"))

    def end(self) -> int:
        return self.ask(ops.CLOSE_SESSION, b"")

    def vanish(self) -> None:
        """The socket is closed."""
        self.closed = self.closed or ""
        self.waiting.clear()
        self._server.gone(self)

    # what it is told

    def is_held(self) -> bool:
        """Whether it is not read from for now."""
        return self._held

    @property
    def replies(self) -> list[int]:
        """The xids answered, in order."""
        return [int(str(said[1])) for said in self.said if said[0] == "reply"]

    def errors(self) -> list[int]:
        return [int(str(said[2])) for said in self.said if said[0] == "reply"]

    def data(self, xid: int) -> bytes:
        """What a getData of that xid was answered."""
        body = self.bodies[xid]
        return body[4:-68]

    def welcome(self, session: Session) -> None:
        self.session_id = session.id
        self.session_timeout = session.timeout
        self.password = session.password
        self.said.append(("welcome", session.id))

    def refused(self) -> None:
        self.said.append(("refused",))
        self.close("")

    def reply(self, xid: int, zxid: int, error: int, body: bytes) -> None:
        if self.closed is None:
            self.said.append(("reply", xid, int(error)))
            self.bodies[xid] = body
            self._server.dirty.append(self)

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        if self.closed is None:
            self.said.append(("event", kind, path))
            self._server.dirty.append(self)

    def flush(self) -> None:
        self.sent_until = len(self.said)

    def hold(self) -> None:
        self._held = True

    def resume(self) -> None:
        self._held = False

    def close(self, reason: str) -> None:
        if self.closed is None:
            self.closed = reason
            self.flush()
            self._server.closing(self, reason)


class Core:
    """A server and what stands around it. settings are zoo.cfg's."""

    def __init__(
        self, folder: Path, clock: Clock, settings: dict[str, str], steps: Steps | None = None
    ) -> None:
        self.clock = clock
        self.steps = steps or Steps()
        config = load(None, {"dataDir": str(folder), "tickTime": "1000"} | settings).config
        assert config is not None
        self._config = config
        self.state = State(MemoryEngine(folder))
        self._log = Log(folder / "log")
        self.restart()
        self.server.leading(0)

    def restart(self) -> None:
        """A new server on what there is; it does not lead."""
        backend: Consensus = self.steps
        flusher = Idle(self.state, self._log, 3)
        self.server = Server(self._config, self.state, backend, flusher, Stats(1000))
        self.steps.begin(self.server)
        self.server.serving = True

    def connection(self, host: str = "127.0.0.1") -> Ear:
        """A connection that has no session yet."""
        ear = Ear(self, host)
        assert self.server.accept(ear) is None
        return ear

    def client(self, timeout: int = 4000, host: str = "127.0.0.1") -> Ear:
        """A connection with a session of its own."""
        ear = self.connection(host)
        self.connect(ear, timeout)
        self.steps.commit()
        assert ear.said == [("welcome", ear.session_id)]
        ear.said.clear()
        return ear

    def connect(
        self, ear: Ear, timeout: int = 4000, *, seen: int = 0, session: int = 0, password: bytes = b""
    ) -> None:
        self.server.connect(ear, seen, timeout, session, password)

    def move(self, ear: Ear, timeout: int = 4000) -> Ear:
        """A new connection that takes up the session of another."""
        moved = self.connection()
        self.connect(moved, timeout, session=ear.session_id, password=ear.password)
        return moved

    def pass_time(self, seconds: float) -> None:
        """Tick by tick, with whatever the ticks propose."""
        for _ in range(round(seconds)):
            self.clock.now += 1
            self.server.sessions.tick()
            self.steps.commit()


def patch_clock(patch: pytest.MonkeyPatch) -> Clock:
    """The core's clock, stopped."""
    clock = Clock()
    for module in ("server", "sessions"):
        patch.setattr(f"znoded.daemon.{module}.monotonic", clock)
    patch.setattr("znoded.daemon.server.wall_time", clock)
    patch.setattr("znoded.daemon.proposals.time", clock)
    return clock
