"""ZAB as a backend: what the server above asks of it, and may know of the ensemble."""

from __future__ import annotations

import os
from dataclasses import replace

from ...storage.log import Log
from ..contract import Meter, NotServing, Peer, Replica, Status, Waiter
from ..contract import Role as Standing
from ..ensemble import Ensemble
from ..identity import NO_CLUSTER
from ..service import NOBODY
from .core import Role
from .driver import TO_LEADER, Driver
from .keeper import Keeper


class Zab:
    """Implements consensus.contract.Consensus."""

    def __init__(self, ensemble: Ensemble, txn_log: Log, meter: Meter) -> None:
        """Raises PromisesDamaged, OSError."""
        self._ensemble = ensemble
        self._log = txn_log
        self._meter = meter
        self._keeper = Keeper(ensemble.directory / "promises")
        if self._keeper.promises.cluster == NO_CLUSTER:
            self._keeper.save(replace(self._keeper.promises, cluster=os.urandom(len(NO_CLUSTER))))

    @property
    def status(self) -> Status:
        """As this server sees it."""
        driver = self._driver
        core = driver.core
        role = Standing.LOOKING
        if driver.service.serving:
            led = core.role is Role.LEADING
            voter = self._ensemble.me in self._ensemble.voters
            role = Standing.LEADER if led else Standing.FOLLOWER if voter else Standing.OBSERVER
        return Status(
            role,
            core.epoch,
            core.leader_id,
            self._peers(),
            driver.delivery.lag,
            core.phase,
            driver.service.since,
            0 if core.leader is None else core.leader.pings.pending,
        )

    def _peers(self) -> tuple[Peer, ...]:
        ensemble, leader, channel = self._ensemble, self._driver.core.leader, self._driver.channel
        connected = channel.peers
        peers = []
        for sid in sorted(ensemble.addresses.keys() - {ensemble.me}):
            voter, sent = sid in ensemble.voters, channel.sent[sid]
            peer = Peer(sid, not voter, sid in connected, sent, messages=channel.frames[sid])
            learner = leader.learners.get(sid) if leader is not None else None
            if leader is not None and learner is not None:
                peer = peer._replace(follows=True, synced=learner.serving, lag=leader.lag(learner))
            peers.append(peer)
        return tuple(peers)

    async def start(self, replica: Replica) -> None:
        """Take part. The log's tail is applied as far as a leader confirms it."""
        self._driver = Driver(self._ensemble, self._log, self._keeper, replica, self._meter)
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
        leader = self._driver.core.leader_id
        if leader is not None:
            self._driver.channel.send(leader, TO_LEADER, message)
