"""Snapshots on their way: in chunks to learners that lag far, and into a file on such a learner."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from ..storage.directories import sync_directory
from .channel import Channel
from .contract import Replica

BEGINS: Final = 3
CHUNK: Final = 4
"""The channel's kinds of a snapshot's first chunk and of the others."""
INCOMING: Final = "incoming"

_AT_A_TIME: Final = 2
"""Snapshots that are sent at a time: more would take too much of the leader's clients' time."""
_REST: Final = 2.0
"""For each second that snapshots take of the leader's time, its clients get so many."""
_BREAK: Final = 0.005
"""Seconds: shorter ones are put together, as the loop's timers count in milliseconds."""
_RETRY: Final = 5.0
"""Seconds after which a learner that can't have a snapshot may ask for another."""

log = logging.getLogger(__name__)


class Unusable(OSError):
    """A snapshot came, and is none or has no place; the state is as it was."""


class Outgoing:
    """What a leader sends. sent(learner, zxid) is told when all of a snapshot is on its way."""

    def __init__(self, channel: Channel, sent: Callable[[int, int], None]) -> None:
        self._channel = channel
        self._sent = sent
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._since: dict[int, int] = {}
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    @property
    def since(self) -> int | None:
        """No snapshot that is being made or sent is older than this zxid; None if there is none."""
        return min(self._since.values(), default=None)

    def begin(self, learner: int, replica: Replica) -> None:
        """Send one, in the place of that which is under way."""
        self.end(learner)
        self._since[learner] = replica.applied_zxid
        self._tasks[learner] = asyncio.create_task(self._send(learner, replica))

    def end(self, learner: int) -> None:
        """Send that learner no more of it."""
        self._since.pop(learner, None)
        task = self._tasks.pop(learner, None)
        if task is not None:
            task.cancel()

    def end_all(self) -> None:
        """Send nobody any more."""
        for learner in list(self._tasks):
            self.end(learner)

    async def stop(self) -> None:
        """Let go of every snapshot."""
        tasks = list(self._tasks.values())
        self.end_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, learner: int, replica: Replica) -> None:
        async with self._turns:
            try:
                snapshot = await replica.snapshot()
            except OSError as error:
                log.error("no snapshot for server %d: %s", learner, error)
                await asyncio.sleep(_RETRY)
                self._channel.drop(learner)
                return
            log.info("server %d gets a snapshot as of zxid %#x", learner, snapshot.zxid)
            try:
                kind = BEGINS
                rest = 0.0
                began = monotonic()
                for chunk in snapshot:
                    self._channel.send(learner, kind, chunk)
                    kind = CHUNK
                    rest += _REST * (monotonic() - began)
                    if rest < _BREAK:
                        await asyncio.sleep(0)
                    else:
                        await asyncio.sleep(rest)
                        rest = 0.0
                    if not await self._channel.drained(learner):
                        return
                    began = monotonic()
            finally:
                snapshot.close()
        del self._tasks[learner]
        self._sent(learner, snapshot.zxid)
        self._since.pop(learner, None)


class Incoming:
    """What a learner is sent: a file under another name until all of it is there and on disk. path is
    then there for as long as the state is not that of the snapshot."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / INCOMING
        self.part = directory / f"{INCOMING}.part"
        self._fd = -1

    def begin(self) -> None:
        """A new one. Raises OSError."""
        self.discard()
        self._fd = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def add(self, chunk: bytes) -> None:
        """Its next part; nothing, if none has begun. Raises OSError."""
        # On the event loop: a server that is sent a snapshot serves nobody, and a disk that can't follow
        # makes the sender wait.
        rest = memoryview(chunk)
        while rest and self._fd >= 0:
            rest = rest[os.write(self._fd, rest) :]

    def discard(self) -> None:
        """Forget one that is not whole."""
        self._close()
        with suppress(FileNotFoundError):
            self.part.unlink()

    def finish(self, replica: Replica, zxid: int) -> None:
        """Make sure that it is whole, as of zxid, and on disk, and give it its name. Takes a while.
        Raises OSError."""
        if self._fd < 0:
            raise OSError("a snapshot was told of that did not come")
        os.fsync(self._fd)
        self._close()
        found = replica.check(self.part)
        if found != zxid:
            raise OSError(f"{self.part} is a snapshot as of zxid {found:#x}, not of {zxid:#x}")
        self.part.rename(self.path)
        sync_directory(self.path.parent)

    def done(self) -> None:
        """The state is that of the snapshot."""
        with suppress(FileNotFoundError):
            self.path.unlink()
            sync_directory(self.path.parent)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
