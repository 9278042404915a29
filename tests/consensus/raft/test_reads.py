"""A barrier is passed when a majority has confirmed the leader in a round that began after the question."""

from __future__ import annotations

import pytest

from znoded.consensus.raft.messages import Barrier, Confirm, Confirmed
from znoded.consensus.raft.reads import Reads

TERM = 4


class Told:
    """A leader's reads, and what it has sent since somebody looked."""

    def __init__(self, voters: tuple[int, ...]) -> None:
        self.sent: list[tuple[int, Barrier | Confirm]] = []
        self.reads = Reads(1, voters, lambda peer, message: self.sent.append((peer, message)))

    def take(self) -> list[tuple[int, Barrier | Confirm]]:
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def three() -> Told:
    return Told((1, 2, 3))


def test_one_of_two_others_is_a_majority(three: Told) -> None:
    three.reads.ask(TERM, 100, 1, 7)
    assert three.take() == []
    three.reads.begin()
    assert three.take() == [(2, Confirm(TERM, 1)), (3, Confirm(TERM, 1))]
    assert three.reads.pending == 1
    three.reads.confirmed(3, Confirmed(TERM, 1))
    assert three.reads.own == [(7, 100)]
    assert three.reads.pending == 0


def test_a_follower_gets_its_answer(three: Told) -> None:
    three.reads.ask(TERM, 100, 3, 7)
    three.reads.begin()
    three.take()
    three.reads.confirmed(2, Confirmed(TERM, 1))
    assert three.take() == [(3, Barrier(7, 100))]


def test_an_answer_to_a_round_that_began_before_is_none(three: Told) -> None:
    three.reads.ask(TERM, 100, 1, 7)
    three.reads.begin()
    three.reads.ask(TERM, 101, 1, 8)
    three.reads.confirmed(2, Confirmed(TERM, 1))
    assert three.reads.own == [(7, 100)]
    three.reads.begin()
    three.reads.confirmed(2, Confirmed(TERM, 2))
    assert three.reads.own == [(7, 100), (8, 101)]


def test_all_that_wait_share_a_round(three: Told) -> None:
    for number in range(10):
        three.reads.ask(TERM, 100, 1, number)
    three.reads.begin()
    three.reads.begin()
    assert three.take() == [(2, Confirm(TERM, 1)), (3, Confirm(TERM, 1))]
    three.reads.confirmed(2, Confirmed(TERM, 1))
    assert len(three.reads.own) == 10


def test_of_five_two_others_must_answer() -> None:
    five = Told((1, 2, 3, 4, 5))
    five.reads.ask(TERM, 100, 1, 7)
    five.reads.begin()
    five.reads.confirmed(5, Confirmed(TERM, 1))
    five.reads.confirmed(5, Confirmed(TERM, 1))
    assert five.reads.own == []
    five.reads.confirmed(2, Confirmed(TERM, 1))
    assert five.reads.own == [(7, 100)]


def test_an_observer_confirms_nothing(three: Told) -> None:
    three.reads.ask(TERM, 100, 1, 7)
    three.reads.begin()
    three.reads.confirmed(9, Confirmed(TERM, 1))
    assert three.reads.own == []


def test_another_term_confirms_nothing(three: Told) -> None:
    three.reads.ask(TERM, 100, 1, 7)
    three.reads.begin()
    three.reads.confirmed(2, Confirmed(TERM - 1, 1))
    assert three.reads.own == []


def test_a_leadership_that_is_over_answers_nobody(three: Told) -> None:
    three.reads.ask(TERM, 100, 3, 7)
    three.reads.begin()
    three.reads.end()
    three.take()
    three.reads.confirmed(2, Confirmed(TERM, 1))
    assert three.take() == []
    # Nor do answers from then count later.
    three.reads.ask(TERM + 2, 200, 1, 8)
    three.reads.begin()
    three.reads.confirmed(2, Confirmed(TERM, 2))
    assert three.reads.own == []


def test_alone_there_is_nobody_to_ask() -> None:
    alone = Told((1,))
    alone.reads.ask(TERM, 100, 1, 7)
    assert alone.reads.own == []
    alone.reads.begin()
    assert alone.reads.own == [(7, 100)]
    assert alone.take() == []
