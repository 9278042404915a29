"""Runs the servers that are compared, each with a data directory and a port of its own, on loopback."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import click

_JAR: Final = Path("/usr/share/java/zookeeper.jar")
_PATIENCE: Final = 180.0
_POLL: Final = 0.001
_PORTS: Final = range(20_000, 30_000)

# Both read the same file.
_CONFIG: Final = """\
tickTime=2000
dataDir={data}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
maxClientCnxns=0
"""
_LOG4J: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%m%n
"""

# protocol version, last zxid, timeout, session id, password, read-only
CONNECT: Final = struct.Struct(">iqiqi16s?").pack(0, 0, 30_000, 0, 16, bytes(16), False)
_GET_DATA: Final = 4
_SYNC: Final = 9
_CLOSE: Final = -11


@dataclass(frozen=True, slots=True)
class Contender:
    """A kind of server, and how to deal with it."""

    name: str
    command: Callable[[Path, int], list[str]]
    """Starts it in a directory, to listen on a port; may write there what it needs."""
    read: Callable[[int, bytes, float], bytes]
    """A value, by the server's port and the value's path; raises OSError if none comes in so many seconds."""
    version: Callable[[int], str]
    """What the server on a port says of itself."""
    missing: Callable[[], str | None]
    """Why it can't be run here; None if it can."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds in memory, in bytes: in all, and of that anonymous and file-backed."""

    all: int
    anonymous: int
    file: int


def _configured(directory: Path, port: int) -> Path:
    config = directory / "zoo.cfg"
    config.write_text(_CONFIG.format(data=directory / "data", port=port))
    return config


def _znoded(directory: Path, port: int) -> list[str]:
    start = "from znoded.daemon.cli import main; main()"
    return [sys.executable, "-c", start, "start", "--config", f"{_configured(directory, port)}"]


def _zookeeper(directory: Path, port: int, heap: str = "1g") -> list[str]:
    (directory / "log4j.properties").write_text(_LOG4J)
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return ["java", f"-Xmx{heap}", "-cp", f"{directory}:{_JAR}", main, f"{_configured(directory, port)}"]


class Server:
    """A server that can be started, ended and started again over the same data. A context that ends it."""

    def __init__(self, contender: Contender, directory: Path) -> None:
        """directory: made if missing; data that a server before left there is taken up."""
        self.name = contender.name
        self.port = free_port()
        self._contender = contender
        (directory / "data").mkdir(parents=True, exist_ok=True)
        self._command = contender.command(directory, self.port)
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, click.ClickException):
            click.echo(f"\nThe last lines of {self.name}'s log:\n{self._last_lines()}", err=True)
        self.end(signal.SIGKILL)

    def start(self, path: bytes = b"/zookeeper", length: int = 0) -> float:
        """Start, and read a znode as soon as that is answered; the seconds it took; as wait()."""
        self.launch()
        return self.wait(path, length)

    def launch(self) -> None:
        """Start."""
        with self._log.open("ab") as log:
            self._began = time.perf_counter()
            # In a session of its own: Ctrl-C is the bench's to act on.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)

    def wait(self, path: bytes = b"/zookeeper", length: int = 0) -> float:
        """Read a znode as soon as that is answered; the seconds since the start.

        length: that of the value that is expected. Raises click.ClickException if there is no answer.
        """
        assert self._process is not None
        began = self._began
        while True:
            # ZooKeeper takes connections before it is up, and some of them it never answers: they must not
            # hold the next try up, nor may a slow server be given up too soon.
            patience = 0.02 + (time.perf_counter() - began) / 20
            try:
                value = self._contender.read(self.port, path, patience)
                took = time.perf_counter() - began
                break
            except OSError:
                if self._process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                    raise click.ClickException(f"{self.name} does not answer") from None
                # Whoever takes long shares the processors with this.
                time.sleep(max(_POLL, (time.perf_counter() - began) / 1000))
        if len(value) != length:
            raise click.ClickException(f"{self.name}: {path!r} holds {len(value)} bytes, not {length}")
        return took

    def end(self, how: signal.Signals) -> None:
        """Signal the process, and wait until it is gone. Nothing happens if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def memory(self) -> Memory:
        """What the process holds in memory now. Raises click.ClickException if it has ended."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        sizes = dict(line.split(":", 1) for line in status.splitlines())
        if "VmRSS" not in sizes:
            raise click.ClickException(f"{self.name} has ended")
        kibibytes = (int(sizes[key].split()[0]) for key in ("VmRSS", "RssAnon", "RssFile"))
        return Memory(*(1024 * size for size in kibibytes))

    def read(self, path: bytes) -> bytes:
        """A value. Raises OSError if none comes."""
        return self._contender.read(self.port, path, _PATIENCE)

    def version(self) -> str:
        """What it says of itself."""
        return self._contender.version(self.port)

    def _last_lines(self) -> str:
        return (
            "\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) if self._log.exists() else ""
        )


def _read(port: int, path: bytes, patience: float, *, synced: bool = False) -> bytes:
    """A znode's value, read in a session of its own; synced: with all that was written anywhere before."""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        stream = connection.makefile("rb")

        def ask(request: bytes) -> bytes:
            connection.sendall(len(request).to_bytes(4) + request)
            prefix = stream.read(4)
            reply = stream.read(int.from_bytes(prefix))
            if len(prefix) < 4 or len(reply) < int.from_bytes(prefix):
                raise ConnectionError("closed")
            return reply

        ask(CONNECT)
        if synced:
            reply = ask(struct.pack(f">iii{len(path)}s", 1, _SYNC, len(path), path))
            (error,) = struct.unpack_from(">i", reply, 12)
            if error:
                raise ConnectionError(f"no sync: error {error}")
        reply = ask(struct.pack(f">iii{len(path)}s?", 2, _GET_DATA, len(path), path, False))
        (error,) = struct.unpack_from(">i", reply, 12)
        if error:
            raise click.ClickException(f"reading {path.decode()}: error {error}")
        (length,) = struct.unpack_from(">i", reply, 16)
        ask(struct.pack(">ii", 3, _CLOSE))
        return reply[20 : 20 + max(length, 0)]


def _version(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as connection:
        connection.sendall(b"srvr")
        line = connection.makefile("rb").readline().decode()
    # Debian's build leaves a placeholder where the commit should stand.
    return line.removeprefix("Zookeeper version: ").split(",")[0].split("-$")[0].strip()


def _zookeeper_missing() -> str | None:
    if _JAR.exists() and shutil.which("java"):
        return None
    return "ZooKeeper is not installed, so there is nothing to compare with: apt-get install zookeeper"


def read_synced(port: int, path: bytes, patience: float) -> bytes:
    """A Contender's read that one of an ensemble answers only with all that was acknowledged before."""
    return _read(port, path, patience, synced=True)


ZNODED: Final = Contender("znoded", _znoded, _read, _version, lambda: None)
ZOOKEEPER: Final = Contender("ZooKeeper", _zookeeper, _read, _version, _zookeeper_missing)
ZOOKEEPER_2G: Final = replace(ZOOKEEPER, command=partial(_zookeeper, heap="2g"))
"""With room for a million znodes and all that is written while they come in: 1 GB is not enough for that."""


def free_port() -> int:
    """One that no connection is given for its own end: such a one might take it between two starts."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise click.ClickException(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")
