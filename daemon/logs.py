"""Sets up logging: one line an event on standard error, for a person or for the journal."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TextIO

_PACKAGE = __name__.partition(".")[0] + "."
# What ends a line or steers a terminal: a client's bytes must neither forge an event nor hide one.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Log everything from level (debug, info, warning, error) up to stream, standard error by default.

    Replaces what was set up before.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(stream))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def formatter(stream: TextIO) -> LineFormatter:
    """How lines look in that stream."""
    return JournalFormatter() if _is_journal(stream) else LineFormatter()


def in_one_line(text: str) -> str:
    """text with what ends a line or steers a terminal written out."""
    return _UNSAFE.sub(_escaped, text)


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000+01:00 INFO daemon.process: message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever was logged; a traceback follows its message on the same line."""
        text = super().format(record)
        return f"{self.head(record)}{record.name.removeprefix(_PACKAGE)}: {in_one_line(text)}"

    def head(self, record: logging.LogRecord) -> str:
        """What stands before the logger's name."""
        local = time.localtime(record.created)
        zone = time.strftime("%z", local)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", local)
        return f"{moment}.{int(record.msecs):03}{zone[:3]}:{zone[3:]} {record.levelname} "


class JournalFormatter(LineFormatter):
    """`<6>daemon.process: message`: the journal notes the time, and reads the priority off the line."""

    def head(self, record: logging.LogRecord) -> str:
        """The priority of sd-daemon(3)."""
        level = record.levelno
        if level >= logging.ERROR:
            return "<3>"
        return "<4>" if level >= logging.WARNING else "<6>" if level >= logging.INFO else "<7>"


def _is_journal(stream: TextIO) -> bool:
    """Whether stream is the one that systemd connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    wanted = os.environ.get("JOURNAL_STREAM")
    if not wanted:
        return False
    try:
        stat = os.fstat(stream.fileno())
    except OSError:
        return False
    return wanted == f"{stat.st_dev}:{stat.st_ino}"


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
