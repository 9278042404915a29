"""A learner that takes nothing more: the leader goes on with the others, and sends it a window at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from znoded.consensus.zab.core import Core, Role
from znoded.consensus.zab.messages import Message, Propose
from znoded.consensus.zab.ready import Promises, Ready
from znoded.consensus.zab.server import Limits

LIMITS = Limits(init=100, sync=50, ping=5, settle=1, reach=50)
SLOW = 1
BLOCK = bytes(64 << 10)
WINDOW = 1 << 20


class Three:
    """Three cores, whose disks are quick; what is sent to the slow one is only counted, once it is slow."""

    def __init__(self) -> None:
        voters = frozenset((1, 2, 3))
        self.cores = {
            sid: Core(sid, voters, voters, LIMITS, Promises(), begins=0, last=0, applied=0, link=sid << 20)
            for sid in voters
        }
        self.slow = False
        self.under_way = 0
        self._queue: deque[tuple[int, int, Message]] = deque()
        for _ in range(50):
            for sid in voters:
                self.cores[sid].tick()
            self.work()
        assert self.leader.role is Role.LEADING
        assert all(core.serving for core in self.cores.values())

    @property
    def leader(self) -> Core:
        return self.cores[3]

    def work(self) -> None:
        """Do what they want done, until that is nothing more."""
        while True:
            for sid, core in self.cores.items():
                for ready in taken(core):
                    if ready.append:
                        core.synced(ready.append[-1][0])
                    self._queue.extend((sid, to, message) for to, message in ready.messages)
            if not self._queue:
                return
            sid, to, message = self._queue.popleft()
            if not self.slow or to != SLOW:
                self.cores[to].receive(sid, message)
            elif isinstance(message, Propose) and message.records:
                assert self.under_way < WINDOW
                self.under_way += sum(len(txn) for _, txn in message.records)


def taken(core: Core) -> Iterator[Ready]:
    """All that a core wants done now; it must come to an end."""
    for _ in range(1000):
        ready = core.take()
        if not ready:
            return
        yield ready
    pytest.fail("it wants ever more")


def test_the_leader_goes_on_without_it() -> None:
    three = Three()
    three.slow = True
    for _ in range(WINDOW // len(BLOCK) * 2):
        three.leader.propose([BLOCK])
        three.work()
    assert three.leader.server.committed & 0xFFFFFFFF == WINDOW // len(BLOCK) * 2
    assert three.under_way >= WINDOW
