"""Cuts the log, or puts a leader's snapshot in the place of log and state, without holding the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ..storage.committer import Committer
from ..storage.log import Log
from .contract import Replica
from .delivery import Delivery
from .transfer import Incoming, Unusable

_RETRY: Final = 5.0
"""Seconds until the state that is only half in its place is put there again."""

log = logging.getLogger(__name__)


class Rebuild:
    """failed hears of every try that left half a state behind: what was served before can't be any more."""

    def __init__(
        self,
        txn_log: Log,
        committer: Committer,
        delivery: Delivery,
        replica: Replica,
        incoming: Incoming,
        failed: Callable[[Exception], None],
    ) -> None:
        self._log = txn_log
        self._committer = committer
        self._delivery = delivery
        self._replica = replica
        self._incoming = incoming
        self._failed = failed

    async def truncate(self, after: int) -> None:
        """Drop the log's records beyond after. Raises LogGap, LogDamaged, OSError."""
        await asyncio.to_thread(self._committer.pause)
        await asyncio.to_thread(self._log.truncate, after)
        self._delivery.truncate(after)
        log.info("the log is cut: what lay beyond zxid %#x was never committed", after)

    async def restore(self, zxid: int, after: int) -> None:
        """The snapshot that came, as of zxid, and an empty log that goes on after that. Raises Unusable;
        OSError, after which the log must be reopened."""
        await asyncio.to_thread(self._committer.pause)
        try:
            await asyncio.to_thread(self._incoming.finish, self._replica, zxid)
        except OSError as error:
            raise Unusable(f"the leader's snapshot can't be used: {error}") from error
        while True:
            try:
                await self._replica.restore(self._incoming.path)
                break
            except OSError as error:
                # The old state is gone, the new one not whole: there is nothing else to go on with.
                self._failed(error)
            await asyncio.sleep(_RETRY)
        await asyncio.to_thread(self._log.restart, after)
        self._delivery.begin(())
        self._incoming.done()
        log.info("the state is that of zxid %#x, by a snapshot", zxid)
