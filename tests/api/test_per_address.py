"""How much one address may have at once."""

from __future__ import annotations

import pytest

from znoded.api.per_address import PerAddress

ANNA, BERT = "192.0.2.1", "192.0.2.2"


def test_up_to_the_limit_each_address_for_itself() -> None:
    by_address = PerAddress(2, "things")
    assert [by_address.enter(ANNA) is None for _ in range(4)] == [True, True, False, False]
    assert by_address.enter(BERT) is None


def test_who_leaves_makes_room() -> None:
    by_address = PerAddress(1, "things")
    assert by_address.enter(ANNA) is None
    by_address.leave(ANNA)
    assert by_address.enter(ANNA) is None


def test_0_is_no_limit() -> None:
    by_address = PerAddress(0, "things")
    assert all(by_address.enter(ANNA) is None for _ in range(1000))


def test_a_refusal_says_why(caplog: pytest.LogCaptureFixture) -> None:
    by_address = PerAddress(1, "things")
    by_address.enter(ANNA)
    reason = f"{ANNA} has 1 things already (maxClientCnxns)"
    assert by_address.enter(ANNA) == reason
    assert caplog.messages == [f"refusing connections: {reason}"]


def test_it_is_logged_once_until_the_address_has_nothing_left(caplog: pytest.LogCaptureFixture) -> None:
    by_address = PerAddress(2, "things")
    for _ in range(2):
        by_address.enter(ANNA)
    for _ in range(3):
        by_address.enter(ANNA)
    by_address.leave(ANNA)
    by_address.enter(ANNA)
    by_address.enter(ANNA)
    assert len(caplog.messages) == 1
    for _ in range(2):
        by_address.leave(ANNA)
    for _ in range(3):
        by_address.enter(ANNA)
    assert len(caplog.messages) == 2
