"""Directories whose names outlast a power cut: a file's own sync keeps its bytes, not its name."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make durable what was made, renamed and removed in a directory. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Make a directory, and those above it that are missing; all their names are durable on return.

    Raises OSError."""
    if not directory.exists():
        make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    # Though it was there: who made it may have been killed before this. But not where nobody like us can
    # have made it, since that need not be readable either.
    if os.access(directory.parent, os.W_OK):
        sync_directory(directory.parent)
