"""Fast leader election: servers that look for a leader agree on the one with the freshest log.

After ZooKeeper's FastLeaderElection. It decides nothing but whom to try: that a leader may serve is
settled by the promises of a majority, in discovery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .messages import Notification, Vote

_NOBODY: Final = Vote(-1, -1, -1)
"""An observer's vote: worse than any."""


class Election:
    """One server's part in it. send(to or None for all voters, notification) says what it says.

    round: how many elections there were (logicalclock); those who lag behind catch up.
    elected: who is to lead; None while that is open.
    """

    def __init__(
        self,
        me: int,
        voters: frozenset[int],
        send: Callable[[int | None, Notification], None],
        settle: int,
        connected: set[int],
    ) -> None:
        """settle: ticks to wait, once a majority agrees, for better votes (finalizeWait). connected: the
        peers that can be heard now, kept by whoever made this."""
        self._me = me
        self._voters = voters
        self._send = send
        self._settle = settle
        self._connected = connected
        self.round = 0
        self.vote = _NOBODY
        self.elected: int | None = None
        self._own = _NOBODY
        self._votes: dict[int, Vote] = {}
        self._others: dict[int, Notification] = {}
        """What those say who have left the election."""
        self._agreed = 0
        """Ticks since a majority agrees."""
        self._silent = 0
        self._patience = settle

    def begin(self, epoch: int, zxid: int) -> None:
        """Look for a leader, with a log of that epoch and last zxid."""
        self.round += 1
        self._own = Vote(epoch, zxid, self._me) if self._me in self._voters else _NOBODY
        self.vote = self._own
        self.elected = None
        self._votes.clear()
        self._others.clear()
        self._agreed = self._silent = 0
        self._patience = 2 * self._settle
        self._tell()
        self._count()

    def tick(self) -> None:
        """Repeat what was said to whoever did not hear it, less and less often; decide after a while."""
        if self.elected is not None:
            return
        if self._agreed:
            self._agreed += 1
            if self._agreed > self._settle or self._voters & self._connected <= self._supporters():
                # All who can be heard agree: there is nobody to wait for.
                self.elected = self.vote.leader
                return
        self._silent += 1
        if self._silent >= self._patience:
            self._patience = min(2 * self._patience, 64 * self._settle)
            self._tell()

    def heard(self, peer: int, said: Notification) -> None:
        """A peer's vote came while this server looks for a leader."""
        if self.elected is not None or peer not in self._voters:
            return
        if said.active:
            self._heard_active(peer, said)
            return
        if said.round < self.round:
            self._send(peer, self.notification())  # it catches up
            return
        if said.round > self.round:
            self.round = said.round
            self._votes.clear()
            self._adopt(max(said.vote, self._own))
        elif said.vote > self.vote:
            self._adopt(said.vote)
        self._votes[peer] = said.vote
        self._count()

    def notification(self, *, active: bool = False, leading: bool = False) -> Notification:
        """What this server has to say."""
        return Notification(self.round, self.vote, active, leading)

    def _heard_active(self, peer: int, said: Notification) -> None:
        """Join those who have a leader already, if that makes a majority and the leader says so itself."""
        self._others[peer] = said
        leader = said.vote.leader
        supporters = {one for one, other in self._others.items() if other.vote.leader == leader}
        witness = self._others.get(leader)
        if witness is not None and witness.leading and self._is_majority(supporters | {self._me}):
            self.round = witness.round
            self.vote = witness.vote
            self.elected = leader

    def _adopt(self, vote: Vote) -> None:
        self.vote = vote
        self._agreed = 0
        self._tell()

    def _tell(self) -> None:
        self._silent = 0
        self._send(None, self.notification())

    def _count(self) -> None:
        supporters = self._supporters()
        if not self._is_majority(supporters):
            self._agreed = 0
        elif supporters >= self._voters:
            self.elected = self.vote.leader  # nobody is left who could know better
        else:
            self._agreed = max(self._agreed, 1)

    def _supporters(self) -> set[int]:
        supporters = {peer for peer, vote in self._votes.items() if vote == self.vote}
        if self._me in self._voters:
            supporters.add(self._me)
        return supporters

    def _is_majority(self, servers: set[int]) -> bool:
        return 2 * len(servers & self._voters) > len(self._voters)
