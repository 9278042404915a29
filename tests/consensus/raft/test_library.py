"""What consensus/raft/library.py leans on in PySyncObj, by name or by habit: whoever takes in another version
of it learns here what has moved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pysyncobj.pickle
import pysyncobj.syncobj as syncobj
import pytest

from znoded.consensus.raft import library

from .bare import NO_OP, RAW, Bare, Clock, moved

E = tuple[bytes, int, int]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The library's own, and a library that fails where it would pickle."""

    def no_pickle(*_: object, **__: object) -> NoReturn:
        raise AssertionError(moved("it pickles"))

    for name in ("load", "loads", "dump", "dumps"):
        monkeypatch.setattr(pysyncobj.pickle, name, no_pickle)
    clock = Clock()
    with clock.rules():
        yield clock


@pytest.fixture
def bare(clock: Clock, tmp_path: Path) -> Bare:
    return Bare(clock, tmp_path)


def entries(first: int, last: int, term: int) -> list[E]:
    return [(RAW + b"%d" % index, index, term) for index in range(first, last + 1)]


def propose(bare: Bare, command: bytes, number: int) -> None:
    bare.say(1, "apply_command", command=command, request_id=number)
    bare.tick()


def confirm(bare: Bare, peer: int, upto: int) -> None:
    bare.say(peer, "next_node_idx", next_node_idx=upto + 1, reset=False, success=True)
    bare.tick()


def test_a_command_of_type_4_is_ordered_and_nothing_is_done_with_it(bare: Bare) -> None:
    bare.lead()
    propose(bare, RAW + b"not a pickle", 1)
    assert bare.entries[-1] == (RAW + b"not a pickle", 3, 1), moved("it does not take commands of type 4")
    confirm(bare, 2, 3)
    assert bare.raft.raftLastApplied == 3, moved("it does not pass over commands of type 4")


def test_a_leader_says_at_once_where_a_proposal_of_its_own_is(bare: Bare) -> None:
    bare.lead()
    propose(bare, RAW, 7)
    told = bare.sent("apply_command_response")
    expected = {"to": 1, "type": "apply_command_response", "request_id": 7, "log_idx": 3, "log_term": 1}
    assert told == [expected], moved("it does not answer a proposal within a tick")


@pytest.mark.parametrize("leader", [None, 2])
def test_who_does_not_lead_says_at_once_that_it_takes_no_proposal(bare: Bare, leader: int | None) -> None:
    if leader:
        bare.append(leader, 1, (1, 0))
    propose(bare, RAW, 7)
    (told,) = bare.sent("apply_command_response")
    assert told["to"] == 1
    assert told["request_id"] == 7
    assert "error" in told, moved("it does not refuse a proposal of one that does not lead")
    assert not bare.sent("apply_command"), moved("it sends proposals to a leader by itself")


def test_messages_have_these_fields_and_no_others(bare: Bare) -> None:
    bare.tick(0.5)
    bare.lead()
    propose(bare, RAW, 1)
    confirm(bare, 2, 3)
    assert bare.raft.transferLeadership(bare.nodes[2]) is None
    bare.append(3, 5, (3, 1))
    bare.say(2, "request_vote", term=6, last_log_index=9, last_log_term=5)
    propose(bare, RAW, 2)
    found = {(one[2]["type"], *sorted(one[2].keys() - {"type"})) for one in bare.happened if one[0] == "send"}
    assert found == {
        ("append_entries", "commit_index", "entries", "prevLogIdx", "prevLogTerm", "term"),
        ("apply_command_response", "log_idx", "log_term", "request_id"),
        ("apply_command_response", "error", "request_id"),
        ("next_node_idx", "next_node_idx", "reset", "success"),
        ("request_vote", "last_log_index", "last_log_term", "term"),
        ("response_vote", "term"),
        ("timeout_now", "term"),
    }, moved("its messages have other fields")


