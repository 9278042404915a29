"""Proposals are cut into batches once: learners that keep up are sent the same, however quick their disks."""

from __future__ import annotations

from znoded.consensus.zab.messages import Propose

from .three import LEADER, Three


def batches(three: Three, learner: int) -> list[list[bytes]]:
    """What a learner was sent together."""
    return [
        [txn for _, txn in message.records]
        for to, message in three.sent
        if to == learner and isinstance(message, Propose) and message.records
    ]


def test_what_is_proposed_together_goes_together() -> None:
    three = Three()
    three.propose(b"a", b"b")
    three.propose(b"c")
    assert batches(three, 1) == batches(three, 2) == [[b"a", b"b"], [b"c"]]


def test_what_comes_while_a_batch_is_on_its_way_to_every_disk_goes_together_behind_it() -> None:
    three = Three()
    three.hung |= {1, 2, LEADER}
    for txn in (b"a", b"b", b"c"):
        three.propose(txn)
    assert batches(three, 1) == batches(three, 2) == [[b"a"]]
    three.sync(LEADER)
    assert batches(three, 1) == batches(three, 2) == [[b"a"], [b"b", b"c"]]


def test_a_learner_with_a_quick_disk_waits_for_nobody() -> None:
    three = Three()
    three.hung |= {1, LEADER}
    for txn in (b"a", b"b", b"c"):
        three.propose(txn)
    assert batches(three, 2) == [[b"a"], [b"b"], [b"c"]]
    assert batches(three, 1) == batches(three, 2)


def test_a_learner_that_was_slow_is_sent_the_same_batches_again_once_it_has_caught_up() -> None:
    three = Three()
    big = bytes(400 << 10)
    three.hung.add(1)
    for _ in range(5):
        three.propose(big)
    assert batches(three, 1) != batches(three, 2)
    three.sync(1)
    three.sent.clear()
    three.propose(b"a")
    three.propose(b"b")
    assert batches(three, 1) == batches(three, 2) == [[b"a"], [b"b"]]
