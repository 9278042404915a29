"""One life of an ensemble, recorded: what its clients were told and when, and what each server's files went
through."""

from __future__ import annotations

import signal
import struct
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from ..daemons import Daemon, until
from ..ensemble.ensemble import Address, Ensemble, over
from ..ensemble.load import OPEN
from ..zookeeper.raw import Connection, Granted, Op, Reply, blob, int_, text
from .power_cut import Disk, Image, Said, Step, read_moments, recorded

SEGMENT: Final = 8 << 10
WRITERS: Final = 4
# Sizes and times at which all that takes long in a server's life happens within a second, and no log stays
# that is not needed.
BEFORE: Final = f"""
from znoded.daemon import config, flusher
from znoded.storage import log
config._MIN_SNAP_RETAIN_COUNT = 0
flusher._TXNS, flusher._SECONDS = 40, 0.05
log.Log.__init__.__kwdefaults__["segment_size"] = {SEGMENT}
"""
_HEADER: Final = struct.Struct(">iqi")
_EPHEMERAL: Final = 1


class Made(NamedTuple):
    """A znode that a client was told it made, by the transaction of that zxid."""

    path: bytes
    data: bytes
    zxid: int
    session: int


class Writer(threading.Thread):
    """Makes znodes, in one session that moves on when its server goes. told: by the header of the answer,
    which no other has."""

    def __init__(self, name: str, addresses: Sequence[Address], over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.told: dict[bytes, Made] = {}
        self.failure: Exception | None = None
        self._name = name
        self._addresses = addresses
        self._over = over
        self._random = Random(name)
        self._session, self._password = 0, bytes(16)
        self._made = 0

    def run(self) -> None:
        try:
            while not self._over.is_set():
                connection = self._connected()
                while connection is not None and not self._over.is_set() and self._burst(connection):
                    pass
        except Exception as error:
            self.failure = error

    def _connected(self) -> Connection | None:
        try:
            connection = Connection.open(self._random.choice(self._addresses))
        except OSError:
            return None
        connection.sock.settimeout(1.0)
        granted = connection.connect(60_000, self._session, self._password, 0)
        if not isinstance(granted, Granted):
            connection.drop()
            return None
        assert granted.timeout, "the session is lost"
        self._session, self._password = granted.session, granted.password
        return connection

    def _burst(self, connection: Connection) -> bool:
        """Ask for some at once; whether all was answered."""
        asked = []
        for _ in range(self._random.choice((1, 1, 2, 10))):
            self._made += 1
            path = f"/{self._name}-{self._made}"
            # Now and then more than a segment takes.
            data = self._random.randbytes(self._random.choice((0, 10, 100, 1000, 10_000)))
            flags = self._random.choice((0, 0, 0, _EPHEMERAL))
            connection.send(Op.create, text(path) + blob(data) + OPEN + int_(flags))
            asked.append((path.encode(), data))
        for made, data in asked:
            reply = connection.read()
            if not isinstance(reply, Reply) or reply.err:
                connection.drop()
                return False
            header = _HEADER.pack(reply.xid, reply.zxid, reply.err)
            self.told[header] = Made(made, data, reply.zxid, self._session)
        return True


class Life:
    """Three servers under load: the leader ends, and joins again; the next one freezes, and what it alone has
    is cut off; all are stopped.

    steps: what each server did, and when. told: what clients were told, and when a server said it.
    """

    def __init__(self, recorder: Path, folder: Path, backend: str) -> None:
        self._recorder = recorder
        self._folder = folder
        settings = f"{over(backend)}autopurge.snapRetainCount=0\n"
        self._ensemble = Ensemble(folder, settings=settings, before=BEFORE)
        self._traces: dict[int, list[Path]] = {sid: [] for sid in self._ensemble.servers}
        ended = threading.Event()
        self._writers = [Writer(f"w{number}", self._ensemble.addresses, ended) for number in range(WRITERS)]
        try:
            self._live()
            ended.set()
            for writer in self._writers:
                writer.join()
            servers = self._ensemble.servers.values()
            for server in servers:
                server.signal(signal.SIGTERM)
            assert [server.wait() for server in servers] == [0, 0, 0]
        finally:
            ended.set()
            self._ensemble.kill()
        for writer in self._writers:
            if writer.failure is not None:
                raise writer.failure
        self.steps = {
            sid: [step for trace in traces for step in read_moments(trace)]
            for sid, traces in self._traces.items()
        }
        self.told = sorted(self._said(), key=lambda told: told[0])

    def _live(self) -> None:
        ensemble = self._ensemble
        for sid in ensemble.servers:
            self._launch(sid)
        ensemble.until_all_serve()
        for writer in self._writers:
            writer.start()
        self._progress()
        stopped = ensemble.leader()
        assert ensemble.servers[stopped].stop() == 0
        self._progress()
        self._launch(stopped)
        ensemble.until_all_serve()
        self._progress()
        frozen = ensemble.servers[ensemble.leader()]
        frozen.signal(signal.SIGSTOP)
        self._progress()
        frozen.signal(signal.SIGCONT)
        ensemble.until_all_serve()
        self._progress()

    def _launch(self, sid: int) -> None:
        server: Daemon = self._ensemble.servers[sid]
        traces = self._traces[sid]
        traces.append(self._folder / f"trace-{sid}-{len(traces)}")
        server.environment = recorded(self._recorder, server.data, traces[-1])
        server.launch()

    def _progress(self) -> None:
        before = self._count
        until(lambda: self._count >= before + 60, "60 more answers")

    @property
    def _count(self) -> int:
        return sum(len(writer.told) for writer in self._writers)

    def _said(self) -> Iterator[tuple[int, Made]]:
        """When each answer was handed to its client's connection; peers are told much else."""
        told = {header: made for writer in self._writers for header, made in writer.told.items()}
        for steps in self.steps.values():
            for moment, step in steps:
                at = 0
                while isinstance(step, Said) and at + 4 + _HEADER.size <= len(step.data):
                    made = told.pop(step.data[at + 4 : at + 4 + _HEADER.size], None)
                    if made is not None:
                        yield moment, made
                    at += 4 + int.from_bytes(step.data[at : at + 4])
        assert not told, "an answer was heard that nobody is known to have given"

    def relied(self, moment: int) -> list[Made]:
        """What clients rely on then."""
        return [made for _, made in self.told[: bisect_right(self.told, moment, key=lambda told: told[0])]]


def cuts(
    steps: Mapping[int, Sequence[tuple[int, Step]]],
    moments: Iterable[int],
    rng: Random,
    keep: float | None = None,
) -> Iterator[tuple[int, dict[int, Image]]]:
    """(moment, what a cut of all servers' power leaves on each one's disk); keep as Disk.cut() has it."""
    disks = {sid: Disk() for sid in steps}
    ahead = {sid: deque(its) for sid, its in steps.items()}
    for moment in sorted(moments):
        for sid, its in ahead.items():
            while its and its[0][0] <= moment:
                disks[sid].apply(its.popleft()[1])
        yield moment, {sid: disk.cut(rng, keep) for sid, disk in disks.items()}
