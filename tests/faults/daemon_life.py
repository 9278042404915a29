"""One life of the real daemon, recorded: what it told its clients, and what its files went through."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from znoded.storage import ops
from znoded.storage.engine import open_engine
from znoded.storage.jute import INT
from znoded.storage.log import Log
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.writes import HEAD, Writes

from ..storage.requests import Request
from ..storage.rows import rows
from ..zookeeper.raw import Closed, Connection, Granted, Reply
from .power_cut import Disk, Removed, Said, read_trace, start_recorded

DATA: Final = "srv/data"
TXNS: Final = "srv/txns/znoded"
SEGMENT: Final = 8 << 10
CLIENTS: Final = 4

# Sizes and times at which all that takes long in a daemon's life happens within a second, and no log stays
# that is not needed.
_SMALL = f"""
from functools import partial
from znoded.daemon import cli, config, flusher, process
config._MIN_SNAP_RETAIN_COUNT = 0
flusher._TXNS, flusher._SECONDS = 40, 0.05
process.Log = partial(process.Log, segment_size={SEGMENT})
"""
_UNSYNCED = """
import os
synced = os.open
os.open = lambda path, flags, *more, **named: synced(path, flags & ~os.O_DSYNC, *more, **named)
"""
_SERVES = re.compile(rb"serving clients on 127\.0\.0\.1:(\d+)")
_REFUSALS = (-101, -103, -110, -111)
_LEFT, _RIGHT = b"/left", b"/right"

Records: TypeAlias = dict[int, bytes]
Kept: TypeAlias = tuple[dict[bytes, bytes], tuple[int, ...], dict[int, Session], set[bytes]]


def kept(state: State) -> Kept:
    """All of a state that must not differ."""
    counters = (state.zxid, state.time, state.generation, *state.counters())
    return rows(state), counters, dict(state.sessions), set(state.quotas)


@contextmanager
def opened(directory: Path) -> Iterator[tuple[State, Log]]:
    """What a server would serve from these files, opened and replayed as the daemon does it."""
    engine = open_engine("lmdb", directory / DATA)
    try:
        log = Log(directory / TXNS / "log", segment_size=SEGMENT)
        try:
            state = State(engine)
            replay(state, log.read(state.zxid))
            yield state, log
        finally:
            log.close()
    finally:
        engine.close()


def replay(state: State, records: Iterator[tuple[int, bytes]]) -> None:
    """Apply transactions to a state."""
    writes = Writes(state)
    for zxid, txn in records:
        writes.apply(zxid, txn)


@dataclass(slots=True)
class Told:
    """What one client was told. requests: zxid to the request that has it; sets: the zxids of all the
    changes to the znode at path, which nobody else changes."""

    path: bytes
    requests: dict[int, Request] = field(default_factory=dict)
    sets: list[int] = field(default_factory=list)


class Client:
    """Writes in bursts, in sessions that come and go."""

    def __init__(self, address: tuple[str, int], name: str, rng: Random) -> None:
        self._address = address
        self._rng = rng
        self.told = Told(f"/own-{name}".encode())
        self._ask(Request(ops.CREATE, self.told.path), new := self._open())
        self._ask(_both(ops.CREATE), new)
        self._connection = new

    def live(self, bursts: int) -> None:
        """Ask and be answered, and now and then begin a new session."""
        for _ in range(bursts):
            if self._rng.random() < 0.1:
                self._connection.send(ops.CLOSE_SESSION)
                assert isinstance(self._connection.read(), Reply)
                self._connection.drop()
                self._connection = self._open()
            self._answers(self._burst(self._rng.choice((1, 1, 2, 10))))

    def burst(self) -> list[Request]:
        """Ask for much and do not wait."""
        return self._burst(50)

    def end(self, asked: list[Request]) -> None:
        """Hear what is said to a burst before the server hangs up."""
        self._answers(asked)
        self._connection.drop()

    def _open(self) -> Connection:
        connection = Connection.open(self._address)
        assert isinstance(connection.connect(40_000, 0, bytes(16), 0), Granted)
        return connection

    def _burst(self, size: int) -> list[Request]:
        asked = [self._request() for _ in range(size)]
        for request in asked:
            self._connection.send(request.op, request.body())
        return asked

    def _answers(self, asked: list[Request]) -> None:
        for request in asked:
            reply = self._connection.read()
            if isinstance(reply, Closed):
                return
            self._hear(request, reply)

    def _ask(self, request: Request, connection: Connection) -> None:
        connection.send(request.op, request.body())
        self._hear(request, connection.read())

    def _hear(self, request: Request, reply: object) -> None:
        assert isinstance(reply, Reply)
        assert reply.err in (0, *_REFUSALS), reply
        self.told.requests[reply.zxid] = request
        if request.path == self.told.path and request.op == ops.SET_DATA:
            self.told.sets.append(reply.zxid)

    def _request(self) -> Request:
        rng = self._rng
        path = b"/%d" % rng.randrange(30)
        data = rng.randbytes(rng.choice((0, 10, 100, 100, 1000)))
        match rng.randrange(10):
            case 0 | 1 | 2:
                return Request(ops.SET_DATA, self.told.path, data)
            case 3 | 4:
                return Request(ops.CREATE2, path, data, flags=rng.choice((0, 0, 1)))
            case 5:
                return Request(ops.CREATE, self.told.path + b"/", data, flags=rng.choice((2, 3)))
            case 6:
                return Request(ops.DELETE, path)
            case 7 | 8:
                return _both(ops.SET_DATA, data, Request(ops.CHECK, path, version=0))
            case _:
                # Now and then more than a segment takes.
                return Request(ops.SET_DATA, path, data * rng.choice((1, 1, 1, 1, 30)))


def _both(op: int, data: bytes = b"", *others: Request) -> Request:
    return Request(ops.MULTI, parts=(Request(op, _LEFT, data), *others, Request(op, _RIGHT, data)))


class Life:
    """From the start to the clean end that SIGTERM brings.

    steps: all that was done to files and said, on what start held. relied[n]: the last zxid that a client
    may rely on after n steps. records: every transaction there ever was. history: for each zxid, the state
    that its transaction left. told: what each client was told.
    """

    def __init__(
        self,
        recorder: Path,
        directory: Path,
        *,
        seed: int,
        bursts: int,
        start: Disk | None = None,
        before: Records | None = None,
        relied: int = 0,
        unsynced: bool = False,
    ) -> None:
        """bursts: how many each client asks for. before: the records of the life that left start; relied:
        the last zxid that was relied on in it. unsynced: with a log that is never synced."""
        self.start = start or Disk()
        self.start.cut(Random(), keep=1.0).write(directory / "disk")
        self.told = self._live(recorder, directory, seed, bursts, unsynced)
        self.steps = read_trace(directory / "trace")
        self.records = self._logged(directory / "logged", before or {})
        self._check_records()
        state = State(MemoryEngine(Path()))
        self.history = {0: kept(state)}
        for zxid, txn in self.records.items():
            replay(state, iter([(zxid, txn)]))
            self.history[zxid] = kept(state)
        self.relied = self._relied(relied)

    def _live(self, recorder: Path, directory: Path, seed: int, bursts: int, unsynced: bool) -> list[Told]:
        config = directory / "zoo.cfg"
        config.write_text(
            f"dataDir={directory}/disk/{DATA}\ndataLogDir={directory}/disk/{TXNS}\n"
            "clientPort=0\nadmin.enableServer=false\nautopurge.snapRetainCount=0\n"
        )
        program = _SMALL + _UNSYNCED * unsynced + "cli.main()"
        process = start_recorded(
            [sys.executable, "-c", program, "start", "--config", config],
            recorder,
            directory / "disk",
            directory / "trace",
            stderr=subprocess.PIPE,
        )
        log = b""
        try:
            assert process.stderr is not None
            while (found := _SERVES.search(log)) is None:
                line = process.stderr.readline()
                assert line, log
                log += line
            address = ("127.0.0.1", int(found[1]))
            clients = [Client(address, f"{seed}-{i}", Random(seed * CLIENTS + i)) for i in range(CLIENTS)]
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(Client.live, clients, [bursts] * CLIENTS))
                asked = list(map(Client.burst, clients))
                process.terminate()
                list(pool.map(Client.end, clients, asked))
            log += process.communicate()[1]
            assert process.returncode == 0, log
        finally:
            process.kill()
            process.wait()
        return [client.told for client in clients]

    def _logged(self, target: Path, before: Records) -> Records:
        """Every record that the log ever got: what it held at the end, had it dropped nothing; and what
        it had dropped before."""
        disk = deepcopy(self.start)
        for step in self.steps:
            if not (isinstance(step, Removed) and step.path.startswith(TXNS)):
                disk.apply(step)
        disk.cut(Random(), keep=1.0).write(target)
        log = Log(target / TXNS / "log", segment_size=SEGMENT)
        dropped = {zxid: txn for zxid, txn in before.items() if zxid < log.first_zxid}
        records = dict(log.read(log.first_zxid - 1))
        log.close()
        return dropped | records

    def _check_records(self) -> None:
        """The log holds what clients were told, in order and without gaps."""
        assert list(self.records) == list(range(1, len(self.records) + 1))
        for told in self.told:
            assert told.sets
            for zxid, request in told.requests.items():
                assert self.records[zxid].endswith(INT.pack(request.op) + request.body())

    def _relied(self, last: int) -> list[int]:
        sessions = dict(map(_session_of, self.records.items()))
        relied = [last]
        for step in self.steps:
            if isinstance(step, Said):
                at = 0
                while at < len(step.data):
                    length, xid, zxid = struct.unpack_from(">iiq", step.data, at)
                    if not xid:  # but a protocol version: a session is granted
                        zxid = sessions[struct.unpack_from(">q", step.data, at + 12)[0]]
                    last = max(last, zxid)
                    at += 4 + length
            relied.append(last)
        return relied


def _session_of(record: tuple[int, bytes]) -> tuple[int, int]:
    """(id, zxid) of the session that a transaction opens; (0, zxid) if it opens none."""
    zxid, txn = record
    at = HEAD.size + HEAD.unpack_from(txn)[3]
    opens = INT.unpack_from(txn, at)[0] == ops.CREATE_SESSION
    return (Session.decode(txn[at + INT.size :]).id if opens else 0), zxid
