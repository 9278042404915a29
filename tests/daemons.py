"""znoded in a process of its own, for tests that start, end and break it."""

from __future__ import annotations

import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

_MAIN = "from znoded.daemon.cli import main; main()"
_WITHIN = 20
"""Seconds for what must happen, on a machine that has much else to do."""

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (DEBUG|INFO|WARNING|ERROR) [a-z_.]+: ."
)
"""How each line of a log begins."""


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until the condition holds; the test fails if it does not in good time."""
    deadline = time.monotonic() + _WITHIN
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {_WITHIN} s")
        time.sleep(0.01)


def free_port() -> int:
    """A port that nobody listens on; nor does the system lend it to who connects, so that a server which
    is started again finds it free."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as free:
            port: int = free.getsockname()[1]
            return port


class Daemon:
    """One server on data of its own, below folder; may be started again and again.

    settings: lines for its zoo.cfg. before: Python statements that its process begins with.
    environment: instead of this process's own. mark: where in the log a test begins that shares the server
    with others.
    """

    def __init__(self, folder: Path, settings: str = "", before: str = "") -> None:
        self.address = ("127.0.0.1", free_port())
        self.data = folder / "data"
        self.config = folder / "zoo.cfg"
        self.environment: dict[str, str] | None = None
        self.launched = False
        self.mark = 0
        self._log = folder / "log"
        self._command = [sys.executable, "-c", f"{before}\n{_MAIN}", "start", "--config", str(self.config)]
        lines = settings if "admin." in settings else f"{settings}\nadmin.enableServer=false"
        self.config.write_text(f"{lines}\ndataDir={self.data}\n")
        if "clientPort=" not in settings:
            self.config.write_text(f"{self.config.read_text()}clientPort={self.address[1]}\n")

    @property
    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """The bytes of its own memory that are resident: not the map of its data file."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.launched and self._process.poll() is None

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.launched = True
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self.environment)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        begun = self._log.stat().st_size if self._log.exists() else 0
        self.launch()
        until(lambda: "serving clients" in self.log[begun:] or self._process.poll() is not None, "the start")
        if self._process.poll() is not None:
            pytest.fail(f"znoded did not start:\n{self.log[begun:]}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended; of a signal that killed it, minus its number."""
        return self._process.wait(_WITHIN)

    def run(self) -> tuple[int, str]:
        """Start it where it can't serve: (its exit status, what it logged)."""
        begun = self._log.stat().st_size if self._log.exists() else 0
        self.launch()
        try:
            status = self.wait()
        finally:
            self.kill()
        return status, self.log[begun:]

    def stop(self) -> int:
        """End it as systemd does; its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it in the middle of everything."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()
