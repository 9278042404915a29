"""What goes between the library and its peers: held back until it is true, cut to what is new.

The library answers before anything is on disk, counts its own log before that is, sends everything under way
again at each answer, puts no term on an answer and takes the leader's word for how far its own log agrees.
Here, in order of the message's way:

- an append's entries that this leader has sent over this connection are cut off; its commit index is what is
  on the leader's own disk at the most; it gets a round and the cluster;
- on arrival, entries of another term are cut off the log, before the library hears of it; the commit index
  counts as far as the append shows that both logs agree;
- an answer that entries are there waits until they are on disk, and what follows it waits behind it; one that
  sets the leader back does so by a whole term, and not for what was sent before the last such one;
- on arrival, an answer of another term is dropped, and one that is ahead of the leader's own disk counts as a
  sign of life until that is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .command import Malformed, last_zxid
from .journal import Journal
from .library import Raft
from .messages import Append, AskVote, Entry, Message, Next, TimeoutNow, Vote
from .proposals import Proposals

_WINDOW: Final = 4 << 20
_SNAPSHOT: Final = 1
"""No log holds that entry: to have it next is to have a snapshot."""


class Link:
    """A peer, as long as it is connected. matched: up to this index it has said that it has the log."""

    def __init__(self) -> None:
        self.term = 0
        self.sent = 0
        """Up to this index entries were sent in that term."""
        self.rewound = 0
        """Answers to earlier rounds set nothing back."""
        self.held: Next | None = None
        """Its greatest answer, ahead of this server's disk."""
        self.waiting: deque[tuple[int, Next]] = deque()
        """Answers to it, and the index up to which each promises entries; 0 if none."""
        self.under_way: deque[tuple[int, int]] = deque()
        """(index, bytes up to there since the last one)."""
        self.size = 0
        """Bytes under way."""
        self.paused = False
        self.notice: Append | None = None
        """That is to go to it, without entries."""
        self.lags = False
        """It is to get a snapshot, or is getting one."""
        self.matched = 0


