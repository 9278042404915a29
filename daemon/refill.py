"""Fills an engine with the rows of a backup, in bounded transactions; the row m comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
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


def check(source: Path) -> int:
    """Read a backup's file to its end; its zxid. Raises what BackupReader does, OSError."""
    reader = _read(source)
    for _ in reader:
        pass
    return reader.header.meta.zxid


def refill(engine: Engine, source: Path) -> Iterator[None]:
    """Put the rows of a backup's file in the place of those there are, one transaction a step; without the
    last one there is no row m. For the thread that commits: engine is not refreshed, and goes on showing the
    state before. Raises what BackupReader does, OSError."""
    reader = _read(source)
    yield from clear(engine)
    for rows in transactions(reader):
        engine.commit(dict(rows))
        yield
    engine.commit({META: reader.header.row})


def finish(engine: Engine, source: Path) -> None:
    """Do a refill over that was cut off: where there is the file, and no row m. The backend removes the file,
    when its log begins behind the state."""
    if source.exists() and engine.get(META) is None:
        for _ in refill(engine, source):
            pass
        engine.refresh()


def clear(engine: Engine) -> Iterator[None]:
    """Delete every row, the row m in the first transaction; one a step."""
    while True:
        with closing(engine.snapshot()) as view:
            keys = list(islice(view.keys(b""), _ROWS))
        if not keys:
            return
        engine.commit(dict.fromkeys((META, *keys)))
        yield


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
