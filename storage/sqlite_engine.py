"""The engine on the standard library's sqlite3: slower, and there wherever Python is."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

from .engine import EngineFull, end_of

# A write-ahead log longer than this is copied back whenever the reader lets go of it.
WAL_SIZE = 4 << 20


def _connect(path: Path) -> sqlite3.Connection:
    # Each connection has one user at a time, but not always the thread that made it.
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _as_os_error(error: sqlite3.Error, path: Path) -> OSError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return EngineFull(errno.ENOSPC, str(error), str(path))
    return OSError(errno.EIO, str(error), str(path))


class SqliteView:
    """A connection within a read transaction."""

    def __init__(self, path: Path) -> None:
        self._reader = _connect(path)
        self._pin()

    def _pin(self) -> None:
        # BEGIN alone takes no snapshot: the first read does.
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT 1 FROM kv LIMIT 1").fetchone()

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        row = self._reader.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        return self._select("key, value", prefix)

    def keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """See View."""
        return (key for (key,) in self._select("key", prefix, after))

    def _select(self, columns: str, prefix: bytes, after: bytes = b"") -> sqlite3.Cursor:
        # One lower bound, so that the search begins there.
        where, values = ("key > ?", [after]) if after >= prefix else ("key >= ?", [prefix])
        if (end := end_of(prefix)) is not None:
            where += " AND key < ?"
            values.append(end)
        return self._reader.execute(f"SELECT {columns} FROM kv WHERE {where} ORDER BY key", values)  # noqa: S608

    def close(self) -> None:
        """See View."""
        self._reader.close()


class SqliteEngine(SqliteView):
    """An Engine in `znodes.sqlite` below the directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "znodes.sqlite"
        self._wal = directory / "znodes.sqlite-wal"
        self._filling = Lock()
        try:
            self._path.touch(mode=0o600)
            self._writer = _connect(self._path)
            # A write-ahead log lets a reader keep its state while another connection writes.
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )
            super().__init__(self._path)
        except sqlite3.Error as error:
            raise _as_os_error(error, self._path) from error

    @property
    def size(self) -> int:
        """See Engine."""
        return self._path.stat().st_size + self._wal.stat().st_size

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """See Engine."""
        writer = self._writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            try:
                with self._filling:
                    writer.executemany(
                        "INSERT OR REPLACE INTO kv VALUES (?, ?)",
                        ((key, value) for key, value in changes.items() if value is not None),
                    )
                    writer.executemany(
                        "DELETE FROM kv WHERE key = ?",
                        ((key,) for key, value in changes.items() if value is None),
                    )
                writer.execute("COMMIT")
            finally:
                # Some errors end the transaction by themselves, others leave it open.
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _as_os_error(error, self._path) from error

    def lend(self, seconds: float) -> bool:
        """See Engine: sqlite3 takes the interpreter's lock anew for every row."""
        if not self._filling.locked():
            return False
        if self._filling.acquire(timeout=seconds):
            self._filling.release()
        return True

    def refresh(self) -> None:
        """See Engine."""
        self._reader.execute("ROLLBACK")
        # The log starts anew only when it is copied back while nobody reads from it, and here is
        # the only moment when this reader does not. On a full disk it has to wait.
        if self._wal.stat().st_size > WAL_SIZE:
            with suppress(sqlite3.Error):
                self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._pin()

    def snapshot(self) -> SqliteView:
        """See Engine."""
        return SqliteView(self._path)

    def close(self) -> None:
        """See Engine."""
        super().close()
        self._writer.close()
