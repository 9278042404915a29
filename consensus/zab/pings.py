"""A leader's pings: signs of life, and by their answers the proof that it leads, for which barriers wait."""

from __future__ import annotations

from collections import deque

from .messages import Barrier, Ping
from .server import Server, majority
from .streams import Learner, Streams


class Pings:
    """pending: so many barriers wait for a majority's answers."""

    def __init__(self, server: Server, learners: dict[int, Learner], streams: Streams) -> None:
        self._server = server
        self._learners = learners
        self._streams = streams
        self._round = 0
        self._barriers: deque[tuple[int, int, int, int]] = deque()
        """(round, learner, its number, zxid)."""

    @property
    def pending(self) -> int:
        return len(self._barriers)

    def ping(self) -> None:
        """A new round."""
        self._round += 1
        for sid, learner in self._learners.items():
            self._server.send(sid, Ping(learner.link, self._round, self._streams.tell(learner)))

    def barrier(self, sid: int, number: int) -> None:
        """What is committed now, a learner or this server itself must have applied: if this server leads
        still, as answers to a later ping show."""
        self._barriers.append((self._round + 1, sid, number, self._server.commit))
        self.ping()
        self._pass()

    def answered(self, learner: Learner, round_: int) -> None:
        """All up to that round."""
        learner.ponged = max(learner.ponged, round_)
        self._pass()

    def _pass(self) -> None:
        server = self._server
        pongs = [learner.ponged for sid, learner in self._learners.items() if sid in server.voters]
        while self._barriers:
            round_, sid, number, zxid = self._barriers[0]
            if not majority(1 + sum(pong >= round_ for pong in pongs), server.voters):
                break
            self._barriers.popleft()
            if sid == server.me:
                server.ready.barriers.append((number, zxid))
            elif sid in self._learners:
                server.send(sid, Barrier(self._learners[sid].link, number, zxid))
