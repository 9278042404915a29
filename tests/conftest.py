"""Hypothesis draws the same examples each time: a test that passed passes again. `make fuzz` draws others.

What matters whichever backend orders is tried over each.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("ci")


@pytest.fixture(scope="module", params=["zab", "raft"])
def backend(request: pytest.FixtureRequest) -> str:
    """As the configuration names it."""
    return str(request.param)
