"""The contract of a key-value engine, and how an engine is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from .directories import make_directory

GROUP = "znoded.storage"
"""The entry-point group in which a distribution names its engines."""

_BUILT_IN = {
    name: EntryPoint(name, f"{__package__}.{module}", GROUP)
    for name, module in (
        ("lmdb", "lmdb_engine:LmdbEngine"),
        ("memory", "memory_engine:MemoryEngine"),
        ("sqlite", "sqlite_engine:SqliteEngine"),
    )
}


class EngineFull(OSError):
    """A commit found no room. The state is that of the commit before; the same changes may be
    committed again once there is room."""


class View(Protocol):
    """A consistent state of the store: keys of 1 byte to 1 MiB, values of 0 to 64 MiB, in the order of
    the keys' bytes. Used by one thread at a time."""

    def get(self, key: bytes) -> bytes | None:
        """The value of key; None when there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All (key, value) whose key begins with prefix, ascending; never a copy of them all."""
        ...

    def keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """What scan yields, without the values; only keys that come after `after`, at once: those before
        cost nothing."""
        ...

    def close(self) -> None:
        """Let go of the state. What scan or keys returned ends here; a second call does nothing."""
        ...


class Engine(View, Protocol):
    """The store itself: opened as `Engine(directory)`, it keeps its files below that directory and
    raises OSError when it can't. It reads the last commit as of its opening or the last refresh()."""

    @property
    def size(self) -> int:
        """Bytes taken: on disk, or in memory for an engine that has no file."""
        ...

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Make all changes or none; None deletes, whether the key is there or not. Durable on return.

        Runs on a worker thread, one commit at a time, and reads nothing but changes, which stay as they
        are meanwhile. The loop thread goes on reading the state before. Raises EngineFull, or another
        OSError when the device fails; either leaves the state before, and reads go on.
        """
        ...

    def lend(self, seconds: float) -> bool:
        """Loop thread: if a commit needs the interpreter for many small steps, stand aside for some of
        them, for so long at the most; whether there was such a commit.

        A busy loop thread starves a commit that takes the interpreter's lock once for every change.
        """
        ...

    def refresh(self) -> None:
        """Loop thread, with no commit running: read the last commit from now on.
        What scan or keys returned before ends here."""
        ...

    def snapshot(self) -> View:
        """The last commit, for as long as the view stays open; for any one thread. It holds up nobody,
        though an engine may be unable to reuse space before it is closed. Close it before the engine."""
        ...


def engine_names() -> list[str]:
    """The names open_engine() knows here."""
    return sorted(_BUILT_IN.keys() | entry_points(group=GROUP).names)


def open_engine(name: str, directory: Path) -> Engine:
    """Open the engine of that name in directory, which is made if it is not there.

    Raises ValueError, which lists the installed engines, for an unknown name; OSError from the engine.
    """
    # Built in first: it works from a bare checkout, and no search through what is installed slows the start.
    point = _BUILT_IN.get(name)
    if point is None:
        installed = entry_points(group=GROUP)
        if name not in installed.names:
            raise ValueError(f"no storage engine {name!r}; installed: {', '.join(engine_names())}")
        point = installed[name]
    engine: Callable[[Path], Engine] = point.load()
    make_directory(directory)
    return engine(directory)


def end_of(prefix: bytes) -> bytes | None:
    """The first key after all that begin with prefix; None when there can be none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
