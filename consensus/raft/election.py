"""Whether there is a leader with a majority, as far as this server knows, and when it stands for election.

A leader serves, and so does who follows it, as long as a majority has confirmed of late that it knows of no
later one. Without a leader a server first asks who would vote for it (canvass.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..ensemble import Ensemble
from .canvass import Support
from .journal import Journal
from .library import Raft, Timing
from .messages import AskBarrier, Canvass, Message, Supported
from .peers import Peers
from .reads import SIGN, Reads

_NEVER: Final = float("-inf")


class Election:
    """Of one server's; now is its clock, in seconds."""

    def __init__(
        self,
        ensemble: Ensemble,
        journal: Journal,
        peers: Peers,
        reads: Reads,
        now: Callable[[], float],
        send: Callable[[int, Message], None],
    ) -> None:
        self._me = ensemble.me
        self._voters = ensemble.voters
        self._limit = ensemble.sync_limit
        self._journal = journal
        self._peers = peers
        self._reads = reads
        self._now = now
        self._send = send
        self._support = Support(ensemble.me, sorted(ensemble.voters), send)
        self._heard = 0.0
        """When the leader's last sign of life came."""
        self._asked = self._answered = _NEVER
        """When this server last asked its leader, maybe itself, for a barrier of its own, and did so with an
        answer."""

    def use(self, raft: Raft) -> None:
        """Whose elections these are."""
        self._raft = raft

    @property
    def leader(self) -> int | None:
        """Who leads, as long as it can be reached."""
        leader = self._raft.leader
        return leader if leader == self._me or leader in self._peers.links else None

    @property
    def led(self) -> bool:
        """Whether there is a leader, and not a silent one."""
        if self._raft.leads:
            return self._majority_near()
        silent = self._now() - self._heard
        return self.leader is not None and silent < self._limit / 2

    def sure(self) -> bool:
        """Whether this server and its leader, maybe itself, hear each other, and a majority has confirmed of
        late that it knows of no later one. Asks for that, when it is time to."""
        return self._leads() if self._raft.leads else self._follows()

    def heard(self) -> None:
        """The leader lives."""
        self._heard = self._now()

    def answered(self) -> None:
        """The barrier of this server's own is passed."""
        self._answered = self._asked

    def turned(self) -> None:
        """There is another leader, or none, or another term."""
        self._asked = self._answered = _NEVER
        if self.leader is not None:
            self._support.end()
        self.report()

    def report(self) -> None:
        """To the library who is there: with anybody there, it stands for election when its time is up."""
        raft, voters = self._raft, self._voters
        enough = raft.leads or self._support.stands(self._now())
        for peer, link in self._peers.links.items():
            if (enough or peer not in voters) and not link.lags and not link.paused:
                raft.up(peer)
            elif peer in voters:
                raft.down(peer)

    # candidates

    def canvass(self) -> None:
        """Ask who would vote for this server, if it may stand for election."""
        if self._me in self._voters and not self._raft.leads and not self.led:
            self._support.ask(self._journal.last.index, self._journal.last.term)

    def canvassed(self, peer: int, message: Canvass) -> None:
        """A peer asks that of this server."""
        last = self._journal.last
        # A leader that asks is none any more.
        led = self.led and peer != self.leader
        if not led and (message.last_term, message.last) >= (last.term, last.index):
            self._send(peer, Supported(message.round))

    def supported(self, peer: int, message: Supported) -> None:
        """A peer would vote for this server."""
        if not self.led and self._support.answered(peer, message.round, self._now()):
            self.report()
            self._raft.campaign()

    def preferred(self) -> None:
        """By the leader itself, to lead in its place."""
        self._support.granted(self._now())
        self.report()

    def _leads(self) -> bool:
        now = self._now()
        if not self._majority_near():
            self._asked = self._answered = _NEVER
            return False
        if now - self._asked > self._limit / 8:
            self._asked = now
            self._reads.ask(self._raft.term, self._journal.key_at(self._raft.commit), self._me, SIGN)
        return now - self._answered < self._limit

    def _follows(self) -> bool:
        now, leader = self._now(), self.leader
        if leader is None or now - self._heard > self._limit:
            return False
        if now - self._asked > self._limit / 8:
            self._asked = now
            self._send(leader, AskBarrier(SIGN))
        return now - self._answered < self._limit

    def _majority_near(self) -> bool:
        near = sum([peer in self._voters for peer in (self._me, *self._peers.links)])
        return 2 * near > len(self._voters)


def rank_of(ensemble: Ensemble) -> int:
    """So many voters come before this server: the greatest id first."""
    return sum([voter > ensemble.me for voter in ensemble.voters])


def timing_of(ensemble: Ensemble) -> Timing:
    """How long this server waits for what."""
    sync = ensemble.sync_limit
    if len(ensemble.voters) == 1:
        return Timing(0.005, (0.02, 0.03), (0.02, 0.03), sync)
    # One after the other: two who ask at the same time may each have too few votes.
    low = 0.16 + 0.1 * rank_of(ensemble)
    return Timing(0.05, (low, low + 0.06), (sync / 2, sync), sync)
