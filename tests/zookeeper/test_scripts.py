"""Every script, answered as ZooKeeper answers it."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from .conftest import Server
from .script import play, scripts


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_answers_as_zookeeper_does(path: Path, server: Server) -> None:
    expected = path.read_text()
    got = play(expected, server.address)
    if got != expected:
        lines = difflib.unified_diff(
            expected.splitlines(),
            got.splitlines(),
            f"{path.name} (ZooKeeper)",
            "this server",
            lineterm="",
            n=4,
        )
        pytest.fail("\n".join(lines), pytrace=False)
