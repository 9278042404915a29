"""A transaction that can't be applied ends the server before anything else is told or flushed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .core import Core, patch_clock


class Ended(BaseException):
    """Stands for the end of the process."""


def test_a_bug_in_applying_ends_the_process_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path, patch_clock(monkeypatch), {})
    client = core.client()
    core.steps.propose(b"no transaction", None)
    client.create(b"/a")
    client.said.clear()

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended, match="70"):
        core.steps.commit()
    assert client.said == []
