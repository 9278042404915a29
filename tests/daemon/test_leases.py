"""A lease runs out a timeout after its client was last heard, rounded up to a tick, and not before."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.daemon.leases import Lease, Leases

from .core import Clock, Core, Ear

TICK: Final = 1000


def leading() -> Leases:
    leases = Leases(TICK)
    leases.renew(0.0)
    return leases


def ids(due: list[Lease]) -> list[int]:
    return [lease.session for lease in due]


def connection(tmp_path: Path, heard: float) -> Ear:
    ear = Core(tmp_path, Clock(), {}).connection()
    ear.heard = heard
    return ear


def test_a_lease_runs_out_at_the_tick_after_its_timeout() -> None:
    leases = leading()
    leases.add(1, 4500, 100.0)
    assert leases.by_deadline() == {105_000: [1]}
    assert leases.overdue(104.999) == []
    assert ids(leases.overdue(105.0)) == [1]


def test_a_whole_number_of_ticks_gets_one_more() -> None:
    # ExpiryQueue.roundToNextInterval
    assert Lease(1, 4000, 100.0).deadline(TICK) == 105_000


def test_a_client_that_was_heard_has_its_timeout_again(tmp_path: Path) -> None:
    leases = leading()
    lease = leases.add(1, 4500, 100.0)
    lease.connection = connection(tmp_path, 103.0)
    assert leases.overdue(106.0) == []
    assert leases.overdue(107.5) == []
    assert ids(leases.overdue(108.0)) == [1]


def test_who_is_held_back_can_not_be_heard_and_does_not_run_out(tmp_path: Path) -> None:
    leases = leading()
    lease = leases.add(1, 4500, 100.0)
    lease.connection = connection(tmp_path, 100.0)
    lease.connection.held = True
    assert leases.overdue(105.0) == []
    lease.connection.held = False
    assert leases.overdue(109.5) == []
    assert ids(leases.overdue(110.0)) == [1]


def test_an_older_sign_of_life_changes_nothing(tmp_path: Path) -> None:
    lease = Lease(1, 4500, 100.0, connection=connection(tmp_path, 50.0))
    assert lease.deadline(TICK) == 105_000


def test_one_that_is_being_closed_is_not_due_again_unless_that_fails() -> None:
    leases = leading()
    leases.add(1, 4500, 100.0)
    [lease] = leases.overdue(105.0)
    lease.closing = True
    assert leases.overdue(106.0) == []
    assert leases.overdue(107.0) == []
    lease.closing = False
    assert ids(leases.overdue(108.0)) == [1]


def test_one_that_is_not_closed_is_due_a_tick_later_again() -> None:
    leases = leading()
    leases.add(1, 4500, 100.0)
    assert [ids(leases.overdue(now)) for now in (105.0, 105.5, 106.0)] == [[1], [], [1]]


def test_a_lease_that_ended_is_never_due() -> None:
    leases = leading()
    lease = leases.add(1, 4500, 100.0)
    assert leases.remove(1) is lease
    assert leases.remove(1) is None
    assert leases.overdue(200.0) == []
    assert len(leases) == 0


def test_a_session_that_begins_anew_has_nothing_of_the_old_lease() -> None:
    leases = leading()
    leases.add(1, 4500, 100.0)
    leases.remove(1)
    leases.add(1, 4500, 103.0)
    assert leases.overdue(105.0) == []
    assert ids(leases.overdue(108.0)) == [1]


def test_a_shorter_timeout_counts_from_now_on() -> None:
    leases = leading()
    lease = leases.add(1, 40_000, 100.0)
    leases.change(lease, 4500, 100.0)
    assert ids(leases.overdue(105.0)) == [1]


def test_a_longer_timeout_counts_from_now_on() -> None:
    leases = leading()
    lease = leases.add(1, 4500, 100.0)
    leases.change(lease, 40_000, 100.0)
    assert leases.overdue(105.0) == []
    assert ids(leases.overdue(141.0)) == [1]


def test_a_new_leader_gives_everyone_a_full_timeout() -> None:
    leases = leading()
    leases.add(1, 4500, 100.0)
    leases.add(2, 8500, 100.0)
    [first] = leases.overdue(105.0)
    first.closing = True
    leases.renew(107.0)
    assert leases.by_deadline() == {112_000: [1], 116_000: [2]}
    assert ids(leases.overdue(112.0)) == [1]
    assert ids(leases.overdue(116.0)) == [1, 2]


def test_who_does_not_lead_keeps_nothing_of_sessions_that_ended() -> None:
    leases = Leases(TICK)
    for session in range(100):
        leases.add(session, 4500, 100.0)
        leases.remove(session)
    leases.renew(100.0)
    leases.add(1, 4500, 100.0)
    leases.rest()
    leases.add(2, 4500, 100.0)
    assert leases.overdue(200.0) == []
    leases.renew(200.0)
    assert ids(leases.overdue(205.0)) == [1, 2]


def test_the_leader_is_told_of_those_alone_who_were_heard_here(tmp_path: Path) -> None:
    leases = Leases(TICK)
    leases.add(1, 4500, 100.0)  # on another server
    leases.add(2, 4500, 100.0).connection = connection(tmp_path, 101.0)
    leases.add(3, 4500, 100.0).connection = connection(tmp_path, 100.5)
    leases.add(4, 4500, 100.0).touched = 101.5
    leases.add(5, 4500, 100.0).connection = held = connection(tmp_path, 90.0)
    held.held = True
    assert leases.heard_since(101.0) == [2, 4, 5]


TIMES = st.integers(0, 6000)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "hear", "end", "change"]), st.integers(1, 3), TIMES), max_size=40
    )
)
def test_leases_run_out_exactly_when_they_should(steps: list[tuple[str, int, int]]) -> None:
    """Against one clock for each session, looked at every tick."""
    leases = leading()
    heard: dict[int, tuple[float, int]] = {}
    now = 100.0
    asked = count(1)
    for step, session, number in steps:
        lease = leases.get(session)
        if step == "add" and lease is None:
            leases.add(session, number, now)
            heard[session] = now, number
        elif step == "hear" and lease is not None:
            lease.heard = now
            heard[session] = now, heard[session][1]
        elif step == "end":
            leases.remove(session)
            heard.pop(session, None)
        elif step == "change" and lease is not None:
            leases.change(lease, number, now)
            heard[session] = now, number
        if number % 2:
            now += 0.5
        if next(asked) % 2:
            due = [session for session, (since, timeout) in heard.items() if expired(since, timeout, now)]
            found = ids(leases.overdue(now))
            assert len(found) == len(set(found))
            assert sorted(found) == sorted(due)
            for session in due:
                leases.remove(session)
                del heard[session]


def expired(since: float, timeout: int, now: float) -> bool:
    return (int(since * 1000 + timeout) // TICK + 1) * TICK <= int(now * 1000)