def before(bare: Bare, one: tuple[Any, ...], kind: str) -> bool:
    """Whether one happened before the first message of a kind."""
    sends = [at for at, what in enumerate(bare.happened) if what[0] == "send" and what[2]["type"] == kind]
    return bare.happened.index(one) < sends[0]


def test_a_term_and_a_vote_are_promised_before_they_are_told(clock: Clock, tmp_path: Path) -> None:
    campaigns = Bare(clock, tmp_path)
    campaigns.ends["NodeConnected"](campaigns.nodes[2])
    campaigns.tick(0.5)
    told = moved("it tells of a term or a vote before it has promised it")
    assert before(campaigns, ("promise", 1, "1"), "request_vote"), told
    votes = Bare(clock, tmp_path)
    votes.say(2, "request_vote", term=4, last_log_index=1, last_log_term=0)
    assert before(votes, ("promise", 4, "2"), "response_vote"), told
    votes.say(3, "request_vote", term=4, last_log_index=9, last_log_term=3)
    assert len(votes.sent("response_vote")) == 1, moved("it votes twice in a term")


def test_a_term_and_a_vote_are_known_after_a_restart(clock: Clock, tmp_path: Path) -> None:
    bare = Bare(clock, tmp_path, term=4, vote="2")
    assert bare.raft.raftCurrentTerm == 4, moved("it does not go on with the term that the log keeps")
    bare.say(3, "request_vote", term=4, last_log_index=9, last_log_term=3)
    assert not bare.sent("response_vote"), moved("it does not go on with the vote that the log keeps")


def test_entries_are_added_before_they_are_acknowledged(bare: Bare) -> None:
    bare.append(2, 1, (1, 0), (NO_OP, 2, 1), (RAW, 3, 1))
    assert before(bare, ("add", 3, 1), "next_node_idx"), moved("it acknowledges what is not in the log yet")
    (answer,) = bare.sent("next_node_idx")
    assert (answer["to"], answer["next_node_idx"], answer["reset"], answer["success"]) == (2, 4, False, True)


def test_a_slice_of_the_log_may_end_early(clock: Clock, tmp_path: Path) -> None:
    bare = Bare(clock, tmp_path, entries=[(NO_OP, 1, 0), *entries(2, 30, 1)], term=1)
    bare.most = 4
    bare.lead()
    confirm(bare, 2, 1)
    bare.say(2, "next_node_idx", next_node_idx=2, reset=True, success=False)
    bare.tick(0.1)
    parts = [one["entries"] for one in bare.sent("append_entries") if one["to"] == 2 and one["entries"]]
    sent = [entry[1] for part in parts[-8:] for entry in part]
    assert sent == list(range(2, 32)), moved("it does not go on where a slice of the log ended")
    assert max(map(len, parts)) == 4
    confirm(bare, 2, 31)
    for _ in range(10):
        bare.tick()
    assert bare.raft.raftLastApplied == 31, moved("it does not apply what follows the end of a slice")


def test_it_asks_at_its_first_tick_where_the_state_stands(clock: Clock, tmp_path: Path) -> None:
    log = [(NO_OP, 100, 6), *entries(101, 200, 7)]
    bare = Bare(clock, tmp_path, entries=log, term=7, applied=(150, 7))
    bare.tick()
    asked = [one[0] for one in bare.happened]
    assert asked == ["position", "clear", "add", "add"], moved("it reads a dump in another way")
    assert bare.raft.raftLastApplied == 150, moved("it does not go on where a dump stands")
    assert bare.raft.raftCommitIndex == 150
    bare.tick()
    assert bare.happened[4:] == [], moved("it reads the dump again")


def lagging(clock: Clock, tmp_path: Path) -> Bare:
    """A leader whose log no longer has what server 2 needs."""
    bare = Bare(clock, tmp_path, entries=[(NO_OP, 100, 6), *entries(101, 110, 7)], term=7, applied=(105, 7))
    bare.lead()
    bare.say(2, "next_node_idx", next_node_idx=50, reset=True, success=False)
    return bare


