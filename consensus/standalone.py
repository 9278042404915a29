"""Consensus of one: the order is that of the calls, the majority is this server's own disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..storage.committer import Committer
from ..storage.log import Log, LogFull, LogGap
from .contract import Entry, NotServing, Replica, Role, Status, Waiter

_REPLAY: Final = 1000
"""Entries a step while replaying, so that memory stays small."""


class Standalone:
    """Appends to the log and applies once that is on disk. What arrives during one sync goes, as a
    whole, into the next: group commit."""

    def __init__(self, log: Log, synced: Callable[[float], None]) -> None:
        """synced hears how many seconds each sync of the log took."""
        self._log = log
        self._append = log.append
        self._heard = synced
        self._pending: list[Entry] = []
        self._busy = False
        self._failure: str | None = None
        self._zxid = 0
        self._drained: asyncio.Future[None] | None = None

    @property
    def status(self) -> Status:
        """Alone: nobody to lead or to follow."""
        return Status(Role.STANDALONE, 0, None, (), 0)

    async def start(self, replica: Replica) -> None:
        """Replay the log's tail; every record in it was on disk before it was acknowledged."""
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        if replica.applied_zxid > self._log.durable_zxid:
            raise LogGap(f"the log ends with zxid {self._log.durable_zxid:#x}, not {replica.applied_zxid:#x}")
        entries: list[Entry] = []
        for zxid, txn in self._log.read(replica.applied_zxid):
            entries.append((zxid, txn, None))
            if len(entries) == _REPLAY:
                replica.apply(entries)
                entries = []
                await asyncio.sleep(0)
        replica.apply(entries)
        self._zxid = replica.applied_zxid
        self._committer = Committer(self._log, self._loop, self._synced)
        replica.serve(True)
        replica.leading(replica.generation)

    async def stop(self) -> None:
        """Wait until what was proposed, and what comes of that, is on disk and applied."""
        if self._pending:
            self._drained = self._loop.create_future()
            await self._drained
        self._failure = "this server has stopped"
        self._committer.close()

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Take txn into the next group."""
        if self._failure is not None:
            raise NotServing(self._failure)
        self._zxid = zxid = self._zxid + 1
        self._append(zxid, txn)
        self._pending.append((zxid, txn, waiter))
        if not self._busy:
            self._busy = True
            # Not at once: whatever other connections have sent meanwhile goes with it.
            self._loop.call_soon(self._committer.kick)

    def barrier(self, waiter: Waiter) -> None:
        """What is committed is applied: there is nobody else who could know of more."""
        self._loop.call_soon(self._replica.reached, (waiter,))

    def to_leader(self, message: bytes) -> None:
        """This server is it: its replica touches its sessions itself."""

    def _synced(self, zxid: int, error: Exception | None) -> None:
        pending = self._pending
        if error is None:
            self._heard(self._committer.last_seconds)
            # zxids here have no gaps. The log may have taken more than was there at the kick.
            count = max(0, zxid - pending[0][0] + 1) if pending else 0
            entries = pending[:count]
            del pending[:count]
            self._busy = bool(pending)
            if pending:
                self._committer.kick()  # before applying: disk and processor work at the same time
            self._replica.apply(entries)
        else:
            self._fail(error)
        if self._drained is not None and not pending:
            self._drained.set_result(None)
            self._drained = None

    def _fail(self, error: Exception) -> None:
        waiters = [waiter for _, _, waiter in self._pending if waiter is not None]
        self._pending.clear()
        self._busy = False
        if isinstance(error, LogFull):
            self._log.rollback()
            self._zxid = self._log.last_zxid
            self._replica.dropped(waiters, f"{error}; make room, writes then go on", unknown=False)
        else:
            # What is on disk can't be known before the log is read again: nothing more is taken.
            self._failure = f"{error}; restart the server"
            self._replica.dropped(waiters, self._failure, unknown=True)
