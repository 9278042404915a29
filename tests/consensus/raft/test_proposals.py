"""What is proposed goes to whoever leads, in the order of the calls, and comes back when it is not taken."""

from __future__ import annotations

import pytest

from znoded.consensus.raft.command import Segment, unpack
from znoded.consensus.raft.messages import AskBarrier, Forward, Refused
from znoded.consensus.raft.proposals import Proposals

ME, RUN, LEADER = 1, 77, 3


class Sent(Proposals):
    """With what it has sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Forward | AskBarrier | Refused]] = []
        super().__init__(ME, RUN, lambda peer, message: self.sent.append((peer, message)))

    def offered(self) -> list[tuple[tuple[Segment, ...], int]]:
        found = []
        while (offer := self.offer()) is not None:
            found.append((unpack(offer[0]), offer[1]))
        return found


@pytest.fixture
def proposals() -> Sent:
    return Sent()


@pytest.fixture
def leading(proposals: Sent) -> Sent:
    proposals.leader = ME
    return proposals


@pytest.fixture
def following(proposals: Sent) -> Sent:
    proposals.leader = LEADER
    return proposals


def test_a_leader_puts_all_that_waits_into_one_command(leading: Sent) -> None:
    assert list(leading.propose([b"a", b"b"])) == [1, 2]
    leading.forwarded(2, Forward(5, 10, (b"x",)))
    assert list(leading.propose([b"c"])) == [3]
    ((segments, _),) = leading.offered()
    assert segments == (
        Segment(ME, RUN, 1, (b"a", b"b")),
        Segment(2, 5, 10, (b"x",)),
        Segment(ME, RUN, 3, (b"c",)),
    )
    assert leading.offered() == []


def test_much_is_more_than_one_command(leading: Sent) -> None:
    txns = [bytes([number]) * 100_000 for number in range(10)]
    leading.propose(txns)
    offered = leading.offered()
    assert len(offered) > 1
    segments = [segment for command, _ in offered for segment in command]
    assert [txn for segment in segments for txn in segment.txns] == txns
    assert [segment.first for segment in segments] == [1, 4, 7, 10]


def test_a_follower_sends_them_on(following: Sent) -> None:
    following.propose([b"a", b"b"])
    assert following.barrier() == 3
    following.propose([b"c"])
    assert following.sent == [
        (LEADER, Forward(RUN, 1, (b"a", b"b"))),
        (LEADER, AskBarrier(3)),
        (LEADER, Forward(RUN, 4, (b"c",))),
    ]
    assert following.offered() == []


def test_without_a_leader_they_are_refused(proposals: Sent) -> None:
    proposals.propose([b"a", b"b"])
    proposals.barrier()
    assert proposals.refused == [1, 2, 3]


def test_what_the_library_turns_down_goes_back(leading: Sent) -> None:
    leading.propose([b"a", b"b"])
    leading.forwarded(2, Forward(5, 10, (b"x", b"y")))
    ((_, command),) = leading.offered()
    leading.turned_down(command)
    assert leading.refused == [1, 2]
    assert leading.sent == [(2, Refused(5, 10, 2))]


def test_what_is_in_the_log_does_not(leading: Sent) -> None:
    leading.propose([b"a"])
    ((_, command),) = leading.offered()
    leading.placed(command)
    leading.stop()
    assert leading.refused == []


def test_what_waits_when_a_leadership_ends_goes_back(leading: Sent) -> None:
    leading.propose([b"a"])
    leading.forwarded(2, Forward(5, 10, (b"x",)))
    leading.barrier()
    leading.stop()
    assert leading.refused == [1]
    assert leading.sent == [(2, Refused(5, 10, 1))]
    assert (leading.barriers, leading.offered()) == ([], [])


def test_who_does_not_lead_takes_nothing_from_others(following: Sent) -> None:
    following.forwarded(2, Forward(5, 10, (b"x",)))
    assert following.sent == [(2, Refused(5, 10, 1))]


def test_a_refusal_is_for_the_run_that_asked(following: Sent) -> None:
    following.propose([b"a", b"b", b"c"])
    following.returned(Refused(RUN + 1, 1, 3))
    assert following.refused == []
    following.returned(Refused(RUN, 2, 1 << 40))
    assert following.refused == [2, 3]
