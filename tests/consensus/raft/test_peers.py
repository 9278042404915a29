"""Nothing that the library says leaves before it is true, and nothing is heard that is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from znoded.consensus.raft.command import NO_OP, Malformed, Segment, pack
from znoded.consensus.raft.journal import Journal
from znoded.consensus.raft.keeper import Keeper
from znoded.consensus.raft.library import Raft
from znoded.consensus.raft.messages import Append, AskVote, Entry, Message, Next
from znoded.consensus.raft.peers import Peers
from znoded.consensus.raft.proposals import Proposals
from znoded.storage.log import Log

CLUSTER = bytes(16)
TERM = 5
PEER = 2


def command(text: bytes) -> bytes:
    return pack([Segment(1, 1, 1, (text,))])


class Ear:
    """A library that only hears."""

    leads = True
    commit = 2

    def __init__(self) -> None:
        self.term = TERM
        self.heard: list[Message] = []
        self.downs: list[int] = []
        self.ups: list[int] = []

    def hear(self, peer: int, message: Message) -> None:
        self.heard.append(message)

    def up(self, peer: int) -> None:
        self.ups.append(peer)

    def down(self, peer: int) -> None:
        self.downs.append(peer)

    def take(self) -> list[Message]:
        heard, self.heard = self.heard, []
        return heard


class Desk:
    """One server's peers, with a log of one term's beginning; what it sends is in sent."""

    def __init__(self, log: Log, home: Path) -> None:
        self.log = log
        self.sent: list[Message] = []
        self.delivered = 1
        self.journal = Journal(log, Keeper(home / "promises"), 0, lambda command, key: None)
        self.raft = Ear()
        proposals = Proposals(1, 1, lambda peer, message: None)
        self.peers = Peers(
            self.journal,
            proposals,
            lambda: CLUSTER,
            lambda: self.delivered,
            lambda peer, message: self.sent.append(message),
        )
        self.peers.use(cast(Raft, self.raft))
        self.peers.connected(PEER)
        self.journal.add(NO_OP, 2, TERM)
        self.sync()

    def add(self, count: int = 1, size: int = 1) -> list[Entry]:
        first = self.journal.last.index + 1
        entries = [(command(bytes(size)), index, TERM) for index in range(first, first + count)]
        for entry in entries:
            self.journal.add(*entry)
        return entries

    def sync(self) -> None:
        self.log.sync()
        self.journal.synced()
        self.peers.synced()

    def append(self, prev: int, entries: list[Entry], commit: int = 2) -> None:
        """As the library sends them."""
        prev_term = self.journal.term_at(prev)
        assert prev_term is not None
        self.peers.append(PEER, TERM, commit, prev, prev_term, entries)

    def answer(self, next: int, *, reset: bool = False, round: int = 0, term: int = TERM) -> None:
        """As the peer does."""
        self.peers.answered(PEER, Next(term, round, next, reset, not reset))

    def take(self) -> list[Message]:
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Log(tmp_path / "log", segment_size=1 << 16)) as log:
        yield Desk(log, tmp_path)


class TestAppends:
    def test_what_was_sent_is_not_sent_again(self, desk: Desk) -> None:
        entries = desk.add(3)
        desk.append(2, entries[:2])
        desk.append(2, entries)
        first, second = desk.take()
        assert isinstance(first, Append) and isinstance(second, Append)
        assert (first.prev, first.entries) == (2, tuple(entries[:2]))
        assert (second.prev, second.prev_term, second.entries) == (4, TERM, tuple(entries[2:]))
        assert second.round == first.round + 1

    def test_over_a_new_connection_it_is(self, desk: Desk) -> None:
        entries = desk.add(2)
        desk.append(2, entries)
        desk.peers.disconnected(PEER)
        desk.peers.connected(PEER)
        desk.append(2, entries)
        first, second = desk.take()
        assert isinstance(first, Append) and isinstance(second, Append)
        assert first.entries == second.entries == tuple(entries)

    def test_what_is_not_on_this_disk_is_not_told_to_be_committed(self, desk: Desk) -> None:
        entries = desk.add(2)
        desk.append(2, entries, commit=4)
        desk.sync()
        desk.append(4, [], commit=4)
        desk.peers.flush()
        assert [message.commit for message in desk.take() if isinstance(message, Append)] == [2, 4]

    def test_entries_say_what_a_notice_would_have(self, desk: Desk) -> None:
        desk.append(2, [])
        entries = desk.add(1)
        desk.append(2, entries)
        desk.peers.flush()
        (only,) = desk.take()
        assert isinstance(only, Append) and only.entries == tuple(entries)

    def test_much_under_way_waits_for_answers(self, desk: Desk) -> None:
        entries = desk.add(5, 1 << 20)
        desk.sync()
        for at, entry in enumerate(entries):
            desk.append(2 + at, [entry])
        assert desk.raft.downs == [PEER, PEER]  # at the fourth, and what follows
        desk.answer(4)
        assert desk.raft.ups == []
        desk.answer(8)
        assert desk.raft.ups == [PEER]


class TestAnswers:
    """As a follower gives them."""

    def test_they_wait_until_the_entries_are_on_disk_and_others_behind_them(self, desk: Desk) -> None:
        desk.add(2)
        desk.peers.answer(PEER, 5, False, True)
        desk.peers.answer(PEER, 3, False, True)
        assert desk.take() == []
        desk.sync()
        assert desk.take() == [Next(TERM, 0, 5, False, True), Next(TERM, 0, 3, False, True)]

    def test_one_of_an_earlier_term_is_not_given_any_more(self, desk: Desk) -> None:
        desk.add(2)
        desk.peers.answer(PEER, 5, False, True)
        desk.raft.term = TERM + 1
        desk.sync()
        assert desk.take() == []

    def test_one_names_its_append(self, desk: Desk) -> None:
        desk.peers.appended(PEER, Append(TERM, 33, 2, 2, TERM, (), CLUSTER))
        desk.peers.answer(PEER, 3, False, True)
        assert desk.take() == [Next(TERM, 33, 3, False, True)]

    def test_the_leader_is_set_back_by_a_whole_term(self, desk: Desk) -> None:
        desk.add(10)
        desk.peers.answer(PEER, 9, True, False)
        desk.delivered = 5
        desk.peers.answer(PEER, 9, True, False)
        assert [message.next for message in desk.take() if isinstance(message, Next)] == [2, 6]


class TestLeading:
    """What a leader takes an answer for."""

    def test_one_that_is_ahead_of_its_own_disk_counts_later(self, desk: Desk) -> None:
        desk.append(2, desk.add(2))
        desk.answer(5)
        assert desk.raft.take() == [Next(TERM, 0, 5, False, False)]
        desk.sync()
        assert desk.raft.take() == [Next(TERM, 0, 5, False, True)]

    def test_one_of_another_term_is_none(self, desk: Desk) -> None:
        desk.answer(3, term=TERM - 1)
        assert desk.raft.take() == []

    def test_one_that_was_held_is_none_in_the_next_term(self, desk: Desk) -> None:
        desk.add(2)
        desk.answer(5)
        desk.raft.take()
        desk.raft.term = TERM + 1
        desk.sync()
        assert desk.raft.take() == []

    def test_what_was_sent_before_the_last_setting_back_sets_nothing_back(self, desk: Desk) -> None:
        entries = desk.add(3)
        desk.sync()
        for at, entry in enumerate(entries):
            desk.append(2 + at, [entry])
        desk.answer(2, reset=True, round=1)
        assert desk.raft.take() == [Next(TERM, 1, 2, True, False)]
        desk.answer(2, reset=True, round=2)
        desk.answer(2, reset=True, round=3)
        assert desk.raft.take() == [Next(TERM, 2, 2, False, False), Next(TERM, 3, 2, False, False)]

    def test_one_who_has_its_snapshot_is_sent_to_again(self, desk: Desk) -> None:
        desk.peers.lags(PEER)
        desk.peers.lags(PEER)
        assert desk.peers.laggards == [PEER]
        # So that it knows who leads.
        assert desk.take() == [Append(TERM, 1, 0, 2, TERM, (), CLUSTER)]
        desk.answer(3)
        assert desk.raft.ups == [PEER]


class TestConflicts:
    """Of an append's entries with those that are there."""

    def conflict(self, desk: Desk, prev: int, prev_term: int, *entries: tuple[bytes, int, int]) -> int | None:
        return desk.peers.conflict(Append(9, 1, 2, prev, prev_term, entries, CLUSTER))

    def test_what_is_the_same_stays(self, desk: Desk) -> None:
        entries = desk.add(3)
        assert self.conflict(desk, 2, TERM, *entries) is None
        assert self.conflict(desk, 2, TERM, *entries[:1]) is None

    def test_what_is_of_another_term_goes_from_there_on(self, desk: Desk) -> None:
        entries = desk.add(3)
        assert self.conflict(desk, 2, TERM, entries[0], (NO_OP, 4, 9)) == 3

    def test_what_does_not_follow_cuts_nothing(self, desk: Desk) -> None:
        desk.add(3)
        assert self.conflict(desk, 4, 9, (NO_OP, 5, 9)) is None
        assert self.conflict(desk, 9, 9, (NO_OP, 10, 9)) is None

    def test_what_is_delivered_can_not_be_cut(self, desk: Desk) -> None:
        desk.add(3)
        desk.delivered = 4
        with pytest.raises(Malformed, match="entry 4 of term 9 is committed here"):
            self.conflict(desk, 3, TERM, (NO_OP, 4, 9))

    def test_what_breaks_the_order_of_zxids_is_found_before_it_is_taken(self, desk: Desk) -> None:
        with pytest.raises(Malformed):
            self.conflict(desk, 2, TERM, (command(b"x"), 3, 9))

    def test_as_much_is_committed_as_the_append_shows(self, desk: Desk) -> None:
        entries = desk.add(3)
        desk.peers.appended(PEER, Append(TERM, 1, 5, 2, TERM, (entries[0],), CLUSTER))
        (heard,) = desk.raft.take()
        assert isinstance(heard, Append) and heard.commit == 3


