"""What matters whichever backend orders is tried over each."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", params=["zab", "raft"])
def backend(request: pytest.FixtureRequest) -> str:
    """As the configuration names it."""
    return str(request.param)
