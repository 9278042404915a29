"""Fills an engine with the rows of a backup, in bounded transactions; the row m comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from ..storage.backup import BackupReader, Row
from ..storage.engine import Engine
from ..storage.state import META

_BYTES: Final = 16 << 20
"""Bytes of rows, and _ROWS rows, after which a transaction of the engine is committed: memory is bounded."""
_ROWS: Final = 50_000
_CHUNK: Final = 1 << 18


def refill(engine: Engine, source: Path) -> None:
    """Put the rows of a backup's file in the place of those there are. Raises what BackupReader does, before
    a row is touched; OSError."""
    for _ in _read(source):
        pass  # it is whole
    reader = _read(source)
    clear(engine)
    for rows in transactions(reader):
        engine.commit(dict(rows))
    engine.commit({META: reader.header.row})
    engine.refresh()


def clear(engine: Engine) -> None:
    """Delete every row, the row m in the first transaction."""
    engine.refresh()
    while keys := list(islice(engine.keys(b""), _ROWS)):
        engine.commit(dict.fromkeys((META, *keys)))
        engine.refresh()


def transactions(frames: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """The rows, as many at a time as go into one transaction."""
    rows: list[Row] = []
    size = 0
    for frame in frames:
        rows += frame
        size += sum(len(key) + len(value) for key, value in frame)
        if size >= _BYTES or len(rows) >= _ROWS:
            yield rows
            rows, size = [], 0
    yield rows


def _read(source: Path) -> BackupReader:
    return BackupReader(chunks_of(source), str(source))


def chunks_of(source: Path) -> Iterator[bytes]:
    """What a file holds."""
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
