"""What is proposed goes to whoever leads, in the order of the calls, and comes back when it is not taken."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from znoded.consensus.raft.command import Segment, unpack
from znoded.consensus.raft.messages import AskBarrier, Forward, Refused
from znoded.consensus.raft.proposals import Proposals

ME, RUN, LEADER = 1, 77, 3


Sent: TypeAlias = list[tuple[int, Forward | AskBarrier | Refused]]


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def proposals(sent: Sent) -> Proposals:
    return Proposals(ME, RUN, lambda peer, message: sent.append((peer, message)))


@pytest.fixture
def leading(proposals: Proposals) -> Proposals:
    proposals.leader = ME
    return proposals


@pytest.fixture
def following(proposals: Proposals) -> Proposals:
    proposals.leader = LEADER
    return proposals


def offered(proposals: Proposals) -> list[tuple[tuple[Segment, ...], int]]:
    found = []
    while (offer := proposals.offer()) is not None:
        found.append((unpack(offer[0]), offer[1]))
    return found


def test_a_leader_puts_all_that_waits_into_one_command(leading: Proposals) -> None:
    assert list(leading.propose([b"a", b"b"])) == [1, 2]
    leading.forwarded(2, Forward(5, 10, (b"x",)))
    assert list(leading.propose([b"c"])) == [3]
    ((segments, _),) = offered(leading)
    assert segments == (
        Segment(ME, RUN, 1, (b"a", b"b")),
        Segment(2, 5, 10, (b"x",)),
        Segment(ME, RUN, 3, (b"c",)),
    )
    assert offered(leading) == []


def test_much_is_more_than_one_command(leading: Proposals) -> None:
    txns = [bytes([number]) * 100_000 for number in range(10)]
    leading.propose(txns)
    commands = offered(leading)
    assert len(commands) > 1
    segments = [segment for command, _ in commands for segment in command]
    assert [txn for segment in segments for txn in segment.txns] == txns
    assert [segment.first for segment in segments] == [1, 4, 7, 10]


def test_a_follower_sends_them_on(following: Proposals, sent: Sent) -> None:
    following.propose([b"a", b"b"])
    assert following.barrier() == 3
    following.propose([b"c"])
    assert sent == [
        (LEADER, Forward(RUN, 1, (b"a", b"b"))),
        (LEADER, AskBarrier(3)),
        (LEADER, Forward(RUN, 4, (b"c",))),
    ]
    assert offered(following) == []


def test_without_a_leader_they_are_refused(proposals: Proposals) -> None:
    proposals.propose([b"a", b"b"])
    proposals.barrier()
    assert proposals.refused == [1, 2, 3]


def test_what_the_library_turns_down_goes_back(leading: Proposals, sent: Sent) -> None:
    leading.propose([b"a", b"b"])
    leading.forwarded(2, Forward(5, 10, (b"x", b"y")))
    ((_, command),) = offered(leading)
    leading.turned_down(command)
    assert leading.refused == [1, 2]
    assert sent == [(2, Refused(5, 10, 2))]


def test_what_is_in_the_log_does_not(leading: Proposals) -> None:
    leading.propose([b"a"])
    ((_, command),) = offered(leading)
    leading.placed(command)
    leading.stop()
    assert leading.refused == []


def test_what_waits_when_a_leadership_ends_goes_back(leading: Proposals, sent: Sent) -> None:
    leading.propose([b"a"])
    leading.forwarded(2, Forward(5, 10, (b"x",)))
    leading.barrier()
    leading.stop()
    assert leading.refused == [1]
    assert sent == [(2, Refused(5, 10, 1))]
    assert (leading.barriers, offered(leading)) == ([], [])


def test_who_does_not_lead_takes_nothing_from_others(following: Proposals, sent: Sent) -> None:
    following.forwarded(2, Forward(5, 10, (b"x",)))
    assert sent == [(2, Refused(5, 10, 1))]


def test_a_refusal_is_for_the_run_that_asked(following: Proposals) -> None:
    following.propose([b"a", b"b", b"c"])
    following.returned(Refused(RUN + 1, 1, 3))
    assert following.refused == []
    following.returned(Refused(RUN, 2, 1 << 40))
    assert following.refused == [2, 3]


def test_a_command_s_own_transactions_are_told_from_the_others(following: Proposals) -> None:
    segments = (
        Segment(LEADER, RUN, 1, (b"x",)),
        Segment(ME, RUN, 5, (b"a", b"b")),
        Segment(ME, RUN - 1, 7, (b"before the last start",)),
        Segment(ME, RUN, 7, (b"c",)),
    )
    assert following.own(segments, 100) == [(101, 5), (102, 6), (104, 7)]
