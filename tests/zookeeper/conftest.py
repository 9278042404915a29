"""The server that the tests of this folder talk to: znoded, or whatever listens at $ZOOKEEPER (HOST:PORT)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ..daemons import Daemon


class Server(Protocol):
    """A server under test; address is (host, port)."""

    @property
    def address(self) -> tuple[str, int]: ...

    def restart(self) -> None:
        """Stop it in the middle of everything, and start it again on its data."""


class Foreign:
    """A server that is not ours."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def restart(self) -> None:
        pytest.skip("a server that is not ours is not restarted")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module, new at its beginning."""
    if given := os.environ.get("ZOOKEEPER"):
        host, _, port = given.rpartition(":")
        yield Foreign((host, int(port)))
        return
    daemon = Daemon(tmp_path_factory.mktemp("znoded"), (Path(__file__).parent / "zoo.cfg").read_text())
    daemon.start()
    yield daemon
    daemon.kill()
