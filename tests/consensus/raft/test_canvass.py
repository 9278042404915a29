"""A server stands for election once a majority would have it, and not for long after."""

from __future__ import annotations

import pytest

from znoded.consensus.raft.canvass import Support
from znoded.consensus.raft.messages import Canvass


@pytest.fixture
def sent() -> list[tuple[int, Canvass]]:
    return []


@pytest.fixture
def support(sent: list[tuple[int, Canvass]]) -> Support:
    return Support(1, (1, 2, 3), lambda peer, message: sent.append((peer, message)))


def test_all_voters_are_asked(support: Support, sent: list[tuple[int, Canvass]]) -> None:
    support.ask(10, 4)
    support.ask(11, 4)
    assert sent == [
        (2, Canvass(1, 10, 4)),
        (3, Canvass(1, 10, 4)),
        (2, Canvass(2, 11, 4)),
        (3, Canvass(2, 11, 4)),
    ]


def test_one_of_two_others_is_enough_for_a_while(support: Support) -> None:
    support.ask(10, 4)
    assert not support.stands(100.0)
    assert support.answered(3, 1, 100.0)
    assert support.stands(100.4)
    assert not support.stands(101.0)


def test_an_answer_may_take_longer_than_until_the_next_question(support: Support) -> None:
    for _ in range(10):
        support.ask(10, 4)
    assert support.answered(3, 1, 100.0)


def test_an_answer_from_before_there_was_a_leader_or_of_an_observer_is_none(support: Support) -> None:
    support.ask(10, 4)
    support.end()
    support.ask(10, 4)
    assert not support.answered(3, 1, 100.0)
    assert not support.answered(9, 2, 100.0)
    assert not support.stands(100.0)


def test_answers_that_are_long_ago_do_not_count() -> None:
    support = Support(1, (1, 2, 3, 4, 5), lambda peer, message: None)
    support.ask(10, 4)
    assert not support.answered(2, 1, 100.0)
    assert not support.answered(3, 1, 101.0)
    assert support.answered(2, 1, 101.1)


def test_of_five_nobody_counts_twice() -> None:
    support = Support(1, (1, 2, 3, 4, 5), lambda peer, message: None)
    support.ask(10, 4)
    assert not support.answered(2, 1, 100.0)
    assert not support.answered(2, 1, 100.0)
    assert support.answered(5, 1, 100.0)


def test_with_a_leader_there_is_nothing_to_stand_for(support: Support) -> None:
    support.ask(10, 4)
    support.answered(2, 1, 100.0)
    support.end()
    assert not support.stands(100.0)
