"""What the shell's tests share."""

from __future__ import annotations

import pytest

from .typed import Znode


@pytest.fixture
def znode(server: str) -> Znode:
    """The command for the server that all of the client's tests ask."""
    return Znode(server)
