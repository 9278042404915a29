"""Several servers as processes on this machine, for tests that start, break and compare them."""

from __future__ import annotations

import re
import shutil
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from ..daemons import Daemon, free_port, until
from ..zookeeper.raw import Acl, Connection, Granted, Op, Reader, Reply, Stat, bool_, text
from .network import Network

SETTINGS: Final = """\
tickTime=200
initLimit=25
syncLimit=5
maxSessionTimeout=60000
maxClientCnxns=0
4lw.commands.whitelist=*
"""
"""Short ticks: a silent leader is left after one second."""
SYNC_LIMIT: Final = 1.0
"""Seconds, by these settings."""

_AT_ONCE: Final = 50
"""Znodes that are asked for before the first answer is read."""

Address: TypeAlias = tuple[str, int]


def over(backend: str) -> str:
    """The same, with a backend named."""
    return f"{SETTINGS}consensus={backend}\n"


class Found(NamedTuple):
    """A znode as one server shows it."""

    data: bytes
    stat: Stat
    acl: list[Acl]


class Ensemble:
    """Servers by their ids, on data of their own below folder; none is started."""

    def __init__(
        self,
        folder: Path,
        voters: int = 3,
        observers: int = 0,
        settings: str = SETTINGS,
        before: str = "",
        network: Network | None = None,
    ) -> None:
        """settings and before as a Daemon has them, for each. network: between them; it is not broken yet."""
        everybody = range(1, voters + observers + 1)
        ports = {sid: (free_port(), free_port()) for sid in everybody}
        self.servers: dict[int, Daemon] = {}
        for sid in everybody:
            lines = [settings]
            for other, (quorum, election) in ports.items():
                if network is not None and other < sid:
                    quorum = network.dialed((sid, other), quorum)
                kind = ":observer" if other > voters else ""
                lines.append(f"server.{other}=127.0.0.1:{quorum}:{election}{kind}")
            home = folder / str(sid)
            home.mkdir()
            self.servers[sid] = Daemon(home, "\n".join(lines), before)
            self._number(sid)

    @property
    def addresses(self) -> list[Address]:
        """Where clients connect."""
        return [server.address for server in self.servers.values()]

    @property
    def hosts(self) -> str:
        """The same, as clients are given it."""
        return ",".join(f"{host}:{port}" for host, port in self.addresses)

    def start(self, order: Iterable[int] | None = None) -> None:
        """Start them one by one, in that order, and wait until all serve."""
        for sid in order or self.servers:
            self.servers[sid].launch()
        self.until_all_serve()

    def heal(self) -> None:
        """Have every server running, whatever was done to it, and serving."""
        for server in self.servers.values():
            if server.running:
                server.signal(signal.SIGCONT)
            else:
                server.launch()
        self.until_all_serve()

    def kill(self) -> None:
        """End all of them in the middle of everything."""
        for server in self.servers.values():
            if server.running:
                server.kill()

    def wipe(self, sid: int) -> None:
        """Give a server that does not run a new disk; its number is all that is left."""
        shutil.rmtree(self.servers[sid].data)
        self._number(sid)

    def mode(self, sid: int) -> str:
        """leader, follower, observer; empty if it does not serve, or reads alone."""
        found = re.search("Mode: (leader|follower|observer)", word(self.servers[sid].address, "srvr"))
        return found[1] if found else ""

    def epoch(self, sid: int) -> int:
        """Of the last transaction that a server has applied; 0 if it does not serve."""
        found = re.search("Zxid: 0x([0-9a-f]+)", word(self.servers[sid].address, "srvr"))
        return int(found[1], 16) >> 32 if found else 0

    def leader(self) -> int:
        """Who leads, once there is one."""
        found: list[int] = []

        def one_leads() -> bool:
            found[:] = [sid for sid, server in self.servers.items() if server.running]
            found[:] = [sid for sid in found if self.mode(sid) == "leader"]
            return len(found) == 1

        until(one_leads, "the election of a leader")
        return found[0]

    def followers(self) -> list[int]:
        """Who follows now."""
        return [
            sid for sid, server in self.servers.items() if server.running and self.mode(sid) == "follower"
        ]

    def until_all_serve(self, of: Iterable[int] | None = None) -> None:
        """Wait until those, or all of them, serve clients."""
        for sid in of or self.servers:
            until(lambda sid=sid: self.mode(sid), f"service by server {sid}")  # type: ignore[misc]

    def until_it_serves_no_more(self, sid: int) -> None:
        """Wait until a server knows that it has no majority."""
        until(lambda: "not currently serving" in word(self.servers[sid].address, "srvr"), f"{sid} giving up")

    def trees(self) -> dict[int, dict[str, Found]]:
        """What each server shows, after a sync, of all znodes; nobody must be writing."""
        return {sid: tree(server.address) for sid, server in self.servers.items()}

    def assert_same_trees(self) -> dict[str, Found]:
        """All servers show the same; it is returned."""
        first, *others = self.trees().values()
        for other in others:
            assert other.keys() == first.keys()
            assert other == first
        return first

    def _number(self, sid: int) -> None:
        data = self.servers[sid].data
        data.mkdir()
        (data / "myid").write_text(f"{sid}\n")


@contextmanager
def serving(ensemble: Ensemble) -> Iterator[Ensemble]:
    """All its servers are started; none outlives the block."""
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.kill()


def word(address: Address, name: str, patience: float = 1.0) -> str:
    """What a server answers to a four-letter word; nothing if it does not."""
    said = b""
    with suppress(OSError), socket.create_connection(address, patience) as sock:
        sock.sendall(name.encode())
        while more := sock.recv(65536):
            said += more
    return said.decode()


def connected(address: Address, timeout: int = 10_000) -> Connection:
    """A connection with a session of its own; timeout in ms."""
    connection = Connection.open(address)
    granted = connection.connect(timeout, 0, bytes(16), 0)
    assert isinstance(granted, Granted) and granted.timeout, granted
    return connection


def asked(connection: Connection, op: Op, body: bytes = b"") -> Reply:
    """A request's answer; events that come before it are passed over."""
    xid = connection.send(op, body)
    while True:
        item = connection.read()
        if isinstance(item, Reply):
            assert item.xid == xid
            return item
        assert item.__class__.__name__ == "Event", item


def tree(address: Address) -> dict[str, Found]:
    """All znodes but ZooKeeper's own, as a server shows them to who may read all, by path."""
    connection = connected(address)
    try:
        asked(connection, Op.sync, text("/"))
        found: dict[str, Found] = {}
        paths = ["/"]
        while paths:
            some, paths = paths[:_AT_ONCE], paths[_AT_ONCE:]
            for path in some:
                for op in (Op.getChildren, Op.getData):
                    connection.send(op, text(path) + bool_(False))
                connection.send(Op.getACL, text(path))
            for path in some:
                children, data, acl = (connection.read() for _ in range(3))
                assert isinstance(children, Reply) and isinstance(data, Reply) and isinstance(acl, Reply)
                assert (children.err, data.err, acl.err) == (0, 0, 0), path
                reader = Reader(data.body)
                found[path] = Found(reader.blob() or b"", reader.stat(), Reader(acl.body).acls())
                below = "" if path == "/" else path
                paths += sorted(f"{below}/{name}" for name in Reader(children.body).texts())
        asked(connection, Op.close)
        return found
    finally:
        connection.drop()
