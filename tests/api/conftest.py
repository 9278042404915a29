"""What the tests of HTTP on the client port share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..daemons import Daemon
from .rest.client import Rest

SETTINGS = """
tickTime=100
minSessionTimeout=200
maxClientCnxns=0
jute.maxbuffer=100000
extendedTypesEnabled=true
DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=
"""
"""Its super user's password is `test`."""


@pytest.fixture(scope="session")
def rest_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server that all of them ask."""
    daemon = Daemon(tmp_path_factory.mktemp("rest"), SETTINGS)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest.fixture
def rest(rest_daemon: Daemon) -> Iterator[Rest]:
    """A client of its own, and a connection."""
    client = Rest(rest_daemon.address)
    yield client
    client.close()


@pytest.fixture
def top(rest: Rest) -> str:
    """The path of a znode that is this test's alone."""
    path = rest.post("/?op=create&name=t&sequence=true").json["path"]
    assert isinstance(path, str)
    return path
