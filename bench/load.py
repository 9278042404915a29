"""Builds the load generator, load.c, and runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

VALUE: Final = 100
"""Bytes in every znode that is made."""


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
        servers = ",".join(f"127.0.0.1:{port}" for port in each)
        command = [f"{self._program}", "-s", servers, "-o", operation, "-v", f"{VALUE}"]
        command += ["-c", f"{connections}", "-d", f"{depth}", *more]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise LoadError(
                f"{operation} {connections}x{depth}: {done.stderr.strip() or 'the generator crashed'}"
            )
        return Load(**json.loads(done.stdout))


class LoadError(click.ClickException):
    """The server broke the protocol, answered out of order or went away."""
