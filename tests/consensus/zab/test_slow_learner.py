"""A learner that takes nothing more: the leader goes on with the others, and sends it a window at most."""

from __future__ import annotations

from znoded.consensus.zab.messages import Propose

from .three import Three

SLOW = 1
BLOCK = bytes(64 << 10)
WINDOW = 1 << 20


def test_the_leader_goes_on_without_it() -> None:
    three = Three()
    three.deaf.add(SLOW)
    for _ in range(WINDOW // len(BLOCK) * 2):
        three.propose(BLOCK)
    assert three.leader.server.committed & 0xFFFFFFFF == WINDOW // len(BLOCK) * 2
    sizes = [
        len(txn)
        for to, message in three.sent
        if to == SLOW and isinstance(message, Propose)
        for _, txn in message.records
    ]
    assert sum(sizes) == WINDOW