class Peers:
    """Implements library.Owner. links: by peer, those that are connected. laggards: who needs a snapshot.
    window: bytes of entries under way to a peer, after which it must answer before more is sent. observers
    may follow, and count for nothing."""

    def __init__(
        self,
        journal: Journal,
        proposals: Proposals,
        cluster: Callable[[], bytes],
        delivered: Callable[[], int],
        send: Callable[[int, Message], None],
    ) -> None:
        """delivered: the last index that must stay as it is."""
        self.links: dict[int, Link] = {}
        self.laggards: list[int] = []
        self.window = _WINDOW
        self._journal = journal
        self._proposals = proposals
        self._cluster = cluster
        self._delivered = delivered
        self._send = send
        self._round = 0
        self._hearing = 0
        """The round of the append that the library answers now."""
        self._parted = False
        """That append comes before this log begins."""

    def use(self, raft: Raft) -> None:
        """Whose peers these are."""
        self._raft = raft

    def connected(self, peer: int) -> None:
        """Nothing was sent yet."""
        self.links[peer] = Link()

    def disconnected(self, peer: int) -> None:
        """Whatever was under way is lost."""
        self.links.pop(peer, None)
        if peer in self.laggards:
            self.laggards.remove(peer)

    def end_leading(self) -> None:
        """What was under way, and who waited for what, belongs to a leadership that is over."""
        self.laggards.clear()
        for link in self.links.values():
            link.notice = None
            link.paused = link.lags = False
            link.under_way.clear()
            link.size = link.matched = 0

    # from the library

    def append(
        self, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        """An Append to a peer."""
        link = self.links.get(peer)
        if link is None:
            return
        had = link.sent if link.term == term else 0
        if had > prev:
            entries = entries[had - prev :]
            prev, prev_term = had, self._journal.term_at(had) or 0
        if link.term != term or prev + len(entries) > had:
            link.term, link.sent = term, prev + len(entries)
        self._round += 1
        commit = min(commit, self._journal.durable)
        whole = Append(term, self._round, commit, prev, prev_term, tuple(entries), self._cluster())
        if not entries:
            link.notice = whole
            return
        link.notice = None
        size = sum([len(command) for command, _, _ in entries])
        link.under_way.append((prev + len(entries), size))
        link.size += size
        if link.size > self.window:
            link.paused = True
            self._raft.down(peer)
        self._send(peer, whole)

    def flush(self) -> None:
        """After a tick: send what tells of no entries, unless an append that does has said as much since."""
        for peer, link in self.links.items():
            if link.notice is not None:
                self._send(peer, link.notice)
                link.notice = None

    def show_life(self) -> None:
        """At every tick: to those who would hear nothing while a disk is slow, or the way to it."""
        raft, journal = self._raft, self._journal
        for peer, link in self.links.items():
            if link.paused and raft.leads:
                self._round += 1
                commit, term = min(raft.commit, journal.durable), journal.term_at(link.sent) or 0
                self._send(peer, Append(raft.term, self._round, commit, link.sent, term, (), self._cluster()))
            if link.waiting:
                self._send(peer, Next(raft.term, 0, 1, False, False))

    def answer(self, peer: int, next: int, reset: bool, success: bool) -> None:
        """A Next to a peer, once it is true."""
        link = self.links.get(peer)
        if link is None:
            return
        if reset:
            next = self._set_back(next)
        message = Next(self._raft.term, self._hearing, next, reset, success)
        promised = next - 1 if success else 0
        if link.waiting or promised > self._journal.durable:
            link.waiting.append((promised, message))
        else:
            self._send(peer, message)

    def send(self, peer: int, message: AskVote | Vote | TimeoutNow) -> None:
        """Whatever promises no entries."""
        self._send(peer, message)

    def lags(self, peer: int) -> None:
        """Its next entries are no longer in the log."""
        link = self.links.get(peer)
        if link is not None and not link.lags:
            link.lags = True
            self.laggards.append(peer)
            # Else it might never have heard who sends it a snapshot.
            self._round += 1
            last = self._journal.last
            sign = Append(self._raft.term, self._round, 0, last.index, last.term, (), self._cluster())
            self._send(peer, sign)

    def placed(self, number: int, index: int, term: int) -> None:
        """A command is in the log."""
        self._proposals.placed(number)

    def refused(self, number: int) -> None:
        """It will never be."""
        self._proposals.turned_down(number)

    # to the library

    def conflict(self, append: Append) -> int | None:
        """The index after which the log is to be cut before the library hears this; None, if it is not.
        Raises Malformed."""
        journal = self._journal
        if append.term < self._raft.term or journal.term_at(append.prev) != append.prev_term:
            return None
        last = journal.last.index
        key = 0
        for command, index, term in append.entries:
            if index <= last:
                if journal.term_at(index) == term:
                    continue
                if index <= self._delivered():
                    raise Malformed(f"entry {index} of term {term} is committed here with another one")
                return index - 1
            # What is new must fit: the library could not go back any more.
            key = last_zxid(command, term, key or journal.last.key)
        return None

    def appended(self, peer: int, append: Append) -> None:
        """An Append that conflicts with nothing."""
        if append.term < self._raft.term:
            # Its sender would lead on and never know why this server does not follow. Asked for a vote that
            # it can't give, it learns of the later term, and leads that or one behind it.
            self._send(peer, AskVote(self._raft.term, 0, 0))
            return
        self._hearing = append.round
        self._parted = append.prev < self._journal.base.index
        agreed = append.prev + len(append.entries)
        if append.commit > agreed:
            append = Append(
                append.term,
                append.round,
                agreed,
                append.prev,
                append.prev_term,
                append.entries,
                append.cluster,
            )
        self._raft.hear(peer, append)

    def answered(self, peer: int, message: Next) -> None:
        """A Next to this leader."""
        link = self.links.get(peer)
        if link is None or message.term != self._raft.term:
            return
        if message.reset:
            if message.round < link.rewound:
                message = _sign_of_life(message)
            else:
                link.rewound = self._round + 1
                link.sent = link.size = 0
                link.under_way.clear()
        elif message.success:
            link.matched = max(link.matched, message.next - 1)
            while link.under_way and link.under_way[0][0] < message.next:
                link.size -= link.under_way.popleft()[1]
            if link.lags:
                # It has its snapshot.
                link.lags = False
                self._raft.up(peer)
            if message.next - 1 > self._journal.durable:
                if link.held is None or link.held.term != message.term or link.held.next < message.next:
                    link.held = message
                message = _sign_of_life(message)
        if link.paused and link.size <= self.window // 2:
            link.paused = False
            self._raft.up(peer)
        self._raft.hear(peer, message)

    def synced(self) -> None:
        """More is on disk: what waited for that goes on."""
        durable = self._journal.durable
        for peer, link in list(self.links.items()):
            waiting = link.waiting
            while waiting and waiting[0][0] <= durable:
                answer = waiting.popleft()[1]
                if answer.term == self._raft.term:
                    # Else the log may be another one since.
                    self._send(peer, answer)
            held = link.held
            if held is not None and held.next - 1 <= durable:
                link.held = None
                if held.term == self._raft.term:
                    self._raft.hear(peer, held)

    def _set_back(self, next: int) -> int:
        """By a whole term at once: the leader would come by one entry at a time."""
        if self._parted:
            # What is committed is in the leader's log, so this one's was begun by a conversion, with an epoch
            # that the leader has nothing of: a snapshot is what they can agree on.
            return _SNAPSHOT
        term = self._journal.term_at(next)
        if term is None:
            return next
        return max(min(next, self._journal.first_of(term)), self._delivered() + 1)


def _sign_of_life(message: Next) -> Next:
    return Next(message.term, message.round, message.next, False, False)
