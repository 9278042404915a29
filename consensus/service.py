"""What this server is to its clients: tells replica and meter whether it serves and leads, and how well."""

from __future__ import annotations

import logging
from collections import deque
from time import monotonic
from typing import Final, NamedTuple

from .contract import Meter, Record, Replica
from .waiters import Waiters

NOBODY: Final = "there is no leader with a majority"
"""Why nothing is taken where nothing is served."""

log = logging.getLogger(__name__)


class Standing(NamedTuple):
    """What this server is to the ensemble, as far as those above care."""

    serving: bool
    """A majority stands behind the leader, and this server goes with it."""
    leads: bool
    epoch: int
    leader: int | None
    committed: int
    """The last zxid that may be applied."""
    reason: str
    """Why it serves no longer."""


class Service:
    """serving: clients are served. since: when that began, or the search for a leader; monotonic."""

    def __init__(self, replica: Replica, meter: Meter, waiters: Waiters) -> None:
        self.serving = False
        self.since = monotonic()
        self._replica = replica
        self._meter = meter
        self._waiters = waiters
        self._serve_at: int | None = None
        """The ensemble serves: clients are served once the replica has applied that."""
        self._epoch: int | None = None
        """That in which this server leads."""
        self._undecided: deque[tuple[int, float]] = deque()
        """(the last zxid of a batch, when it was proposed here)."""

    def follow(self, standing: Standing, applied: int) -> None:
        """Be what that is; serve once the replica has applied all that was committed before."""
        if not standing.serving:
            self.end(standing.reason)
        elif not self.serving:
            if self._serve_at is None:
                self._serve_at = standing.committed
            if applied >= self._serve_at:
                self._begin(standing)
        self._lead(standing.epoch if self.serving and standing.leads else None)

    def end(self, reason: str) -> None:
        """Serve nobody; what is under way may yet be committed, and nobody here will know."""
        self._serve_at = None
        if not self.serving:
            return
        self.serving = False
        self.since = monotonic()
        self._undecided.clear()
        self._meter.looking()
        log.warning("no service without a leader and a majority: %s", reason)
        self._lead(None)
        dropped = self._waiters.drop()
        if dropped:
            self._replica.dropped(dropped, reason, unknown=True)
        self._replica.serve(False)

    def proposed(self, batch: list[Record]) -> None:
        """A leader has put these in order."""
        self._undecided.append((batch[-1][0], monotonic()))
        self._meter.proposed([len(txn) for _, txn in batch])

    def committed(self, zxid: int) -> None:
        """A majority has all up to there."""
        undecided = self._undecided
        while undecided and undecided[0][0] <= zxid:
            self._meter.agreed(monotonic() - undecided.popleft()[1])

    def _begin(self, standing: Standing) -> None:
        began, self.since = self.since, monotonic()
        self.serving = True
        took = self.since - began
        self._meter.elected(took)
        what = "leads" if standing.leads else f"follows server {standing.leader}"
        log.info("this server %s in epoch %d, after %.3f s without a leader", what, standing.epoch, took)
        self._replica.serve(True)

    def _lead(self, epoch: int | None) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._replica.leading(epoch)
