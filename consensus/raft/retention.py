"""Lets go of log: one who lags far is sent the state, where that is shorter."""

from __future__ import annotations

import sys
from typing import Final

from ...storage.log import Log
from ..contract import Replica
from .core import Core

_PATIENT: Final = 1 << 30
"""Bytes that the log may have for the sake of servers that follow, but slower than others write."""


class Retention:
    """Of one core's log."""

    def __init__(self, txn_log: Log, replica: Replica, core: Core) -> None:
        self._log = txn_log
        self._replica = replica
        self._core = core
        self._let_go = core.journal.base.key
        """What of the log others may do without."""
        txn_log.needed = self._let_go

    def let_go(self, since: int | None) -> None:
        """As far as may be now. since: no snapshot that is on its way is older than this zxid."""
        # Of what one who lags far lacks, the state is the shorter account, and the quicker one
        # (ZooKeeper's snapshotSizeFactor); but nobody is sent an older state than may be cut from it.
        journal = self._core.journal
        zxid = max(self._log.reach(self._replica.size // 3), self._log.unwanted - 1)
        zxid = min(zxid, self._replica.applied_zxid)
        if since is not None:
            zxid = min(zxid, since)
        if zxid > self._let_go and not (self._log.size < _PATIENT and self._followed_before(zxid)):
            journal.begin_at(zxid)
            self._let_go = zxid
        self._log.needed = journal.base.key

    def _followed_before(self, zxid: int) -> bool:
        """Whether a peer that is connected has yet to get what would be let go of."""
        core = self._core
        matched = [link.matched for link in core.peers.links.values() if link.matched and not link.lags]
        return core.raft.leads and min(matched, default=sys.maxsize) < core.journal.place(zxid).index
