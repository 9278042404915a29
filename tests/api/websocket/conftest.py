"""A daemon whose WebSocket is tried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ...daemons import Daemon
from .messenger import PER_ADDRESS

SETTINGS = f"""
tickTime=100
minSessionTimeout=200
maxClientCnxns={PER_ADDRESS}
4lw.commands.whitelist=*
"""
IMPATIENT = """
from znoded.api.websocket import connection
connection.PATIENCE = 1.0
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    server = Daemon(tmp_path_factory.mktemp("websocket"), SETTINGS, IMPATIENT)
    server.start()
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log.splitlines() if "ERROR" in line or "Traceback" in line]


@pytest.fixture
def at(daemon: Daemon) -> tuple[str, int]:
    return daemon.address
