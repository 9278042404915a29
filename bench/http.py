"""Puts load on HTTP servers by wrk: http.lua makes the requests of each kind of server."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Final

from .load import VALUE, Generator, Load, LoadError
from .servers import ZNODED, Server
from .speed import Row

ROWS: Final = (Row("http-put", 64, 1, 2.0), Row("http-get", 64, 1, 2.0))
_LAST: Final = b"/load/k999"
"""The last path that load.c makes, and http.lua puts to and gets."""


def missing() -> str | None:
    """Why nothing can be measured here; None if it can."""
    if shutil.which("wrk"):
        return None
    return "wrk is not installed, so the rows of HTTP are left out: apt-get install wrk"


class Wrk:
    """A driver for servers that speak HTTP."""

    def __init__(self, generator: Generator) -> None:
        """generator: makes znodes, as PUT changes only what is there."""
        self._generator = generator
        self._filled: set[Server] = set()

    def drive(self, server: Server, row: Row, warm_up: float, seconds: float) -> Load:
        """Times are rounded up to seconds: wrk knows no less."""
        if server not in self._filled:
            self._filled.add(server)
            if server.name == ZNODED.name:
                self._generator.run(server.port, "get", 1, 1, "-n", "1")
            else:
                _run(server, ROWS[0], 1)
        if warm_up:
            _run(server, row, warm_up)
        load = _run(server, row, seconds)
        if len(server.read(_LAST)) != VALUE:
            raise LoadError(f"{row.name}: {server.name} does not keep what it is sent")
        return load


def _run(server: Server, row: Row, seconds: float) -> Load:
    script = Path(__file__).with_suffix(".lua")
    url = f"http://127.0.0.1:{server.port}"
    what = (server.name, row.operation.removeprefix("http-"), f"{VALUE}")
    times = ("-t1", f"-c{row.connections}", f"-d{math.ceil(seconds)}s")
    done = subprocess.run(
        ["wrk", *times, "-s", f"{script}", url, "--", *what], capture_output=True, text=True
    )
    if done.returncode:
        raise LoadError(f"{row.name}: {done.stderr.strip() or 'wrk crashed'}")
    measured = json.loads(done.stdout.splitlines()[-1])
    return Load(row.operation, row.connections, row.depth, VALUE, **measured)
