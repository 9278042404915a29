"""The server that the tests of this folder talk to: znoded, or whatever listens at $ZOOKEEPER (HOST:PORT)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_MAIN = "from znoded.daemon.cli import main; main()"
_STARTED_WITHIN = 15


class Server:
    """A server under test; address is (host, port)."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def restart(self) -> None:
        """Stop it in the middle of everything, and start it again on its data."""
        pytest.skip("a server that is not ours is not restarted")


class Daemon(Server):
    """znoded in a process of its own, with zoo.cfg beside this file."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            super().__init__(("127.0.0.1", free.getsockname()[1]))
        self._config = folder / "zoo.cfg"
        self._log = folder / "log"
        shared = (Path(__file__).parent / "zoo.cfg").read_text()
        own = f"dataDir={folder / 'data'}\nclientPort={self.address[1]}\nadmin.enableServer=false\n"
        self._config.write_text(shared + own)

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-c", _MAIN, "start", "--config", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _STARTED_WITHIN
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"znoded did not start:\n{self._log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _listens(self) -> bool:
        try:
            socket.create_connection(self.address, 1).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module, new at its beginning."""
    if given := os.environ.get("ZOOKEEPER"):
        host, _, port = given.rpartition(":")
        yield Server((host, int(port)))
        return
    daemon = Daemon(tmp_path_factory.mktemp("znoded"))
    daemon.start()
    yield daemon
    daemon.stop()
