"""What the client's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..daemons import Daemon

SETTINGS = """
tickTime=100
minSessionTimeout=200
maxSessionTimeout=60000
maxClientCnxns=0
extendedTypesEnabled=true
"""


@pytest.fixture(scope="session")
def client_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server that all of them ask."""
    daemon = Daemon(tmp_path_factory.mktemp("client"), SETTINGS)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.fixture
def server(client_daemon: Daemon) -> str:
    """Where it is, as a client is given it."""
    return "{}:{}".format(*client_daemon.address)
