"""Keeps a data directory for one process: a server, or a restore."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..storage.directories import make_directory


class Occupied(OSError):
    """Another process uses the data directory."""


def occupy(directory: Path) -> int:
    """Keep every other process out of a data directory for as long as the file that it returns is open."""
    make_directory(directory)
    path = directory / "znoded.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        raise Occupied(f"{directory} is in use by the znoded with process id {holder or 'unknown'}") from None
    os.truncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd
