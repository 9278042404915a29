"""Puts a backup into an empty data directory. The row m comes last: without it, no server starts there."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from ..storage.backup import BackupDamaged, BackupReader
from ..storage.engine import Engine, open_engine
from ..storage.log import Log, LogDamaged
from ..storage.state import META, OtherFormat, zxid_in
from .backup import Progress, Result, result_of
from .config import Config
from .occupation import occupy
from .refill import clear, transactions

_CHUNK: Final = 1 << 18


class NoPlace(Exception):
    """The data directory is not for a restore; says why, and what to do."""


FAILURES: Final = (OSError, BackupDamaged, LogDamaged, NoPlace, OtherFormat)
"""What restore raises."""


def restore(config: Config, source: Path, progress: Progress) -> Result:
    """Restore a backup's file into the data directory of config, with a log that goes on behind it.

    progress counts the file's bytes. A restore that was killed is done over by the next one. Raises FAILURES.
    """
    began = monotonic()
    if config.storage == "memory":
        raise NoPlace("storage=memory keeps nothing: name another engine")
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb"))
        reader = BackupReader(iter(lambda: file.read(_CHUNK), b""), str(source))
        stack.callback(os.close, occupy(config.data_dir))
        engine = stack.enter_context(closing(open_engine(config.storage, config.data_dir)))
        log = stack.enter_context(closing(Log(config.data_log_dir / "log")))
        _refuse_data(config, engine, log)
        _clear(engine)
        try:
            more = stack.enter_context(progress(os.fstat(file.fileno()).st_size))
            done = 0
            for rows in transactions(reader):
                engine.commit(dict(rows))
                more(reader.size - done)
                done = reader.size
            log.restart(reader.header.meta.zxid)
            engine.commit({META: reader.header.row})
        except BaseException:
            with suppress(OSError):
                _clear(engine)
            raise
        return result_of(reader, began)


def _clear(engine: Engine) -> None:
    for _ in clear(engine):
        engine.refresh()


def _refuse_data(config: Config, engine: Engine, log: Log) -> None:
    what_to_do = "restore into an empty directory, or move away what is there"
    if engine.get(META) is not None:
        raise NoPlace(f"{config.data_dir} holds data up to zxid {zxid_in(engine):#x}: {what_to_do}")
    if log.last_zxid >= log.first_zxid:
        raise NoPlace(
            f"{config.data_log_dir / 'log'} holds a log up to zxid {log.last_zxid:#x}: {what_to_do}"
        )
