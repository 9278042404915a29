"""Who waits: what their batches' latency is taken from."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from znoded.consensus.waiters import Waiters

from .recording import Deaf


class Watch(Deaf):
    """Counts the batches that are timed."""

    def __init__(self) -> None:
        self.count = 0

    def passed(self, seconds: float) -> None:
        assert seconds >= 0
        self.count += 1


class Numbers:
    """Orders that come later."""

    def __init__(self) -> None:
        self.last = 0

    def propose(self, txns: list[bytes]) -> Sequence[int]:
        self.last += len(txns)
        return range(self.last - len(txns) + 1, self.last + 1)

    def barrier(self) -> int:
        self.last += 1
        return self.last


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def waiters(watch: Watch) -> Waiters:
    """Two batches of two, with a barrier between them."""
    waiters, numbers = Waiters(watch), Numbers()
    for batch in (1, 2):
        waiters.propose(b"a", f"{batch}a")
        waiters.propose(b"b", f"{batch}b")
        waiters.ask(f"barrier {batch}")
        waiters.hand_to(numbers)
    return waiters


def test_a_batch_is_timed_when_its_last_transaction_is_applied(waiters: Waiters, watch: Watch) -> None:
    waiters.ordered([(101, 1), (102, 2)])
    waiters.ordered([(105, 4), (106, 5)])
    told = []
    for zxid in range(100, 108):
        waiters.reached(zxid)
        told.append(watch.count)
    assert told == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_batch_that_is_refused_is_not_timed(waiters: Waiters, watch: Watch) -> None:
    assert waiters.refused([1, 2]) == ["1a", "1b"]
    waiters.ordered([(101, 4), (102, 5)])
    waiters.reached(102)
    assert watch.count == 1


def test_nobody_is_timed_who_waits_no_more(waiters: Waiters, watch: Watch) -> None:
    waiters.ordered([(101, 1), (102, 2)])
    assert len(waiters.drop()) == 6
    waiters.ordered([(103, 4), (104, 5)])
    waiters.reached(104)
    assert watch.count == 0
