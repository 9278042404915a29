"""The default engine: LMDB, with keys of any length and a map that is never too small."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from heapq import merge
from itertools import chain, dropwhile, groupby, islice, takewhile
from pathlib import Path
from shutil import rmtree
from struct import Struct
from threading import Condition

import lmdb

from .directories import sync_directory
from .engine import EngineFull, end_of

# Address space only: the file is as long as its data, and pages are mapped as they are touched.
MAP_SIZE = 1 << 40

# LMDB's keys end here. Longer ones live in a table of their own, under their first bytes and a hash; the
# value there begins with the key's length and the key.
LONGEST = 511
STEM = LONGEST - 32
_LENGTH = Struct(">I")

# Changes a turn: some 0.3 ms for which the loop thread stands aside.
CHUNK = 500
# Seconds after which a commit goes on without being given a turn: the loop thread may have nothing to do.
PATIENCE = 0.002

# After a write that was cut short for lack of room there is less room than this.
PROBE = 1 << 20

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _stored(key: bytes) -> bytes:
    return key[:STEM] + blake2b(key, digest_size=32).digest()


def _as_os_error(error: lmdb.Error, path: Path) -> OSError:
    # py-lmdb has told the error's number only since 3.0; the text is in all versions.
    text = str(error)
    if isinstance(error, lmdb.MapFullError):
        return EngineFull(errno.ENOMEM, "the address space limit leaves no room for more data", str(path))
    if any(os.strerror(number) in text for number in _NO_ROOM) or _short_write(text, path):
        return EngineFull(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return OSError(errno.EIO, text, str(path))


def _short_write(text: str, path: Path) -> bool:
    # LMDB 0.9 calls it an I/O error when the disk takes only a part of what is written, 1.0 has a name for
    # it: see if it would take a little more. What lies beyond the last commit's pages is nobody's.
    if os.strerror(errno.EIO) not in text and "MDB_SHORT_WRITE" not in text:
        return False
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            os.posix_fallocate(file.fileno(), size, PROBE)
        except OSError as error:
            return error.errno in _NO_ROOM
        finally:
            file.truncate(size)
    return False


class LmdbView:
    """One read transaction."""

    __slots__ = ("_get", "_long", "_txn")

    def __init__(self, txn: lmdb.Transaction[bytes], long: lmdb._Database) -> None:
        self._txn = txn
        self._get = txn.get
        self._long = long

    def get(self, key: bytes) -> bytes | None:
        """See View."""
        if len(key) <= LONGEST:
            return self._get(key)
        packed = self._get(_stored(key), None, self._long)
        return None if packed is None else packed[_LENGTH.size + len(key) :]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See View."""
        short: Iterator[tuple[bytes, bytes]] = iter(())
        if len(prefix) <= LONGEST and (cursor := self._txn.cursor()).set_range(prefix):
            short = takewhile(lambda item: item[0].startswith(prefix), cursor.iternext())
        long = self._long_keys(prefix)
        first = next(long, None)
        if first is None:
            return short
        return merge(short, ((key, self.get(key) or b"") for key in chain((first,), long)))

    def keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """See View."""
        short: Iterator[bytes] = iter(())
        first_stored = max(prefix, after)[:LONGEST]
        if len(prefix) <= LONGEST and (cursor := self._txn.cursor()).set_range(first_stored):
            short = cursor.iternext(True, False)
            if after:
                short = dropwhile(after.__ge__, short)
            if (end := end_of(prefix)) is not None:
                short = takewhile(end.__gt__, short)
        long = self._long_keys(prefix, after)
        first = next(long, None)
        return short if first is None else merge(short, chain((first,), long))

    def _long_keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        # LMDB orders long keys by stem, then by hash: those that share a stem are put in order here.
        cursor = self._txn.cursor(self._long)
        stem = prefix[:STEM]
        if cursor.set_range(max(stem, after[:STEM])):
            found = takewhile(lambda item: item[0].startswith(stem), cursor.iternext())
            for _, group in groupby(found, lambda item: item[0][:STEM]):
                true = (packed[4 : 4 + _LENGTH.unpack_from(packed)[0]] for _, packed in group)
                yield from sorted(key for key in true if key > after and key.startswith(prefix))

    def close(self) -> None:
        """See View."""
        self._txn.abort()


