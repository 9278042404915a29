"""PySyncObj as the rest of znoded sees it: what gets in and out of it, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from znoded.consensus.raft.command import NO_OP, Segment, pack
from znoded.consensus.raft.library import Moved, Raft, Timing
from znoded.consensus.raft.messages import Append, AskVote, Entry, Next, TimeoutNow, Vote

from .bare import Clock

TIMING = Timing(period=0.05, looking=(0.2, 0.4), following=(2.0, 3.0), fallback=1.0)
ONE = pack([Segment(1, 1, 1, (b"one",))])


class Log(list[Entry]):
    """A log in memory."""

    def __init__(self, *entries: Entry) -> None:
        super().__init__(entries or [(NO_OP, 1, 0)])
        self.promises: list[tuple[int, int | None]] = [(0, None)]

    @property
    def term(self) -> int:
        return self.promises[-1][0]

    @property
    def vote(self) -> int | None:
        return self.promises[-1][1]

    def add(self, command: bytes, index: int, term: int) -> None:
        self.append((command, index, term))

    def promise(self, term: int, vote: int | None) -> None:
        self.promises.append((term, vote))


class Server:
    """One of three voters and an observer, and what it says."""

    def __init__(self, clock: Clock, directory: Path, me: int = 1, log: Log | None = None) -> None:
        self.clock = clock
        self.log = Log() if log is None else log
        self.said: list[tuple[int, object]] = []
        self.proposals: list[tuple[int, ...]] = []
        self.raft = Raft(me, (1, 2, 3), (9,), self.log, self, TIMING, self.log[0][1:], directory)

    def append(
        self, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        self.said.append((peer, Append(term, 0, commit, prev, prev_term, tuple(entries), b"")))

    def answer(self, peer: int, next: int, reset: bool, success: bool) -> None:
        self.said.append((peer, Next(self.raft.term, 0, next, reset, success)))

    def send(self, peer: int, message: AskVote | Vote | TimeoutNow) -> None:
        self.said.append((peer, message))

    def lags(self, peer: int) -> None:
        self.said.append((peer, "lags"))

    def placed(self, number: int, index: int, term: int) -> None:
        self.proposals.append((number, index, term))

    def refused(self, number: int) -> None:
        self.proposals.append((number,))

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.raft.tick()

    def leader(self) -> int | None:
        return self.raft.leader

    def lead(self) -> None:
        for peer in (2, 3):
            self.raft.up(peer)
        self.wait(0.5)
        self.raft.hear(2, Vote(self.raft.term))
        assert self.raft.leads
        self.said.clear()

    def follow(self, leader: int, term: int) -> None:
        self.raft.hear(leader, Append(term, 1, 1, 1, 0, (), b""))
        self.said.clear()

    def of(self, peer: int) -> list[object]:
        return [message for to, message in self.said if to == peer]


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    with clock.rules():
        yield clock


@pytest.fixture
def server(clock: Clock, tmp_path: Path) -> Server:
    return Server(clock, tmp_path)


def test_a_majority_of_votes_makes_a_leader(server: Server) -> None:
    server.raft.up(2)
    assert server.leader() is None
    server.wait(0.5)
    assert server.said == [(2, AskVote(1, 1, 0)), (3, AskVote(1, 1, 0))]
    assert server.log.promises[-1] == (1, 1)
    server.raft.hear(3, Vote(1))
    assert server.raft.leads
    assert server.leader() == 1
    assert server.of(2)[1] == Append(1, 0, 1, 1, 0, ((NO_OP, 2, 1),), b"")


def test_a_vote_that_comes_twice_counts_once(clock: Clock, tmp_path: Path) -> None:
    five = Server(clock, tmp_path)
    five.raft = Raft(1, (1, 2, 3, 4, 5), (), five.log, five, TIMING, (1, 0), tmp_path)
    five.raft.up(2)
    five.wait(0.5)
    for _ in range(3):
        five.raft.hear(2, Vote(1))
    assert five.raft.leader is None
    five.raft.hear(3, Vote(1))
    assert five.raft.leads


def test_an_observer_gives_no_votes_and_is_nobodys_leader(server: Server) -> None:
    server.raft.up(2)
    server.raft.up(9)
    server.wait(0.5)
    server.raft.hear(9, Vote(1))
    server.raft.hear(9, Append(7, 1, 1, 1, 0, ((NO_OP, 2, 7),), b""))
    server.raft.hear(9, AskVote(8, 9, 9))
    assert not server.raft.leads
    assert server.raft.term == 1
    assert len(server.log) == 1


def test_an_observer_is_no_company_to_campaign_in(server: Server) -> None:
    server.raft.up(9)
    server.wait(5.0)
    assert server.raft.term == 0


def test_an_observer_gets_the_log_from_the_leader_alone(server: Server) -> None:
    server.raft.up(9)
    server.follow(2, 1)
    server.wait(0.5)
    assert not server.said
    server.wait(5.0)
    server.lead()
    server.wait(0.1)
    assert server.of(9)
    server.raft.hear(9, Next(server.raft.term, 1, 3, False, True))
    assert server.raft.matched[9] == 2
    assert server.raft.commit == 1
    server.raft.step_down()
    server.said.clear()
    server.raft.hear(9, Next(server.raft.term, 1, 3, False, True))
    server.wait(0.1)
    assert not server.of(9)


def test_an_observer_that_is_gone_is_not_heard(server: Server) -> None:
    server.raft.up(9)
    server.lead()
    server.raft.down(9)
    server.raft.hear(9, Next(server.raft.term, 1, 3, False, True))
    assert 9 not in server.raft.matched


def test_an_observer_follows(clock: Clock, tmp_path: Path) -> None:
    observer = Server(clock, tmp_path, me=9)
    observer.raft.up(2)
    observer.raft.hear(2, Append(3, 1, 2, 1, 0, ((NO_OP, 2, 3),), b""))
    observer.wait(0)
    assert observer.leader() == 2
    assert observer.raft.applied == 2
    assert observer.said == [(2, Next(3, 0, 3, False, True))]
    observer.wait(10)
    assert observer.raft.term == 3


def test_proposals_are_placed_in_the_order_of_the_calls(server: Server) -> None:
    server.lead()
    server.raft.propose(ONE, 7)
    server.raft.propose(ONE, 8)
    server.wait(0)
    assert server.proposals == [(7, 3, 1), (8, 4, 1)]
    assert server.log[-2:] == [(ONE, 3, 1), (ONE, 4, 1)]


def test_a_proposal_is_refused_by_one_that_does_not_lead(server: Server) -> None:
    server.raft.propose(ONE, 7)
    server.wait(0)
    server.follow(2, 1)
    server.raft.propose(ONE, 8)
    server.wait(0)
    assert server.proposals == [(7,), (8,)]


def test_the_leader_is_that_of_the_current_term(server: Server) -> None:
    server.follow(2, 4)
    assert server.leader() == 2
    server.follow(3, 3)
    assert server.leader() == 2, "an earlier term"
    server.raft.hear(3, AskVote(5, 0, 0))
    assert server.leader() is None
    server.follow(3, 5)
    assert server.leader() == 3


def test_a_follower_waits_longer_than_one_that_looks_for_a_leader(server: Server) -> None:
    server.raft.up(2)
    server.follow(2, 1)
    server.wait(1.9)
    assert server.leader() == 2
    server.wait(1.2)
    assert server.leader() is None
    server.wait(0.5)
    assert server.raft.term == 3


def test_a_follower_whose_leader_is_gone_campaigns_at_once(server: Server) -> None:
    server.raft.up(3)
    server.raft.campaign()
    assert server.raft.term == 0, "it has had none"
    server.follow(2, 1)
    server.raft.campaign()
    assert server.of(3) == [AskVote(2, 1, 0)]


def test_a_follower_that_is_alone_does_not_campaign_as_soon_as_it_is_not(server: Server) -> None:
    server.follow(2, 1)
    server.raft.campaign()
    server.raft.hear(2, TimeoutNow(1))
    server.raft.up(2)
    server.wait(0)
    for _ in range(10):
        server.wait(0.5)
        server.raft.hear(2, Append(1, 1, 1, 1, 0, (), b""))
    assert server.leader() == 2


def test_a_leader_gives_way_to_one_that_has_its_log(server: Server) -> None:
    server.lead()
    assert not server.raft.transfer()
    server.raft.hear(3, Next(1, 1, 3, False, True))
    assert not server.raft.transfer(2)
    assert server.raft.transfer()
    assert server.said == [(3, TimeoutNow(1))]


def test_a_leader_steps_down(server: Server) -> None:
    server.lead()
    server.raft.step_down()
    assert not server.raft.leads
    assert server.leader() is None
    assert server.log.promises[-1] == (2, None)


def test_a_leader_that_learns_of_a_later_term_leads_no_more(server: Server) -> None:
    server.lead()
    server.raft.learn(1)
    assert server.leader() == 1
    server.raft.learn(7)
    assert server.leader() is None
    assert server.log.promises[-1] == (7, None)


def test_an_answer_beyond_the_log_counts_for_nothing(server: Server) -> None:
    server.lead()
    server.raft.hear(2, Next(1, 1, 99, False, True))
    server.wait(0)
    assert server.raft.commit == 1
    server.raft.hear(2, Next(1, 1, 99, True, False))
    server.said.clear()
    server.wait(0.1)
    assert server.of(2) == [Append(1, 0, 1, 2, 1, (), b"")], "it is sent on from the log's end"


def test_who_lags_too_far_is_left_to_the_owner(clock: Clock, tmp_path: Path) -> None:
    log = Log((NO_OP, 100, 7), (ONE, 101, 7))
    log.promise(7, None)
    server = Server(clock, tmp_path, log=log)
    assert (server.raft.applied, server.raft.commit, server.raft.term) == (100, 100, 7)
    server.lead()
    server.raft.hear(2, Next(8, 1, 50, True, False))
    server.wait(0.1)
    server.wait(0.1)
    assert server.of(2) == ["lags"]
    server.raft.hear(2, Next(8, 1, 102, False, True))
    server.raft.up(2)
    server.wait(0.1)
    assert server.of(2)[1:] == [Append(8, 0, 100, 101, 7, ((NO_OP, 102, 8),), b"")]


def test_a_state_that_was_sent_takes_the_place_of_what_was_here(server: Server) -> None:
    server.follow(2, 7)
    server.log[:] = [(NO_OP, 100, 6)]
    server.raft.installed(2, 7, 100, 6)
    assert (server.raft.applied, server.raft.commit) == (100, 100)
    assert server.said == [(2, Next(7, 0, 101, False, True))]
    server.raft.hear(2, Append(7, 2, 101, 100, 6, ((ONE, 101, 7),), b""))
    server.wait(0)
    assert server.raft.applied == 101


def test_a_state_of_an_earlier_term_is_not_taken(server: Server) -> None:
    server.follow(2, 7)
    server.raft.installed(3, 6, 100, 6)
    assert server.raft.applied == 1
    assert not server.said


def test_a_promise_that_fails_is_told_and_no_vote_leaves(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(term: int, vote: int | None) -> None:
        raise OSError("no space")

    monkeypatch.setattr(server.log, "promise", full)
    with pytest.raises(OSError, match="no space"):
        server.raft.hear(2, AskVote(3, 9, 9))
    assert not server.said


def test_a_message_that_the_library_never_had_is_told(server: Server) -> None:
    transport = server.raft._transport
    with pytest.raises(Moved, match="sends"):
        transport.send(server.raft._nodes[2], {"type": "new", "field": 1})
