"""Three cores without a network or disks of their own: what they send arrives, and what they write is kept,
unless a test holds it up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from znoded.consensus.zab.core import Core, Role
from znoded.consensus.zab.messages import Message, Record
from znoded.consensus.zab.ready import Promises, Ready
from znoded.consensus.zab.server import Limits

LIMITS: Final = Limits(init=100, sync=50, ping=5, settle=1, reach=50)
LEADER: Final = 3


class Three:
    """Server LEADER leads the others. deaf: they do not hear what they are sent. hung: their disks keep
    nothing, until sync()."""

    def __init__(self) -> None:
        voters = frozenset((1, 2, 3))
        self.cores = {
            sid: Core(sid, voters, voters, LIMITS, Promises(), begins=0, last=0, applied=0, link=sid << 20)
            for sid in voters
        }
        self.deaf: set[int] = set()
        self.hung: set[int] = set()
        self.sent: list[tuple[int, Message]] = []
        """By the leader, as (to, message)."""
        self._unwritten: dict[int, list[Record]] = {sid: [] for sid in voters}
        self._under_way: list[tuple[int, int, Message]] = []
        for _ in range(50):
            for sid in voters:
                self.cores[sid].tick()
            self.work()
        assert self.leader.role is Role.LEADING
        assert all(core.serving for core in self.cores.values())
        self.sent.clear()

    @property
    def leader(self) -> Core:
        return self.cores[LEADER]

    def propose(self, *txns: bytes) -> None:
        """The leader's clients do, together."""
        self.leader.propose(list(txns))
        self.work()

    def sync(self, sid: int) -> None:
        """A disk keeps what it did not until now."""
        self.hung.discard(sid)
        self.work()

    def work(self) -> None:
        """Do what they want done, until that is nothing more."""
        busy = True
        while busy:
            busy = False
            for sid, core in self.cores.items():
                for ready in _taken(core):
                    self._unwritten[sid] += ready.append
                    self._under_way += [(sid, to, message) for to, message in ready.messages]
                if self._unwritten[sid] and sid not in self.hung:
                    core.synced(self._unwritten[sid][-1][0])
                    self._unwritten[sid].clear()
                    busy = True
            under_way, self._under_way = self._under_way, []
            for sid, to, message in under_way:
                busy = True
                if sid == LEADER:
                    self.sent.append((to, message))
                if to not in self.deaf:
                    self.cores[to].receive(sid, message)


def _taken(core: Core) -> Iterator[Ready]:
    """All that a core wants done now; it must come to an end."""
    for _ in range(1000):
        ready = core.take()
        if not ready:
            return
        yield ready
    pytest.fail("it wants ever more")
