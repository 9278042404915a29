"""Starts load in a process of its own (load.py), and hears what comes of it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from dataclasses import asdict
from types import TracebackType
from typing import IO, Final, Self, TypedDict

from .ensemble import Failed
from .load import Order
from .tied import end_with_parent

_LONGEST: Final = 60.0
"""Seconds that a load may take for what has no time of its own."""


class Told(TypedDict, total=False):
    """A line that load.py prints; which keys it has depends on what was asked for."""

    ready: bool
    seconds: float
    answers: int
    errors: int
    latencies: list[tuple[int, int]]
    acks: list[tuple[float, float, int]]
    created: list[Created]


class Created(TypedDict):
    """What a client made: so many sent, and of them acknowledged [first, last] of each stretch."""

    sent: int
    acked: list[tuple[int, int]]


class Generator:
    """One load. A context that ends it."""

    def __init__(self, order: Order) -> None:
        command = [sys.executable, "-P", "-m", "znoded.daemon.compare.load"]
        # In a session of its own: Ctrl-C is ours to act on.
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self._lines: queue.SimpleQueue[Told | None] = queue.SimpleQueue()
        self._say(json.dumps(asdict(order)))

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def go(self) -> None:
        """Let it go on."""
        self._say("")

    def heard(self, seconds: float = 0.0) -> Told:
        """Its next line, if it comes so soon; else an empty one. Raises Failed if it has ended."""
        try:
            line = self._lines.get(timeout=seconds) if seconds else self._lines.get_nowait()
        except queue.Empty:
            return Told()
        if line is None:
            raise self._failed()
        return line

    def wait(self, seconds: float = 0.0) -> Told:
        """Its next line. seconds: for what it does, besides the usual patience. Raises Failed."""
        told = self.heard(seconds + _LONGEST)
        if not told:
            raise Failed("the load does not get on")
        return told

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def _listen(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _failed(self) -> Failed:
        assert self._process.stderr is not None
        lines = self._process.stderr.read().strip().splitlines()
        return Failed(f"the load has ended: {lines[-1] if lines else 'nobody knows why'}")
