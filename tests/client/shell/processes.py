"""The shell in a process of its own, for what ends by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_MAIN = "from znoded.client.shell.main import main; main()"
_WITHIN = 30
"""Seconds for what must happen."""


class Process:
    """`znode --server SERVER WORDS`, until it ends or its block does."""

    def __init__(self, server: str, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "--server", server, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | (environment or {}),
            text=True,
        )

    def line(self) -> str:
        """The next line of its output, without its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().removesuffix("\n")

    def tells(self, expected: str) -> None:
        """Read what a person is told, up to that."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if expected in line:
                return
        raise AssertionError(f"it ended, and did not tell {expected!r}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(_WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
