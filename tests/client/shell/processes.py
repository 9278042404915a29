"""The shell in a process of its own, for what ends by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from .terminal import COMMAND

_WITHIN = 30
"""Seconds for what must happen."""


class Process:
    """`znode --server SERVER WORDS`, until it ends or its block does, and the programs that it runs."""

    def __init__(self, server: str, *words: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "--server", server, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | (environment or {}),
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        """The next line of its output, without its end; empty when all of them have closed it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().removesuffix("\n")

    def tells(self, expected: str) -> None:
        """Read what a person is told, up to that."""
        assert self._process.stderr is not None
        read = ""
        for line in self._process.stderr:
            read += line
            if expected in line:
                return
        raise AssertionError(f"it ended, and did not tell {expected!r}, but\n{read}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def press_ctrl_c(self) -> None:
        """As a terminal does: to it and to the program that it runs."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(_WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
