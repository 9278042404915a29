"""PySyncObj, behind a door: no other module knows of it.

It runs without a thread, a socket, a file of its own or a pickle: who holds it ticks it, hands it what peers
say, and carries what it says. It orders commands and never learns what they are. Every name and habit of it
that this leans on has a test in tests/consensus/raft/test_library.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pysyncobj.syncobj as syncobj
from pysyncobj.config import FAIL_REASON, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from .command import NO_OP
from .hooks import Journal, Log, Transport
from .messages import Append, AskVote, Entry, Next, TimeoutNow, Vote

FIRST: Final = (0, 3, 16)
BEYOND: Final = (0, 3, 18)
"""The versions that are tried: before them terms are not kept, and what comes after them may have moved."""
INSTALLED: Final = "installed"
"""An empty file: as long as it is there, the library asks where the state stands."""

_NEVER: Final = 1 << 60
_WHOLE: Final = (b"", True, True)
"""A snapshot in a single piece, without bytes: ours travels aside."""
_LEADER: Final = 2

# What it logs of failed dumps and cut logs is checked here, or not so.
logging.getLogger("pysyncobj").setLevel(logging.CRITICAL + 1)


class Moved(RuntimeError):
    """The library that is installed is not the one that this was written for."""


class Owner(Protocol):
    """Whom the library's messages are handed to, in the middle of a tick or of hear(): it may call up() and
    down() then, and nothing else."""

    def append(
        self, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        """An Append to a peer, but for its envelope."""
        ...

    def answer(self, peer: int, next: int, reset: bool, success: bool) -> None:
        """A Next to a peer, but for its envelope: if success, only once the entries are on disk."""
        ...

    def send(self, peer: int, message: AskVote | Vote | TimeoutNow) -> None:
        """A message as it is."""
        ...

    def lags(self, peer: int) -> None:
        """A peer needs entries that the log no longer has. Nothing goes to it until up()."""
        ...

    def placed(self, number: int, index: int, term: int) -> None:
        """The proposal of that number is in this leader's log."""
        ...

    def refused(self, number: int) -> None:
        """The proposal of that number is in no log, and never will be."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. period: between two signs of a leader's life. looking, following: the least and the most that
    a server waits for a leader, and for a sign of the one it has. fallback: that a leader waits for a
    majority."""

    period: float
    looking: tuple[float, float]
    following: tuple[float, float]
    fallback: float


