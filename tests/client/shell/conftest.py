"""What the shell's tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from ...daemons import Daemon
from .typed import Znode

SETTINGS = """
tickTime=100
minSessionTimeout=200
extendedTypesEnabled=true
"""


@pytest.fixture(scope="session")
def client_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server of the shell's tests alone, whose znodes bear plain names."""
    daemon = Daemon(tmp_path_factory.mktemp("shell"), SETTINGS)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.fixture
def znode(server: str) -> Znode:
    """The command for that server."""
    return Znode(server)


@pytest.fixture(autouse=True)
def heard_signals() -> Iterator[None]:
    """Programs hear of signals, though the tests were started by nohup, which has them ignored."""
    ignored = [each for each in (signal.SIGHUP, signal.SIGINT) if signal.getsignal(each) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
