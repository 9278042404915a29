"""Group commit: one thread that syncs the log while the event loop goes on."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from time import perf_counter

from .log import Log


class Committer:
    """Syncs log on a thread of its own; done(durable zxid, error) tells each sync's end on the loop.

    After an error nothing beyond that zxid was made durable: for LogFull definitely not, and the
    log waits for its rollback().

    syncs: how many there were. last_seconds, max_seconds, total_seconds: their writing and syncing.
    """

    def __init__(
        self, log: Log, loop: AbstractEventLoop, done: Callable[[int, Exception | None], None]
    ) -> None:
        self._log = log
        self._loop = loop
        self._done = done
        self.syncs = 0
        self.last_seconds = self.max_seconds = self.total_seconds = 0.0
        self._busy = False
        self._ended: deque[tuple[int, Exception | None]] = deque()
        # A queue wakes the thread as quickly as anything does: a sync is told 45 µs after kick() and its
        # own time, where an executor's future takes 60.
        self._idle = Event()
        self._orders: SimpleQueue[bool] = SimpleQueue()
        self._thread = Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def avg_seconds(self) -> float:
        """The mean time of a sync, in seconds."""
        return self.total_seconds / self.syncs if self.syncs else 0.0

    def kick(self) -> None:
        """Start a sync of what was appended. While one is under way, nothing: kick again when it is done."""
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._orders.put(True)

    def pause(self) -> None:
        """Wait until no sync is under way; done is called for it later. Blocks for that long."""
        if self._busy:
            self._idle.wait()

    def close(self) -> None:
        """Sync what was appended, tell it by done, and end the thread. Blocks for that long."""
        self._orders.put(False)
        self._thread.join()
        self._tell()

    def _work(self) -> None:
        while self._orders.get():
            self._sync()
        if self._log.last_zxid != self._log.durable_zxid:
            self._sync()

    def _sync(self) -> None:
        durable = self._log.durable_zxid
        error: Exception | None = None
        began = perf_counter()
        try:
            self._log.sync()
        except Exception as caught:
            error = caught
        if self._log.durable_zxid != durable:
            self.last_seconds = seconds = perf_counter() - began
            self.max_seconds = max(self.max_seconds, seconds)
            self.total_seconds += seconds
            self.syncs += 1
        self._ended.append((self._log.durable_zxid, error))
        self._idle.set()
        with suppress(RuntimeError):  # the loop is closed already: close() tells it
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        while self._ended:
            self._busy = False
            self._done(*self._ended.popleft())
