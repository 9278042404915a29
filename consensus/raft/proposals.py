"""What is proposed here, until it is in the log of whoever leads: in batches, each a command of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .command import Segment, pack
from .messages import AskBarrier, Forward, Refused

_BATCH: Final = 256 << 10
"""Bytes of transactions that a command has, more or less."""
_TXN: Final = 64
"""What one counts for beyond its bytes."""


class Proposals:
    """Implements waiters.Orders. leader: who takes proposals now. run: tells this server's from those before
    its last start. barriers: numbers that a leader has yet to ask the others for. refused: numbers of what
    was not taken and never will be."""

    def __init__(
        self, me: int, run: int, send: Callable[[int, Forward | AskBarrier | Refused], None]
    ) -> None:
        self.leader: int | None = None
        self.run = run
        self.barriers: list[int] = []
        self.refused: list[int] = []
        self._me = me
        self._send = send
        self._next = 1
        self._waiting: deque[tuple[Segment, int]] = deque()
        """With their sizes."""
        self._offered: dict[int, list[Segment]] = {}
        """By the numbers of their commands."""
        self._commands = 0

    def propose(self, txns: list[bytes]) -> Sequence[int]:
        """The numbers of these; the order of the calls is kept."""
        first = self._next
        self._next += len(txns)
        begin = size = 0
        for at, txn in enumerate(txns, 1):
            size += len(txn) + _TXN
            if size >= _BATCH or at == len(txns):
                batch = tuple(txns[begin:at])
                if self.leader == self._me:
                    self._waiting.append((Segment(self._me, self.run, first + begin, batch), size))
                elif self.leader is not None:
                    self._send(self.leader, Forward(self.run, first + begin, batch))
                else:
                    self.refused += range(first + begin, first + at)
                begin, size = at, 0
        return range(first, self._next)

    def barrier(self) -> int:
        """Its number."""
        number = self._next
        self._next += 1
        if self.leader == self._me:
            self.barriers.append(number)
        elif self.leader is not None:
            self._send(self.leader, AskBarrier(number))
        else:
            self.refused.append(number)
        return number

    def forwarded(self, peer: int, message: Forward) -> None:
        """A peer's proposals: into the next batch, or back."""
        if self.leader == self._me:
            size = sum([len(txn) + _TXN for txn in message.txns])
            self._waiting.append((Segment(peer, message.run, message.first, message.txns), size))
        else:
            self._send(peer, Refused(message.run, message.first, len(message.txns)))

    def returned(self, message: Refused) -> None:
        """What was forwarded is not taken."""
        if message.run == self.run:
            self.refused += range(message.first, min(message.first + message.count, self._next))

    def offer(self) -> tuple[bytes, int] | None:
        """The next command of all that waits, and its number; None if nothing waits."""
        if not self._waiting:
            return None
        segments = []
        room = _BATCH
        while self._waiting and room > 0:
            segment, size = self._waiting.popleft()
            segments.append(segment)
            room -= size
        self._commands += 1
        self._offered[self._commands] = segments
        return pack(segments), self._commands

    def placed(self, command: int) -> None:
        """It is in the log, and its fate that of the log."""
        del self._offered[command]

    def turned_down(self, command: int) -> None:
        """It is not, and never will be."""
        for segment in self._offered.pop(command):
            self._give_back(segment)

    def own(self, segments: Sequence[Segment], zxid: int) -> list[tuple[int, int]]:
        """(zxid, number) of those that were proposed here, in a command whose first transaction has zxid."""
        own: list[tuple[int, int]] = []
        for segment in segments:
            count = len(segment.txns)
            if segment.server == self._me and segment.run == self.run:
                numbers = range(segment.first, segment.first + count)
                own += zip(range(zxid, zxid + count), numbers, strict=True)
            zxid += count
        return own

    def stop(self) -> None:
        """This server does not lead any more: what waits goes back."""
        while self._waiting:
            self._give_back(self._waiting.popleft()[0])
        self.barriers.clear()

    def _give_back(self, segment: Segment) -> None:
        count = len(segment.txns)
        if segment.server == self._me:
            self.refused += range(segment.first, segment.first + count)
        else:
            self._send(segment.server, Refused(segment.run, segment.first, count))
