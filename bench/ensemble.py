"""Measures ensembles of three servers: under load on all of them, and when their leader is killed."""

from __future__ import annotations

import re
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import click

from .load import Generator, Load
from .servers import CONNECT, Contender, Server, free_port, read_synced
from .speed import Row

SIZE: Final = 3
ROWS: Final = (
    Row("3-get", 16, 1, 1.8),
    Row("3-get", 64, 10, 1.8),
    Row("3-set", 16, 1, 2.0),
    Row("3-set", 64, 10, 1.5),
    Row("3-create", 64, 10, 1.5),
)
FAILOVER: Final = "3-failover"
_PATH: Final = b"/failover"
_CREATE: Final = 1
_SET_DATA: Final = 5
_NODE_EXISTS: Final = -110
_ANYBODY: Final = struct.pack(">iii5si6s", 1, 31, 5, b"world", 6, b"anyone")
_PATIENCE: Final = 0.2
"""Seconds for an answer before a client tries again: a server that has lost its leader may give none."""
_LONGEST: Final = 60.0
_POLL: Final = 0.001
_REST: Final = 0.5


class Member(Server):
    """One of an ensemble. It is up when it has all that the ensemble acknowledged."""

    def __init__(self, contender: Contender, directory: Path, number: int, peers: str) -> None:
        super().__init__(replace(contender, read=read_synced), directory)
        (directory / "data" / "myid").write_text(f"{number}\n")
        with (directory / "zoo.cfg").open("a") as config:
            config.write(f"initLimit=10\nsyncLimit=5\n{peers}")

    @property
    def leads(self) -> bool:
        """As it says itself."""
        with suppress(OSError):
            return "Mode: leader" in self._told(1)
        return False

    def writes(self) -> int:
        """How many it applied in this epoch, by its zxid. Raises click.ClickException if it tells none."""
        with suppress(OSError):
            if found := re.search("Zxid: 0x([0-9a-f]+)", self._told(_LONGEST)):
                return int(found[1], 16) & 0xFFFFFFFF
        raise click.ClickException(f"{self.name} tells no zxid")

    def _told(self, patience: float) -> str:
        with socket.create_connection(("127.0.0.1", self.port), patience) as connection:
            connection.sendall(b"srvr")
            return connection.makefile("rb").read().decode()


class Ensemble:
    """Three servers of a kind, each with its own data. A context that ends them."""

    def __init__(self, contender: Contender, directory: Path) -> None:
        """directory: made if missing."""
        self.name = contender.name
        peers = "".join(
            f"server.{number}=127.0.0.1:{free_port()}:{free_port()}\n" for number in range(1, SIZE + 1)
        )
        self.members = [
            Member(contender, directory / f"{number}", number, peers) for number in range(1, SIZE + 1)
        ]
        self._running = ExitStack()

    def __enter__(self) -> Self:
        for member in self.members:
            self._running.enter_context(member)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    def start(self, count: int = SIZE) -> None:
        """Start the first ones, and wait until each serves."""
        for member in self.members[:count]:
            member.launch()
        for member in self.members[:count]:
            member.wait()

    def leader(self) -> Member:
        """Who leads now."""
        end = time.monotonic() + _LONGEST
        while time.monotonic() < end:
            for member in self.members:
                if member.leads:
                    return member
            time.sleep(_POLL)
        raise click.ClickException(f"{self.name}: nobody leads")


class OverAll:
    """A driver that deals its connections out to all servers of an ensemble."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def drive(self, server: Ensemble, row: Row, warm_up: float, seconds: float) -> Load:
        """By load.c."""
        ports = [member.port for member in server.members]
        times = ("-w", f"{warm_up}", "-t", f"{seconds}")
        operation = row.operation.removeprefix("3-")
        return self._generator.run(ports, operation, row.connections, row.depth, *times)


def failover(ensemble: Ensemble, times: int, step: Callable[[str], None]) -> list[float]:
    """Kill the leader, so many times: seconds until a client of another server has a write acknowledged."""
    name = struct.pack(f">i{len(_PATH)}s", len(_PATH), _PATH)
    _Client(ensemble.members[0].port).ask(_CREATE, name + struct.pack(">i", 0) + _ANYBODY + bytes(4))
    taken = []
    for number in range(times):
        step(f"{ensemble.name} loses its leader")
        leader = ensemble.leader()
        others = [member for member in ensemble.members if member is not leader]
        port = others[number % len(others)].port
        _write(port, name)
        time.sleep(_REST)
        began = time.perf_counter()
        leader.end(signal.SIGKILL)
        _write(port, name)
        taken.append(time.perf_counter() - began)
        leader.launch()
        leader.wait()
    return taken


def _write(port: int, name: bytes) -> None:
    """One that is acknowledged, however often it takes."""
    end = time.perf_counter() + _LONGEST
    while True:
        try:
            _Client(port).ask(_SET_DATA, name + struct.pack(">i3si", 3, b"new", -1))
            return
        except OSError as error:
            if time.perf_counter() > end:
                raise click.ClickException(f"no write after {_LONGEST:g} s: {error}") from error
            time.sleep(_POLL)


class _Client:
    """Asks one thing in a session of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, operation: int, body: bytes) -> None:
        """Raises OSError if there is no answer, or one that tells of an error."""
        with socket.create_connection(("127.0.0.1", self._port), _PATIENCE) as connection:
            stream = connection.makefile("rb")
            for request in (CONNECT, struct.pack(">ii", 1, operation) + body):
                connection.sendall(len(request).to_bytes(4) + request)
                size = int.from_bytes(stream.read(4))
                reply = stream.read(size)
                if not size or len(reply) < size:
                    raise ConnectionError("closed")
            (error,) = struct.unpack_from(">i", reply, 12)
            if error not in (0, _NODE_EXISTS):
                raise ConnectionError(f"error {error}")
