"""Changes a stopped server's data from one consensus backend to another's.

What the other one keeps is made beside what there is, below a name that says nothing yet. Once all of it is
on disk it takes the name that ordering.conversion() gives: from then on a conversion goes forward only, and
until all is in its place no server starts there. Each rename is on disk before the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from ..consensus.contract import Record
from ..consensus.conversion import Conversion, ToRaft, ToZab
from ..consensus.kept import PromisesDamaged
from ..consensus.raft.command import Malformed
from ..consensus.transfer import INCOMING
from ..storage.backup import BackupDamaged
from ..storage.directories import make_directory, sync_directory
from ..storage.engine import open_engine
from ..storage.log import Log, LogDamaged, LogGap
from ..storage.state import OtherFormat, State, Unfinished
from ..storage.writes import Writes
from .backup import Progress
from .config import Backend, Config
from .occupation import occupy
from .ordering import ENSEMBLES, conversion, memory
from .refill import finish

_BATCH: Final = 1 << 20
"""Bytes of records that are written to the log at a time."""
_FLUSH: Final = 10_000
"""Transactions that go into the engine at a time."""
_LOG: Final = "log"
_OLD: Final = "old"
"""Where what was in the place of something is put, below the conversion's directory."""


class NoConversion(Exception):
    """There is nothing to convert, or not in that way; says why, and what to do."""


FAILURES: Final = (
    OSError,
    BackupDamaged,
    LogDamaged,
    LogGap,
    Malformed,
    NoConversion,
    OtherFormat,
    PromisesDamaged,
    Unfinished,
)
"""What convert raises."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was done: the last transaction, how many of them the new log holds, seconds."""

    zxid: int
    transactions: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.transactions} transactions up to zxid {self.zxid:#x} in {self.seconds:.1f} s"


def convert(config: Config, to: Backend, progress: Progress) -> Result | None:
    """Make the data directory of config that backend's; None, if it is so already.

    progress counts the log's bytes. One that was killed is done over, or finished, by the next. Raises
    FAILURES.
    """
    began = monotonic()
    if config.storage == "memory":
        raise NoConversion("storage=memory keeps nothing: there is nothing to convert")
    with ExitStack() as stack:
        stack.callback(os.close, occupy(config.data_dir))
        for backend in ENSEMBLES:
            _put_in_place(config, backend)
        there = [backend for backend in ENSEMBLES if memory(config, backend).exists()]
        if there == [to]:
            return None
        if len(there) > 1:
            places = " and ".join(str(memory(config, backend)) for backend in there)
            raise NoConversion(f"there are both {places}: move away the one that is not of these data")
        result = _make(config, to, progress, began)
        _put_in_place(config, to)
        return result


def _make(config: Config, to: Backend, progress: Progress, began: float) -> Result:
    """What the other backend keeps, whole and on disk under the name that says so."""
    whole = conversion(config, to)
    part = whole.with_name(whole.name + ".part")
    old = memory(config, _other(to))
    with ExitStack() as stack:
        engine = stack.enter_context(closing(open_engine(config.storage, config.data_dir)))
        log = stack.enter_context(closing(Log(config.data_log_dir / _LOG)))
        finish(engine, old / INCOMING)
        state = State(engine)
        if not old.exists():
            _refuse_without_order(config, to, max(state.zxid, log.last_zxid))
        made: Conversion = (ToRaft if to is Backend.RAFT else ToZab)(log, old, state.zxid)
        _apply(state, made.settled())
        _remove(part)
        try:
            make_directory(part / _OLD)
            with progress(log.size) as more:
                count = _copy(made, part / _LOG, more)
            make_directory(part / to)
            made.promise(part / to)
        except BaseException:
            _remove(part)
            raise
        zxid = max(state.zxid, log.last_zxid)
    _move(part, whole)
    return Result(zxid, count, round(monotonic() - began, 3))


def _other(backend: Backend) -> Backend:
    return Backend.ZAB if backend is Backend.RAFT else Backend.RAFT


def _refuse_without_order(config: Config, to: Backend, zxid: int) -> None:
    """Where no ensemble has ordered anything yet."""
    if not zxid:
        raise NoConversion(f"{config.data_dir} holds no data: start the server with consensus={to}")
    if to is Backend.ZAB:
        raise NoConversion(
            f"{config.data_dir} holds a standalone server's data, which ZAB takes as they are: "
            "start the server with server.N lines and consensus=zab"
        )


def _apply(state: State, records: Iterator[Record]) -> None:
    writes = Writes(state)
    waiting = 0
    for zxid, txn in records:
        writes.apply(zxid, txn)
        writes.sessions.clear()
        writes.excesses.clear()
        waiting += 1
        if waiting == _FLUSH:
            _flush(state)
            waiting = 0
    if waiting:
        _flush(state)


def _flush(state: State) -> None:
    state.table.engine.commit(state.freeze())
    state.table.flushed()


def _copy(made: Conversion, directory: Path, more: Callable[[int], object]) -> int:
    """How many transactions there are in the new log."""
    count = size = 0
    with closing(Log(directory)) as log:
        if made.after:
            log.restart(made.after)
        for zxid, payload in made.records():
            log.append(zxid, payload)
            count += 1
            size += len(payload)
            if size >= _BATCH:
                log.sync()
                more(size)
                size = 0
        log.sync()
    return count


def _put_in_place(config: Config, to: Backend) -> None:
    """Finish a conversion that is all made, from wherever it was cut off."""
    whole = conversion(config, to)
    if not whole.exists():
        return
    for made, there in ((_LOG, _LOG), (to.value, _other(to).value)):
        if (whole / made).exists():
            if (config.data_log_dir / there).exists():
                _move(config.data_log_dir / there, whole / _OLD / there)
            _move(whole / made, config.data_log_dir / made)
    _remove(whole)


def _move(source: Path, target: Path) -> None:
    source.rename(target)
    for directory in {source.parent, target.parent}:
        sync_directory(directory)


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
        sync_directory(directory.parent)