class TestLife:
    def test_one_who_has_much_to_take_in_hears_that_its_leader_lives(self, desk: Desk) -> None:
        entries = desk.add(5, 1 << 20)
        desk.append(2, entries)
        desk.take()
        desk.peers.show_life()
        (sign,) = desk.take()
        assert isinstance(sign, Append)
        assert (sign.prev, sign.prev_term, sign.entries, sign.commit) == (7, TERM, (), 2)
        desk.sync()
        desk.answer(8)
        desk.peers.show_life()
        assert desk.take() == []

    def test_one_whose_disk_is_slow_shows_that_it_lives(self, desk: Desk) -> None:
        """Whatever it has to say waits behind what it can't promise yet."""
        desk.add()
        desk.peers.answer(PEER, 4, False, True)
        desk.peers.show_life()
        (sign,) = desk.take()
        assert isinstance(sign, Next)
        assert not sign.success and not sign.reset
        desk.sync()
        desk.take()
        desk.peers.show_life()
        assert desk.take() == []

    def test_a_leader_is_told_of_a_later_term(self, desk: Desk) -> None:
        """By a candidate's words, but none that anybody would vote for."""
        desk.peers.appended(PEER, Append(TERM - 1, 1, 0, 2, TERM, (), CLUSTER))
        assert desk.take() == [AskVote(TERM, 0, 0)]
        assert desk.raft.take() == []
