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
    client.create(b"/a")
    client.said.clear()

    def end(status: int) -> None:
        raise Ended(status)

    def broken(zxid: int, txn: bytes) -> tuple[int, bytes]:
        raise KeyError("a bug")

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(core.server.writes, "apply", broken)
    with pytest.raises(Ended, match="70"):
        core.steps.commit()
    assert client.said == []
