"""What znoded sets right about the library, not set right; and bugs of kinds that real servers had.

Not in the classes that are tried: where those are compiled, nothing can take the place of a method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final, cast
from unittest import mock

from znoded.consensus.raft.hooks import Log
from znoded.consensus.raft.journal import Journal
from znoded.consensus.raft.keeper import Promises
from znoded.consensus.raft.messages import Append, AskVote, Entry, Message, Next, TimeoutNow, Vote

from .disk import SimKeeper
from .node import Node


def _no_gate() -> AbstractContextManager[object]:
    answer = Node.answer

    def hasty(self: Node, peer: int, next: int, reset: bool, success: bool) -> None:
        """An answer does not wait until the entries are on disk."""
        durable, self.journal.durable = self.journal.durable, self.journal.last.index
        answer(self, peer, next, reset, success)
        self.journal.durable = durable

    return mock.patch.object(Node, "answer", hasty)


def _no_hold() -> AbstractContextManager[object]:
    append, carry = Node.append, Node.carry
    hear, to_library = Node.hear, Node.to_library
    heard: list[Next] = []
    commits: list[int] = []

    def remember(self: Node, peer: int, message: Message) -> None:
        heard[:] = [message] if isinstance(message, Next) else []
        hear(self, peer, message)

    def hasty(self: Node, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        """A leader counts its own log before that is on disk."""
        if isinstance(message, Next) and heard and not message.reset and message.round == heard[0].round:
            message = heard[0]
        to_library(self, peer, message)

    def committed(
        self: Node, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        commits[:] = [commit]
        append(self, peer, term, commit, prev, prev_term, entries)

    def tell(self: Node, peer: int, message: Message) -> None:
        """And tells the others that they are committed."""
        if isinstance(message, Append):
            message = replace(message, commit=commits[0])
        carry(self, peer, message)

    return _all(
        mock.patch.object(Node, "hear", remember),
        mock.patch.object(Node, "to_library", hasty),
        mock.patch.object(Node, "append", committed),
        mock.patch.object(Node, "carry", tell),
    )


def _no_cap() -> AbstractContextManager[object]:
    hear, to_library = Node.hear, Node.to_library
    commits: dict[tuple[int, int, int], int] = {}

    def remember(self: Node, peer: int, message: Message) -> None:
        if isinstance(message, Append):
            commits[self.sid, peer, message.round] = message.commit
        hear(self, peer, message)

    def believing(self: Node, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        """The leader's commit counts for whatever is in the log here."""
        if isinstance(message, Append):
            message = replace(message, commit=commits[self.sid, peer, message.round])
        to_library(self, peer, message)

    return _all(mock.patch.object(Node, "hear", remember), mock.patch.object(Node, "to_library", believing))


def _no_trim() -> AbstractContextManager[object]:
    append, carry = Node.append, Node.carry
    whole: list[tuple[int, int, tuple[Entry, ...]]] = []

    def remember(
        self: Node, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        whole[:] = [(prev, prev_term, tuple(entries))]
        append(self, peer, term, commit, prev, prev_term, entries)

    def again(self: Node, peer: int, message: Message) -> None:
        """What is under way already is sent once more."""
        if isinstance(message, Append):
            prev, prev_term, entries = whole[0]
            message = replace(message, prev=prev, prev_term=prev_term, entries=entries)
        carry(self, peer, message)

    return _all(mock.patch.object(Node, "append", remember), mock.patch.object(Node, "carry", again))


def _no_keep() -> AbstractContextManager[object]:
    def cut(self: Log, position: int) -> None:
        """What follows an append is cut off and taken again from there, though it was acknowledged."""
        journal = cast(Journal, self._journal)
        node: Node = cast(Any, journal._added).__self__
        after = max(journal.base.index + position - 1, node.core.delivered)
        if after < journal.last.index:
            key = journal.key_at(after)
            node.disk.log.truncate(key)
            journal.truncate(after)
            while node._tail and node._tail[-1][0] > key:
                node._tail.pop()

    return mock.patch.object(Log, "deleteEntriesFrom", cut)


def _no_round() -> AbstractContextManager[object]:
    hear = Node.hear

    def stale(self: Node, peer: int, message: Message) -> None:
        """Whatever sets the leader back does, though what it asks for is under way."""
        if isinstance(message, Next):
            message = replace(message, round=1 << 60)
        hear(self, peer, message)

    return mock.patch.object(Node, "hear", stale)


def _no_term() -> AbstractContextManager[object]:
    hear = Node.hear

    def blind(self: Node, peer: int, message: Message) -> None:
        """An answer to an earlier leadership counts as one to this."""
        if isinstance(message, Next) and self.raft is not None:
            message = replace(message, term=self.raft.term)
        hear(self, peer, message)

    return mock.patch.object(Node, "hear", blind)


def _forgotten_promises() -> AbstractContextManager[object]:
    def forget(self: SimKeeper, promises: Promises) -> None:
        self.promises = replace(promises, vote=None)

    return mock.patch.object(SimKeeper, "save", forget)


def _old_leaders_pauses() -> AbstractContextManager[object]:
    return mock.patch.object(Node, "end_leading", lambda self: None)


@contextmanager
def _all(*faults: AbstractContextManager[object]) -> Iterator[None]:
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault)
        yield


FAULTS: Final[dict[str, Callable[[], AbstractContextManager[object]]]] = {
    "gate": _no_gate,
    "hold": _no_hold,
    "cap": _no_cap,
    "keep-trim-cap": lambda: _all(_no_keep(), _no_trim(), _no_cap()),
    "round": _no_round,
    "term": _no_term,
    "forgotten-promises": _forgotten_promises,
    "old-leaders-pauses": _old_leaders_pauses,
}
"""What makes each: it is there within the context."""

RARE: Final = {"old-leaders-pauses": 790, "round": 330}
"""Seeds near which those are found that need several things to go wrong in turn."""

SCRIPTED: Final = frozenset(("cap", "term"))
"""Those that chance finds in thousands of runs, or not at all: test_scripted.py has what leads up to them."""

STUCK: Final = frozenset(("old-leaders-pauses", "round"))
"""Those that may break no law, but leave an ensemble that gets nowhere."""
