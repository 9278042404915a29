"""The recorder, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from .power_cut import build_recorder


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim that records a process; where there is no compiler, what needs it is skipped."""
    library = build_recorder(tmp_path_factory.mktemp("recorder"))
    if library is None:
        pytest.skip("no C compiler here: recording a whole process is left out")
    return library
