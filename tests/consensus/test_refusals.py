"""A peer that is refused every second is told of once, and again when there is something new to say."""

from __future__ import annotations

from znoded.consensus.refusals import Refusals

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_a_reason_is_said_once() -> None:
    refusals = Refusals()
    assert [refusals.is_news(HERE, 2, "its secret", float(second)) for second in range(3)] == [
        True,
        False,
        False,
    ]


def test_it_is_said_again_after_some_minutes() -> None:
    refusals = Refusals()
    said = [second for second in range(1000) if refusals.is_news(HERE, 2, "its secret", float(second))]
    assert said == [0, 300, 600, 900]


def test_another_reason_is_said_at_once() -> None:
    refusals = Refusals()
    assert refusals.is_news(HERE, 2, "its secret", 0.0)
    assert refusals.is_news(HERE, 2, "its data", 1.0)
    # As they come and go: both are known.
    assert not refusals.is_news(HERE, 2, "its secret", 2.0)
    assert not refusals.is_news(HERE, 2, "its data", 3.0)


def test_it_is_said_of_each_peer() -> None:
    refusals = Refusals()
    peers = [(HERE, 2), (HERE, 3), (THERE, 2), (HERE, 0)]
    assert all(refusals.is_news(host, claim, "its secret", 0.0) for host, claim in peers)
    assert not any(refusals.is_news(host, claim, "its secret", 1.0) for host, claim in peers)


def test_one_that_was_connected_meanwhile_is_told_of_again() -> None:
    refusals = Refusals()
    assert refusals.is_news(HERE, 2, "its secret", 0.0)
    assert refusals.is_news(HERE, 3, "its secret", 0.0)
    refusals.forget(2)
    assert refusals.is_news(HERE, 2, "its secret", 1.0)
    assert not refusals.is_news(HERE, 3, "its secret", 1.0)


def test_a_stranger_does_not_fill_the_log_with_what_it_thinks_up() -> None:
    refusals = Refusals()
    said = sum(refusals.is_news(HERE, 0, f"it runs {number}", number / 100) for number in range(10_000))
    assert said == 8


def test_it_remembers_so_many_peers_and_no_more() -> None:
    refusals = Refusals()
    assert refusals.is_news(HERE, 2, "its secret", 0.0)
    for number in range(1000):
        assert refusals.is_news(f"2001:db8::{number:x}", 0, "it speaks something else", 1.0)
    assert refusals.is_news(HERE, 2, "its secret", 2.0)
