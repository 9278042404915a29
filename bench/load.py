"""Builds the load generator, load.c, and runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

VALUE: Final = 100
"""Bytes in every znode that is made."""
_FILLED: Final = "/znodes"
_FOR_LONG: Final = 3600


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the generator measured; its fields are those of the line that load.c prints."""

    operation: str
    connections: int
    depth: int
    bytes: int
    seconds: float
    count: int
    errors: int
    per_second: float
    p50: float
    """Milliseconds, as the next three."""
    p99: float
    p999: float
    max: float


class Generator:
    """A built load generator, which puts load on servers on loopback."""

    def __init__(self, directory: Path) -> None:
        """directory: where the program is built."""
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if compiler is None:
            raise click.ClickException(
                "a C compiler builds the load generator: apt-get install gcc libc6-dev"
            )
        self._program = directory / "load"
        source = Path(__file__).with_name("load.c")
        done = subprocess.run([compiler, "-O2", "-o", self._program, source], capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(
                f"{source} can't be built; is libc6-dev installed?\n{done.stderr.strip()}"
            )

    def run(
        self, ports: int | Sequence[int], operation: str, connections: int, depth: int, *more: str
    ) -> Load:
        """Run once, on one server or dealt out to several; more: load.c's other arguments.

        Raises LoadError if it ends early."""
        each = (ports,) if isinstance(ports, int) else ports
        command = self._command(each, operation, connections, depth, *more)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise LoadError(
                f"{operation} {connections}x{depth}: {done.stderr.strip() or 'the generator crashed'}"
            )
        return Load(**json.loads(done.stdout))

    def fill(self, ports: int | Sequence[int], first: int, end: int) -> bytes:
        """Create znodes that stay, by their numbers, of which first is the next one; the last one's path.

        Raises as run().
        """
        self.run(ports, "create", 64, 10, "-n", f"{end - first}", "-p", _FILLED)
        return b"%b/c-%010d" % (_FILLED.encode(), end - 1)

    @contextmanager
    def meanwhile(self, ports: Sequence[int], operation: str, connections: int, depth: int) -> Iterator[None]:
        """Put load on servers while the context lasts. Raises LoadError if it ended before."""
        command = self._command(ports, operation, connections, depth, "-t", f"{_FOR_LONG}")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as load:
            try:
                yield
            finally:
                ended = load.poll() is not None
                load.kill()
                reason = load.communicate()[1].strip()
            if ended:
                raise LoadError(f"{operation} {connections}x{depth}: {reason or 'the generator crashed'}")

    def _command(
        self, ports: Sequence[int], operation: str, connections: int, depth: int, *more: str
    ) -> list[str]:
        servers = ",".join(f"127.0.0.1:{port}" for port in ports)
        command = [f"{self._program}", "-s", servers, "-o", operation, "-v", f"{VALUE}"]
        return [*command, "-c", f"{connections}", "-d", f"{depth}", *more]


class LoadError(click.ClickException):
    """The server broke the protocol, answered out of order or went away."""
