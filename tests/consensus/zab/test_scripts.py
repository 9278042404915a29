"""What an ensemble does in the classic situations, line by line as scripts/*.txt tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .script import SCRIPTS, play


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_it_goes_as_the_script_tells(script: Path) -> None:
    assert play(script.read_text()) == script.read_text()