def dumps(bare: Bare) -> list[tuple[int, Any]]:
    return [(one["to"], one["serialized"]) for one in bare.sent("append_entries") if "serialized" in one]


def test_who_needs_what_the_log_no_longer_has_is_sent_one_empty_dump(clock: Clock, tmp_path: Path) -> None:
    bare = lagging(clock, tmp_path)
    bare.quiet.add(2)
    bare.tick(0.1)
    assert dumps(bare) == [(2, (b"", True, True))], moved("it sends another dump than the file that there is")
    before = len(bare.happened)
    for _ in range(5):
        bare.tick(0.1)
    assert {one[1] for one in bare.happened[before:] if one[0] == "send"} == {3}, moved(
        "it goes on sending to one that is disconnected"
    )


def test_a_disconnection_in_the_middle_of_a_send_ends_it(clock: Clock, tmp_path: Path) -> None:
    bare = Bare(clock, tmp_path, entries=[(NO_OP, 1, 0), *entries(2, 30, 1)], term=1)
    bare.most = 4
    bare.lead()
    bare.say(2, "next_node_idx", next_node_idx=2, reset=True, success=False)
    bare.quiet.add(2)
    bare.happened.clear()
    bare.tick(0.1)
    sent = [one for one in bare.sent("append_entries") if one["to"] == 2]
    assert len(sent) == 1, moved("it goes on sending in the turn in which a connection ended")
    bare.quiet.clear()
    bare.ends["NodeConnected"](bare.nodes[2])
    bare.tick(0.1)
    (_, second, *_) = [one for one in bare.sent("append_entries") if one["to"] == 2]
    assert second["prevLogIdx"] == sent[0]["entries"][-1][1], moved("it does not go on where it was")


def test_a_dump_without_bytes_moves_the_state_to_where_it_is_said_to_stand(bare: Bare) -> None:
    bare.tick()
    bare.happened.clear()
    bare.entries = [(NO_OP, 500, 6)]
    bare.applied = (500, 6)
    bare.say(2, "append_entries", term=7, commit_index=500, serialized=(b"", True, True))
    assert bare.raft.raftLastApplied == 500, moved("it does not take a dump without bytes")
    assert bare.raft.raftCommitIndex == 500
    kinds = [one[0] for one in bare.happened]
    assert kinds == ["promise", "position", "clear", "add", "add", "send"], moved("it takes a dump otherwise")
    (answer,) = bare.sent("next_node_idx")
    assert (answer["next_node_idx"], answer["success"]) == (501, True)


def test_an_answer_that_says_neither_counts_as_a_sign_of_life_alone(bare: Bare) -> None:
    bare.lead()
    propose(bare, RAW, 1)
    for _ in range(8):
        bare.tick(0.2)
        bare.say(2, "next_node_idx", next_node_idx=4, reset=False, success=False)
    bare.tick()
    assert bare.states[-1] == 2, moved("an answer without success is no sign of life")
    assert bare.raft.raftCommitIndex == 1, moved("an answer without success counts for the commit")
    assert bare.raft.getStatus()["match_idx_server_2"] == 0, moved("getStatus() tells of no match")
    bare.tick(1.1)
    assert bare.states[-1] == 0, moved("a leader whom no majority answers leads on")


def test_the_leader_can_make_a_follower_campaign_at_once(bare: Bare) -> None:
    bare.ends["NodeConnected"](bare.nodes[3])
    bare.append(2, 1, (1, 0))
    bare.say(3, "timeout_now", term=1)
    bare.tick()
    assert not bare.sent("request_vote"), moved("it campaigns for one that does not lead")
    bare.say(2, "timeout_now", term=1)
    bare.tick()
    assert [one["term"] for one in bare.sent("request_vote")] == [2, 2], moved("it does not campaign at once")


