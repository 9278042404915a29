"""Raft by PySyncObj as a backend: what the server above asks of it, and may know of the ensemble."""

from __future__ import annotations

import os
from dataclasses import replace

from ...storage.log import Log
from ..contract import Meter, NotServing, Peer, Replica, Role, Status, Waiter
from ..ensemble import Ensemble
from ..identity import NO_CLUSTER
from ..service import NOBODY
from .driver import TO_LEADER, Driver
from .keeper import Keeper
from .library import check


class RaftBackend:
    """Implements consensus.contract.Consensus."""

    def __init__(self, ensemble: Ensemble, txn_log: Log, meter: Meter) -> None:
        """Raises PromisesDamaged, Moved, OSError."""
        check()
        self._ensemble = ensemble
        self._log = txn_log
        self._meter = meter
        self._keeper = Keeper(ensemble.directory / "promises")

    @property
    def status(self) -> Status:
        """As this server sees it."""
        driver = self._driver
        role, phase = Role.LOOKING, "election" if driver.core.election.leader is None else "synchronization"
        if driver.service.serving:
            phase = "broadcast"
            voter = self._ensemble.me in self._ensemble.voters
            role = Role.LEADER if driver.core.raft.leads else Role.FOLLOWER if voter else Role.OBSERVER
        return Status(
            role,
            driver.core.raft.term if driver.service.serving else 0,
            driver.core.election.leader,
            self._peers(),
            driver.delivery.lag,
            phase,
            driver.service.since,
            driver.core.reads.pending,
        )

    def _peers(self) -> tuple[Peer, ...]:
        ensemble, driver, journal = self._ensemble, self._driver, self._driver.core.journal
        connected = driver.channel.peers
        peers = []
        for sid in sorted(ensemble.addresses.keys() - {ensemble.me}):
            voter, sent = sid in ensemble.voters, driver.channel.sent[sid]
            peer = Peer(sid, not voter, sid in connected, sent, messages=driver.channel.frames[sid])
            link = driver.core.peers.links.get(sid)
            if driver.core.raft.leads and link is not None:
                lag = journal.count_beyond(link.matched)
                peer = peer._replace(follows=True, synced=link.matched > 0 and not link.lags, lag=lag)
            peers.append(peer)
        return tuple(peers)

    async def start(self, replica: Replica) -> None:
        """Take part. The log's tail is applied as far as a leader confirms it."""
        self._driver = Driver(self._ensemble, self._log, self._keeper, replica, self._meter)
        if self._keeper.promises.cluster == NO_CLUSTER:
            self._keeper.save(replace(self._keeper.promises, cluster=os.urandom(len(NO_CLUSTER))))
        await self._driver.start()

    async def stop(self) -> None:
        """Take part no more; what is not committed yet is for the others to decide."""
        await self._driver.stop()

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Take txn into the next batch."""
        driver = self._driver
        if not driver.service.serving:
            raise NotServing(NOBODY)
        driver.waiters.propose(txn, waiter)
        driver.stir()

    def barrier(self, waiter: Waiter) -> None:
        """Have the leader ask a majority."""
        driver = self._driver
        if not driver.service.serving:
            raise NotServing(NOBODY)
        driver.waiters.ask(waiter)
        driver.stir()

    def to_leader(self, message: bytes) -> None:
        """By the same way as all else."""
        leader = self._driver.core.election.leader
        if leader is not None:
            self._driver.channel.send(leader, TO_LEADER, message)
