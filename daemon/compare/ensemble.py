"""Runs ensembles on loopback, each server a process with a folder and ports of its own."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .ask import Asking, word
from .kinds import Kind
from .tied import end_with_parent

_PORTS: Final = range(20_000, 32_000)
"""Not those that the system lends to connections: one might take a port between two starts of its server."""
_LONGEST: Final = 300.0
"""Seconds for what must happen. ZooKeeper's servers that missed each other in an election ask again after up
to a minute."""
_POLL: Final = 0.002
_PATIENCE: Final = 0.5
_LINES: Final = 12


class Failed(Exception):
    """A server did not do what it must; says which, and what it logged."""


class Server:
    """One of an ensemble, which can be ended and started again over its data."""

    def __init__(self, kind: Kind, folder: Path, number: int, port: int, members: str) -> None:
        self.name = f"server {number} of {kind.label}"
        self.port = port
        self.data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.data.mkdir(parents=True)
        (self.data / "myid").write_text(f"{number}\n")
        config = folder / "zoo.cfg"
        config.write_text(kind.config(self.data, port, members))
        self._command = kind.command(folder, config)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def leads(self) -> bool:
        """As it says itself."""
        with suppress(OSError):
            return "Mode: leader" in word(self.port, b"srvr", _PATIENCE)
        return False

    def launch(self) -> None:
        """Start it, and do not wait."""
        with self._log.open("ab") as log:
            # In a session of its own: Ctrl-C is ours to act on.
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def wait(self) -> None:
        """Until it serves, with all that was acknowledged before. Raises Failed."""
        began = time.monotonic()
        while True:
            # Some take connections before they are up, and never answer them; others are slow under load.
            patience = _PATIENCE + (time.monotonic() - began) / 10
            try:
                with Asking(self.port, patience) as asking:
                    asking.sync()
                return
            except OSError as error:
                if self._process is None or self._process.poll() is not None:
                    raise Failed(f"{self.name} has ended:\n{self.last_lines()}") from None
                if time.monotonic() - began > _LONGEST:
                    raise Failed(f"{self.name} does not serve: {error}\n{self.last_lines()}") from None
            time.sleep(_POLL)

    def signal(self, which: signal.Signals) -> None:
        """Send its process a signal."""
        assert self._process is not None
        self._process.send_signal(which)

    def kill(self) -> None:
        """End it in the middle of everything; nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def last_lines(self) -> str:
        """What it logged last."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LINES:])


class Ensemble:
    """Servers of a kind. A context that starts them, and ends them."""

    def __init__(self, kind: Kind, folder: Path, size: int) -> None:
        """folder: where their data live; made."""
        self.kind = kind
        ports = _free_ports(3 * size)
        client, quorum, election = ports[:size], ports[size : 2 * size], ports[2 * size :]
        numbers = range(1, size + 1)
        members = "".join(
            f"server.{number}=127.0.0.1:{quorum[number - 1]}:{election[number - 1]}\n" for number in numbers
        )
        self.servers = [
            Server(kind, folder / str(number), number, client[number - 1], members) for number in numbers
        ]

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.launch()
            for server in self.servers:
                server.wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def ports(self) -> list[int]:
        """Where clients connect."""
        return [server.port for server in self.servers]

    def leader(self) -> Server:
        """Who leads now. Raises Failed."""
        end = time.monotonic() + _LONGEST
        while time.monotonic() < end:
            for server in self.servers:
                if server.leads:
                    return server
            time.sleep(_POLL)
        raise Failed(f"{self.kind.label}: nobody leads\n{self.servers[0].last_lines()}")

    def version(self) -> str:
        """What a server says of itself."""
        line = word(self.servers[0].port, b"srvr", _PATIENCE).partition("\n")[0]
        return line.removeprefix("Zookeeper version: ").split(",")[0].split("-$")[0].strip()

    def _end(self) -> None:
        for server in self.servers:
            server.kill()


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Failed(f"fewer than {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")