class Raft:
    """One server's part, from where its state and its log stand."""

    def __init__(
        self,
        me: int,
        voters: Collection[int],
        observers: Collection[int],
        journal: Journal,
        owner: Owner,
        timing: Timing,
        applied: tuple[int, int],
        directory: Path,
    ) -> None:
        """applied: index and term of the last entry in the state, which the journal holds. directory: for an
        empty file. Raises Moved, OSError."""
        check()
        self.me = me
        self._owner = owner
        self._timing = timing
        self._voters = frozenset(voters) - {me}
        self._observers = frozenset(observers) - {me}
        self._nodes: dict[int, Any] = {peer: _Node(peer) for peer in {me, *voters, *observers}}
        self._company: set[int] = set()
        """Voters that are connected, as the library knows."""
        self._near: set[int] = set()
        """Observers that are connected. The library knows of them only while it leads: it takes them for
        company in which one may campaign."""
        self._state = 0
        self._heard = (-1, 0)
        """The last term of which a leader was heard, and that leader."""
        self._votes: tuple[int, set[int]] = (0, set())
        """A term, and who voted for this server in it: the library would count a vote twice."""
        self._applied = applied
        self._log = Log(journal, applied[0])
        self._transport = Transport(self._carry)
        file = directory / INSTALLED
        file.touch()
        conf = self._conf = _configuration(timing, str(file), self._turned, self._position)
        selves = self._nodes[me] if me in voters else None
        others = [self._nodes[peer] for peer in sorted(self._voters)]
        self._raft: Any = _make(selves, others, conf, self._transport, self._log)
        # The first tick of all only asks where the state stands.
        self.tick()
        self._expect(applied[0])

    @property
    def term(self) -> int:
        """The current term; a later one that this server has heard of counts."""
        return int(self._raft.raftCurrentTerm)

    @property
    def commit(self) -> int:
        """The index up to which entries are committed, as far as is known here."""
        return int(self._raft.raftCommitIndex)

    @property
    def applied(self) -> int:
        """The index up to which entries may be applied, once they are on this server's disk as well."""
        return int(self._raft.raftLastApplied)

    @property
    def leads(self) -> bool:
        """Whether this server leads the current term, as far as it knows."""
        return self._state == _LEADER

    @property
    def leader(self) -> int | None:
        """Who leads the current term, if that is known."""
        if self._state == _LEADER:
            return self.me
        term, leader = self._heard
        return leader if term == self.term else None

    @property
    def matched(self) -> dict[int, int]:
        """Up to which index the others have a leader's log."""
        status = self._raft.getStatus()
        found = {peer: status.get(f"match_idx_server_{peer}") for peer in self._voters | self._near}
        return {peer: index for peer, index in found.items() if index is not None}

    def tick(self) -> None:
        """Do what is due: commit, apply, take proposals, campaign. What is proposed and heard in one turn of
        the loop needs one tick behind it; an idle server, one every 20 ms or so."""
        self._raft.doTick()

    def propose(self, command: bytes, number: int) -> None:
        """Put a command into the log, if this server leads. The answer comes by placed() or refused(), in one
        of the next ticks, in the order of the calls."""
        asked = {"type": "apply_command", "command": command, "request_id": number}
        self._transport.received(self._nodes[self.me], asked)

    def hear(self, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        """What a peer said. Raises OSError, if a promise can't be kept."""
        if peer in self._voters:
            match message:
                case Append():
                    self._follow(peer, message.term, _append(message))
                case Next():
                    self._answered(peer, message)
                case AskVote(term, last, last_term):
                    asked = {"term": term, "last_log_index": last, "last_log_term": last_term}
                    self._tell(peer, "request_vote", asked)
                case Vote(term):
                    self._vote(peer, term)
                case TimeoutNow(term):
                    self._stand(peer, term)
        elif isinstance(message, Next) and peer in self._near:
            self._answered(peer, message)

    def installed(self, peer: int, term: int, index: int, entry_term: int) -> None:
        """The leader of that term has sent the state as of an entry, and it stands in the place of what was
        here; the journal begins there."""
        self._applied = index, entry_term
        self._follow(peer, term, {"commit_index": index, "serialized": _WHOLE})
        if self._heard == (term, peer):
            self._expect(index)

    def up(self, peer: int) -> None:
        """A peer is there, or may be sent to again."""
        if peer in self._voters:
            self._company.add(peer)
            self._transport.connected(self._nodes[peer])
        elif peer in self._observers and peer not in self._near:
            self._near.add(peer)
            if self.leads:
                self._transport.reader_connected(self._nodes[peer])

    def down(self, peer: int) -> None:
        """Nothing is sent to a peer until up()."""
        if peer in self._voters:
            self._company.discard(peer)
            self._transport.disconnected(self._nodes[peer])
        elif peer in self._near:
            self._near.remove(peer)
            if self.leads:
                self._transport.reader_disconnected(self._nodes[peer])

    def campaign(self) -> None:
        """The leader is gone: stand for election now, without waiting for the time to run out."""
        leader = self.leader
        if leader is not None and leader != self.me:
            self._stand(leader, self.term)

    def transfer(self, peer: int | None = None) -> bool:
        """Ask a peer to lead in this leader's place, by default one that has all of its log; whether there
        is such a one."""
        told: list[Any] = []
        self._raft.transferLeadership(
            None if peer is None else self._nodes[peer], lambda _, error: told.append(error)
        )
        return told == [FAIL_REASON.SUCCESS]

    def learn(self, term: int) -> None:
        """There is that term: whoever led an earlier one does not any more. Raises OSError, if it can't be
        promised."""
        # As a candidate says who can't be voted for.
        asked = {"term": term, "last_log_index": 0, "last_log_term": -1}
        self._transport.received(_Node(0), {"type": "request_vote", **asked})

    def step_down(self) -> None:
        """Lead no more, and go on to a new term."""
        self.learn(self.term + 1)

    def destroy(self) -> None:
        """Let go of it. It is not to be used any more."""
        self._raft.destroy()

    def _tell(self, peer: int, kind: str, message: Mapping[str, object]) -> None:
        self._transport.received(self._nodes[peer], {"type": kind, **message})

    def _stand(self, leader: int, term: int) -> None:
        # From here on the library takes no sign of life from a leader of this term, until it has stood:
        # so it must at once, or not at all.
        if self._company:
            self._tell(leader, "timeout_now", {"term": term})
            self.tick()

    def _follow(self, peer: int, term: int, message: Mapping[str, object]) -> None:
        if term < self.term:
            return
        self._heard = term, peer
        # It waits for the next sign of a leader from now on, longer than for one to appear.
        self._wait(self._timing.following)
        self._tell(peer, "append_entries", {"term": term, **message})
        self._wait(self._timing.looking)

    def _wait(self, between: tuple[float, float]) -> None:
        self._conf.raftMinTimeout, self._conf.raftMaxTimeout = between

    def _answered(self, peer: int, message: Next) -> None:
        end = self._log[-1][1] + 1
        if message.next > end and not message.reset:
            return
        answer = {"next_node_idx": min(message.next, end), "reset": message.reset, "success": message.success}
        self._tell(peer, "next_node_idx", answer)

    def _vote(self, peer: int, term: int) -> None:
        if term > self._votes[0]:
            self._votes = term, set()
        if term == self._votes[0] and peer not in self._votes[1]:
            self._votes[1].add(peer)
            self._tell(peer, "response_vote", {"term": term})

    def _carry(self, node: Any, message: dict[str, Any]) -> None:
        """What the library sends."""
        owner, peer = self._owner, int(node.number)
        match message:
            case {"type": "append_entries", "prevLogIdx": None}:
                # Behind its own log: an answer sets that right.
                pass
            case {"type": "append_entries", "prevLogIdx": prev, "prevLogTerm": term, "entries": entries}:
                owner.append(peer, message["term"], message["commit_index"], prev, term, entries)
            case {"type": "append_entries", "serialized": _}:
                self.down(peer)
                owner.lags(peer)
            case {"type": "next_node_idx", "next_node_idx": index, "reset": reset, "success": success}:
                owner.answer(peer, index, reset, success)
            case {"type": "request_vote", "term": term, "last_log_index": last, "last_log_term": last_term}:
                owner.send(peer, AskVote(term, last, last_term))
            case {"type": "response_vote", "term": term}:
                owner.send(peer, Vote(term))
            case {"type": "timeout_now", "term": term}:
                owner.send(peer, TimeoutNow(term))
            case {"type": "apply_command_response", "request_id": number, "log_idx": index, "log_term": term}:
                owner.placed(number, index, term)
            case {"type": "apply_command_response", "request_id": number, "error": _}:
                owner.refused(number)
            case _:
                raise Moved(f"PySyncObj {VERSION} sends {sorted(message)} as {message.get('type')!r}")

    def _turned(self, _: int, state: int) -> None:
        # In the middle of a tick: the state is not whole yet.
        before, self._state = self._state, state
        for peer in sorted(self._near):
            if state == _LEADER:
                self._transport.reader_connected(self._nodes[peer])
            elif before == _LEADER:
                self._transport.reader_disconnected(self._nodes[peer])

    def _position(self, _: str) -> tuple[Entry, Entry, list[object]]:
        """Where the state stands, in the words of a dump."""
        index, term = self._applied
        self._log.begins = 2
        return (NO_OP, index, term), (NO_OP, index - 1, term), []

    def _expect(self, applied: int) -> None:
        if self.applied != applied:
            raise Moved(f"PySyncObj {VERSION} goes on after {self.applied} where it should after {applied}")


def check() -> None:
    """Raises Moved, if the library that is installed is not one that this is tried with."""
    try:
        version = tuple(int(part) for part in VERSION.split("."))
    except ValueError:
        version = ()
    if not FIRST <= version < BEYOND:
        raise Moved(f"PySyncObj {VERSION} is installed; Raft needs 0.3.16 or 0.3.17")
    for name in ("createJournal", "PIPE_NOTIFIER_ENABLED"):
        if not hasattr(syncobj, name):
            raise Moved(f"PySyncObj {VERSION} has no pysyncobj.syncobj.{name}, which Raft needs")


def _make(me: Any, others: list[Any], conf: Any, transport: Transport, log: Log) -> Any:
    # A pipe for each, never closed, to wake a thread that it does not have here.
    syncobj.PIPE_NOTIFIER_ENABLED = False
    create, syncobj.createJournal = syncobj.createJournal, lambda _: log
    try:
        return syncobj.SyncObj(me, others, conf, transport=transport)
    finally:
        syncobj.createJournal = create


def _configuration(
    timing: Timing,
    file: str,
    turned: Callable[[int, int], None],
    position: Callable[[str], tuple[Entry, Entry, list[object]]],
) -> Any:
    low, high = timing.looking
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=False,
        appendEntriesPeriod=timing.period,
        # It would send the pickle of a command that is longer.
        appendEntriesBatchSizeBytes=_NEVER,
        commandsQueueSize=_NEVER,
        commandsWaitLeader=False,
        connectionTimeout=high,
        deserializer=position,
        dynamicMembershipChange=False,
        fullDumpFile=file,
        leaderFallbackTimeout=timing.fallback,
        logCompactionMinEntries=_NEVER,
        logCompactionMinTime=_NEVER,
        onStateChanged=turned,
        raftMinTimeout=low,
        raftMaxTimeout=high,
        serializer=_no_dump,
    )


def _no_dump(path: str, _: object) -> None:
    raise Moved(f"PySyncObj {VERSION} would write a dump to {path}")


def _append(message: Append) -> dict[str, object]:
    return {
        "commit_index": message.commit,
        "prevLogIdx": message.prev,
        "prevLogTerm": message.prev_term,
        "entries": message.entries,
    }


class _Node(Node):  # type: ignore[misc]
    """A server; sets of them keep their order from one process to the next."""

    def __init__(self, number: int) -> None:
        super().__init__(str(number), number=number)

    def __hash__(self) -> int:
        return int(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node) and self.number == other.number
