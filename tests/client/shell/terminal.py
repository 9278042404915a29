"""znode as a process: with lines through a pipe, or at a terminal that somebody types at."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

COMMAND = [sys.executable, "-c", "from znoded.client.shell.main import main; main(prog_name='znode')"]
PROMPT = r"\[zk: .*?\] ?$"
_WITHIN = 20
"""Seconds for what must happen, on a machine that has much else to do."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def piped(server: str, *words: str) -> subprocess.Popen[str]:
    """`znode --server ... WORDS`, its standard streams in pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*COMMAND, "--server", server, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


class Terminal:
    """`znode WORDS` at a terminal of its own; folder: where it keeps its history."""

    def __init__(self, folder: Path, *words: str) -> None:
        ours, its = pty.openpty()
        self._terminal = ours
        self._seen = ""
        # PROMPT_TOOLKIT_NO_CPR: nobody is here to say where the cursor is.
        environment = os.environ | {
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "XDG_STATE_HOME": str(folder),
            "COLUMNS": "120",
        }
        self._process = subprocess.Popen(
            [*COMMAND, *words], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
        )
        os.close(its)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._terminal, text.encode())

    def line(self, text: str) -> None:
        """Type a line once there is a prompt."""
        self.sees(PROMPT)
        self.type(f"{text}\r")

    def interrupt(self) -> None:
        """Ctrl-C until there is a prompt: one that comes while the last prompt goes away is lost."""
        deadline = time.monotonic() + _WITHIN
        while re.search(PROMPT, self._seen) is None:
            assert time.monotonic() < deadline, "Ctrl-C ended no command"
            self._process.send_signal(signal.SIGINT)
            self._read(0.2)

    def sees(self, pattern: str) -> str:
        """Wait until that has appeared, behind what was waited for before; colours and the like left out."""
        deadline = time.monotonic() + _WITHIN
        while (found := re.search(pattern, self._seen)) is None:
            if not self._read(max(deadline - time.monotonic(), 0)):
                pytest.fail(f"{pattern} did not appear, but\n{self._seen}")
        self._seen = self._seen[found.end() :]
        return found[0]

    def _read(self, within: float) -> bool:
        """Whether something more was there to see."""
        if not select.select([self._terminal], [], [], within)[0]:
            return False
        try:
            more = os.read(self._terminal, 1 << 16).decode(errors="replace")
        except OSError:  # it has ended
            return False
        self._seen = _ESCAPES.sub("", self._seen + more)
        return True

    def ends(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(_WITHIN)
