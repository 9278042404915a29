"""Every script, answered as ZooKeeper answers it, or where znoded means to differ, as it means to."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

from .conftest import Server
from .script import play, scripts


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_script(path: Path, server: Server) -> None:
    if path.stem == "differences" and "ZOOKEEPER" in os.environ:
        pytest.skip("a ZooKeeper does not answer as znoded does where the two differ")
    expected = path.read_text()
    got = play(expected, server.address)
    if got != expected:
        lines = difflib.unified_diff(
            expected.splitlines(),
            got.splitlines(),
            f"{path.name} (as it should be)",
            "this server",
            lineterm="",
            n=4,
        )
        pytest.fail("\n".join(lines), pytrace=False)