class LmdbEngine(LmdbView):
    """An Engine in `lmdb/` below the directory."""

    __slots__ = ("_env", "_file", "_filled", "_filling", "_lent", "_short", "_turn")

    def __init__(self, directory: Path) -> None:
        path = directory / "lmdb"
        self._file = path / "data.mdb"
        self._turn = Condition()
        self._filling = self._lent = False
        self._filled = 0
        try:
            if not self._file.exists():
                _create(path)
            # Though it was there: who made it may have been killed before this.
            sync_directory(directory)
            self._env, self._short, long = _open(path)
            super().__init__(self._env.begin(self._short), long)
        except lmdb.Error as error:
            raise _as_os_error(error, self._file) from error

    @property
    def size(self) -> int:
        """See Engine."""
        return self._file.stat().st_size

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """See Engine. Not sorted: with pages in memory that costs more than it saves, and holds the
        interpreter all the while."""
        items = iter(changes.items())
        try:
            with self._env.begin(self._short, write=True) as txn:
                cursor = txn.cursor()
                self._filling = True
                try:
                    while chunk := list(islice(items, CHUNK)):
                        with self._turn:
                            self._turn.wait_for(lambda: self._lent, PATIENCE)
                        self._fill(txn, cursor, chunk)
                        with self._turn:
                            self._lent = False
                            self._filled += 1
                            self._turn.notify()
                finally:
                    with self._turn:
                        self._filling = False
                        self._turn.notify()
        except lmdb.Error as error:
            raise _as_os_error(error, self._file) from error

    def _fill(
        self,
        txn: lmdb.Transaction[bytes],
        cursor: lmdb.Cursor[bytes],
        chunk: list[tuple[bytes, bytes | None]],
    ) -> None:
        long = self._long
        cursor.putmulti([(key, value) for key, value in chunk if value is not None and len(key) <= LONGEST])
        for key, value in chunk:
            if len(key) > LONGEST:
                if value is None:
                    txn.delete(_stored(key), db=long)
                else:
                    txn.put(_stored(key), _LENGTH.pack(len(key)) + key + value, db=long)
            elif value is None:
                txn.delete(key)

    def lend(self, seconds: float) -> bool:
        """See Engine: py-lmdb takes the interpreter's lock anew for every put."""
        if not self._filling:
            return False
        with self._turn:
            wanted = self._filled + 1
            self._lent = True
            self._turn.notify()
            self._turn.wait_for(lambda: self._filled >= wanted or not self._filling, seconds)
        return True

    def refresh(self) -> None:
        """See Engine."""
        # The new one first, so that a failure leaves something to read from.
        txn = self._env.begin(self._short)
        self._txn.abort()
        self._txn = txn
        self._get = txn.get

    def snapshot(self) -> LmdbView:
        """See Engine."""
        return LmdbView(self._env.begin(self._short), self._long)

    def close(self) -> None:
        """See Engine."""
        super().close()
        self._env.close()


def _create(path: Path) -> None:
    """Make an empty store that is whole and on disk before it takes its name: LMDB refuses one whose
    first pages were cut off by a power cut."""
    new = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        rmtree(new)
    env, _, _ = _open(new)
    env.close()
    sync_directory(new)
    new.rename(path)


def _open(path: Path) -> tuple[lmdb.Environment, lmdb._Database, lmdb._Database]:
    """The environment, made if it is not there, with its tables for short and for long keys."""
    env = _environment(path)
    # Both have names, because the nameless one would show the names as keys.
    return env, env.open_db(b"short"), env.open_db(b"long")


def _environment(path: Path) -> lmdb.Environment:
    # A map cannot grow while anyone reads, so it starts beyond all need, or at half of what a limited
    # process may address: more would take it from the heap.
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    size = min(MAP_SIZE, sys.maxsize // 4, sys.maxsize if limit == resource.RLIM_INFINITY else limit // 2)
    while True:
        try:
            # As they are by default, with reason: sync and metasync (a commit is on disk when it returns),
            # no writemap (a full disk is an error, not a SIGBUS), meminit (no remnants of the heap on disk),
            # readahead (after a restart, reads warm the cache in large pieces).
            return lmdb.Environment(
                str(path), map_size=size, max_dbs=2, max_spare_txns=1, max_readers=1024, mode=0o700
            )
        except lmdb.MemoryError:
            # Address spaces differ: 39 bits on some ARM kernels.
            if size < 1 << 24:
                raise
            size //= 2