def test_who_has_stood_for_the_leader_hears_leaders_again(bare: Bare) -> None:
    bare.ends["NodeConnected"](bare.nodes[3])
    bare.append(2, 1, (1, 0))
    bare.say(2, "timeout_now", term=1)
    bare.tick()
    bare.append(3, 2, (1, 0))
    bare.happened.clear()
    for _ in range(10):
        bare.tick(0.15)
        bare.append(3, 2, (1, 0))
    assert not bare.sent("request_vote"), moved("it is deaf to leaders after it was asked to stand")


def test_a_leader_asks_only_one_that_has_its_whole_log_to_lead(bare: Bare) -> None:
    bare.lead()
    told: list[Any] = []
    bare.raft.transferLeadership(None, lambda _, error: told.append(error))
    confirm(bare, 2, 2)
    bare.raft.transferLeadership(None, lambda _, error: told.append(error))
    assert [error == 0 for error in told] == [False, True], moved("transferLeadership() answers otherwise")
    assert [one["to"] for one in bare.sent("timeout_now")] == [2]


def test_a_candidate_with_less_of_a_log_makes_a_leader_step_down(bare: Bare) -> None:
    bare.lead()
    bare.say(2, "request_vote", term=2, last_log_index=0, last_log_term=-1)
    assert bare.states[-1] == 0, moved("a leader does not step down for a later term")
    assert bare.raft.raftCurrentTerm == 2
    assert not bare.sent("response_vote"), moved("it votes for one that lacks entries")


def test_an_observer_follows_and_neither_votes_nor_campaigns(clock: Clock, tmp_path: Path) -> None:
    bare = Bare(clock, tmp_path, observer=True)
    for peer in (1, 2, 3):
        bare.ends["NodeConnected"](bare.nodes[peer])
    bare.append(1, 1, (1, 0), (NO_OP, 2, 1))
    assert [one["next_node_idx"] for one in bare.sent("next_node_idx")] == [3]
    bare.say(2, "request_vote", term=2, last_log_index=9, last_log_term=9)
    bare.say(1, "timeout_now", term=1)
    for _ in range(10):
        bare.tick(1.0)
    sent = [one[2]["type"] for one in bare.happened if one[0] == "send"]
    assert sent == ["next_node_idx"], moved("an observer votes or campaigns")


def test_an_observer_is_sent_the_log_and_not_counted(bare: Bare) -> None:
    bare.lead()
    bare.ends["ReadonlyNodeConnected"](bare.nodes[9])
    propose(bare, RAW, 1)
    assert [one["entries"] for one in bare.sent("append_entries") if one["to"] == 9][-1], moved(
        "an observer is not sent the log"
    )
    confirm(bare, 9, 3)
    assert bare.raft.raftCommitIndex == 1, moved("an observer counts for the commit")


def test_the_first_entry_of_a_term_is_the_librarys_own(bare: Bare) -> None:
    bare.lead()
    assert bare.entries[-1] == (b"\x01", 2, 1), moved("a leader's first entry is another")


def test_it_starts_no_thread_and_opens_no_descriptor(clock: Clock, tmp_path: Path) -> None:
    threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    kept = [Bare(clock, tmp_path) for _ in range(4)]
    for bare in kept:
        propose(bare, RAW, 1)
    assert threading.active_count() == threads, moved("it starts a thread")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors, moved("it opens a descriptor")


@pytest.mark.parametrize("version", ["0.3.15", "0.3.18", "1.0.0", "0.4.dev"])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    library.check()
    monkeypatch.setattr(library, "VERSION", version)
    with pytest.raises(
        library.Moved, match=rf"PySyncObj {version} is installed; Raft needs 0.3.16 or 0.3.17"
    ):
        library.check()


@pytest.mark.parametrize("name", ["createJournal", "PIPE_NOTIFIER_ENABLED"])
def test_a_version_without_a_name_that_is_needed_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(syncobj, name)
    with pytest.raises(library.Moved, match=rf"has no pysyncobj.syncobj.{name}, which Raft needs"):
        library.check()
