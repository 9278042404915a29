"""Moves changes from the write-back table into the engine, off the event loop, and lets old log go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import time
from typing import Final

from ..storage.log import Log
from ..storage.state import META, State

_TXNS: Final = 20_000
_SECONDS: Final = 2.0
"""A restart replays what came since the last flush: so much at the most, so that it stays quick."""
_BYTES: Final = 64 << 20
"""As much log since the last flush makes one due, too."""
_BEHIND: Final = 8
"""Times as much as makes a flush due: what comes on top is held back, so that memory stays bounded."""
_RETRY: Final = 5.0
_TURN: Final = 0.005
_PAUSE: Final = 0.001

_COUNTER: Final = (1 << 32) - 1
"""A new epoch's zxids begin anew: it may make a flush due early, which harms nobody."""

log = logging.getLogger(__name__)


class Flusher:
    """Flushes after so many transactions, bytes or seconds, whichever comes first; one flush at a time.

    behind: so much waits for the engine that clients should be held back; caught_up is called, on the
    loop, when that is over. failure: why the last flush failed; failures: how many have. refusal: why no more
    writes are taken, because flushes fail for so long.
    flushed, flushed_at: the last transaction in the engine, and when it got there (for one from before the
    start: when it was taken), in seconds since the epoch; -1 for both while the engine is empty.
    """

    def __init__(self, state: State, txn_log: Log, retain: int) -> None:
        """retain: how many full log segments stay for servers that lag behind."""
        self._state = state
        self._log = txn_log
        self._retain = retain
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = self._replacing = False
        stored = state.table.engine.get(META) is not None
        self.flushed = state.zxid if stored else -1
        self.flushed_at = state.time // 1000 if stored else -1
        self._written = txn_log.written
        self.failure: str | None = None
        self.failures = 0
        self.behind = False
        self.refusal: str | None = None
        self.caught_up: Callable[[], None] = lambda: None

    @property
    def log_size(self) -> int:
        """Bytes of log that are not let go yet."""
        return self._log.size

    def applied(self) -> None:
        """Transactions were applied: flush now or soon."""
        waiting = self._state.zxid - max(self.flushed, 0) & _COUNTER
        due = max(waiting / _TXNS, (self._log.written - self._written) / _BYTES)
        if due >= _BEHIND:
            self._overflow()
        if self._task is None:
            if due >= 1 and self.failure is None:
                self._begin()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._begin)

    def _overflow(self) -> None:
        if self.failure is None:
            self.behind = True
        elif self.refusal is None:
            self.refusal = f"storage takes nothing more: {self.failure}"
            log.error("writes refused: %s", self.refusal)

    def _catch_up(self) -> None:
        if self.behind:
            self.behind = False
            self.caught_up()

    async def flush(self) -> None:
        """Have the engine hold all that was applied before the call. Raises OSError if it can't."""
        wanted = self._state.zxid
        while self.flushed < wanted or self._replacing:
            if self._replacing:
                raise OSError("another state is taking the place of this one")
            self._begin()
            assert self._task is not None
            await asyncio.wait((self._task,))
            if self.failure is not None:
                raise OSError(f"flush failed: {self.failure}")

    async def replace(self, steps: Iterator[object]) -> None:
        """Have another state put in the engine, a transaction a step: from now on nothing of this one gets
        there any more, until resume(). Raises what the steps do."""
        self._replacing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await self._task
        while await self._commit(lambda: next(steps, self)) is not self:
            pass

    def resume(self) -> None:
        """The engine holds all of the state."""
        self._replacing = False
        self.flushed, self.flushed_at, self._written = self._state.zxid, int(time()), self._log.written
        self.failure = self.refusal = None
        self._catch_up()

    async def close(self) -> None:
        """Flush what is left."""
        self._closing = True  # the one under way begins no other
        if self._task is not None:
            await self._task
        if self._timer is not None:
            self._timer.cancel()
        if self._state.zxid != self.flushed and not self._replacing:
            await self._flush()
        self._thread.shutdown()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and not self._replacing:
            self._task = asyncio.get_running_loop().create_task(self._cycle())

    async def _cycle(self) -> None:
        try:
            await self._flush()
        finally:
            self._task = None
        if self._closing or self._replacing:
            return
        if self.failure is not None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY, self._begin)
        elif self._state.zxid != self.flushed:
            self.applied()

    async def _flush(self) -> None:
        table = self._state.table
        engine = table.engine
        zxid, written = self._state.zxid, self._log.written
        rows = self._state.freeze()

        def commit() -> None:
            engine.commit(rows)
            starts = self._log.starts
            if len(starts) > self._retain + 1:
                self._log.drop(min(starts[-self._retain - 1], zxid))

        try:
            await self._commit(commit)
            table.flushed()
        except Exception as error:
            # The log still holds all of it: nothing is lost, and the next try takes it along.
            table.unfreeze()
            if self.failure is None:
                log.error("flush failed, will be tried again: %s", error)
            self.failure = str(error)
            self.failures += 1
            self._catch_up()
            return
        if self.failure is not None:
            log.info("flush works again")
            self.failure = None
        self.flushed, self.flushed_at, self._written = zxid, int(time()), written
        self.refusal = None
        self._catch_up()

    async def _commit(self, work: Callable[[], object]) -> object:
        engine = self._state.table.engine
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        while not done.done():
            # A turn for the commit each time round the loop; while it writes or syncs it needs none.
            await asyncio.wait((done,), timeout=0 if engine.lend(_TURN) else _PAUSE)
        return await done
