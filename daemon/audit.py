"""The audit log: writes who changed what, on a thread of its own, and says so if it can't."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Final, TextIO, cast

from ..api.connection import Connection
from ..consensus.contract import Waiter
from ..storage.watches import NODE_DELETED
from ..storage.writes import Event
from .audit_lines import FAILURE, INVOKED, Applied, line, system_user
from .logs import LineFormatter, formatter

_ROOM: Final = 16 << 20
"""Bytes of transactions that may wait to be written. Then the server waits, too: no line is given up."""
_QUIET: Final = 60.0
"""Seconds between two log lines about lines that could not be written."""

_log = logging.getLogger(__name__)


class Audit:
    """Takes what was applied, from the event loop; used as a context, it tells of the server's own life.

    A line is written after its change is on disk, and it may be after the client was answered. What is not
    yet written when the process is killed is lost; what could not be written is counted and logged.
    """

    def __init__(self, file: Path | None, stream: TextIO = sys.stderr) -> None:
        """Append to file, which is opened anew when it was moved away; without one, write to stream. OSError
        if the file can't be opened."""
        self.lost = 0
        self._untold = 0
        self._quiet_until = 0.0
        self._serving = False
        self._out = _Stream(stream) if file is None else _File(file)
        self._head = (formatter(stream) if file is None else LineFormatter()).head
        self._waiting: list[tuple[float, Applied | str]] = []
        self._size = 0
        self._ended = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def __enter__(self) -> Audit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left. If serving() was not called, the start has failed."""
        if not self._serving:
            self._add(line(user=system_user(), operation="serverStart", result=FAILURE))
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._out.close()

    def serving(self) -> None:
        """The server has started."""
        self._serving = True
        self._add(line(user=system_user(), operation="serverStart"))

    def stopping(self) -> None:
        """The server was told to end."""
        self._add(line(user=system_user(), operation="serverStop", result=INVOKED))

    def applied(self, waiter: Waiter, txn: bytes, error: int, answer: bytes, events: Sequence[Event]) -> None:
        """Tell of a transaction that this server proposed."""
        host = cast(Connection, waiter[0]).host if isinstance(waiter, tuple) else None
        deleted = tuple(path for kind, path, *_ in events if kind == NODE_DELETED)
        self._add(Applied(txn, host, error, answer, deleted))

    def _add(self, what: Applied | str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._size < _ROOM)
            self._waiting.append((time.time(), what))
            self._size += _size(what)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                taken, self._waiting = self._waiting, []
            for moment, what in taken:
                self._write(moment, (what,) if isinstance(what, str) else what)
                with self._changed:
                    self._size -= _size(what)
                    self._changed.notify_all()

    def _write(self, moment: float, what: Iterable[str] | Applied) -> None:
        record = logging.makeLogRecord({"created": moment, "msecs": moment % 1 * 1000, "levelname": "INFO"})
        record.levelno = logging.INFO
        head = self._head(record)
        try:
            for text in what.lines() if isinstance(what, Applied) else what:
                self._out.write(f"{head}audit: {text}\n")
        except Exception as error:
            self._count(error)

    def _count(self, error: Exception) -> None:
        self.lost += 1
        self._untold += 1
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET
            _log.error("the audit log lost %d lines: %s", self._untold, error)
            self._untold = 0


class _Stream:
    """Where the other log lines go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """A whole line at once: others write there, too."""
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """It is not ours."""


class _File:
    """A file for its owner alone, made anew when it was moved away. Nothing is buffered: after a full disk a
    buffer would bring back pieces of lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._fd = self._open()

    def write(self, text: str) -> None:
        """Append a line."""
        try:
            moved = not os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            moved = True
        if moved:
            anew = self._open()
            self.close()
            self._fd, self._torn = anew, False
        data = text.encode()
        if self._torn:
            data = b"\n" + data
        while data:
            written = os.write(self._fd, data)
            data = data[written:]
            self._torn = bool(data)

    def close(self) -> None:
        """Nothing more comes."""
        os.close(self._fd)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _size(what: Applied | str) -> int:
    return what.size if isinstance(what, Applied) else len(what)
