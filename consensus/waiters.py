"""Who waits on this server for a proposal or a barrier, from the asking until it is passed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from .contract import Meter, Waiter


class Orders(Protocol):
    """Whatever puts in order what is proposed here; its numbers are its own, and none comes twice."""

    def propose(self, txns: list[bytes]) -> Sequence[int]:
        """The numbers of these, in rising order."""
        ...

    def barrier(self) -> int:
        """Its number."""
        ...


class Waiters:
    """Each waits in one place: for its turn with what orders, then by its number there, then by zxid."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._proposals: list[tuple[bytes, Waiter]] = []
        self._asking: list[Waiter] = []
        self._numbered: dict[int, Waiter] = {}
        """Proposals that have no zxid yet, and barriers."""
        self._ordered: dict[int, Waiter] = {}
        self._barriers: deque[tuple[int, Waiter]] = deque()
        self._handed: deque[tuple[int, float]] = deque()
        self._timed: deque[tuple[int, float]] = deque()
        """(last number of a batch, then its zxid; when the batch had its turn)."""

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Into the next batch."""
        self._proposals.append((txn, waiter))

    def ask(self, waiter: Waiter) -> None:
        """For a barrier."""
        self._asking.append(waiter)

    def hand_to(self, orders: Orders) -> None:
        """Its turn: what was proposed since its last one is a batch."""
        if self._proposals:
            batch, self._proposals = self._proposals, []
            numbers = orders.propose([txn for txn, _ in batch])
            self._numbered.update(zip(numbers, (waiter for _, waiter in batch), strict=True))
            self._handed.append((numbers[-1], monotonic()))
        if self._asking:
            asking, self._asking = self._asking, []
            for waiter in asking:
                self._numbered[orders.barrier()] = waiter

    def ordered(self, own: Sequence[tuple[int, int]]) -> None:
        """(zxid, number) of proposals."""
        for zxid, number in own:
            waiter = self._numbered.pop(number, None)
            if waiter is not None:
                self._ordered[zxid] = waiter
            while self._handed and self._handed[0][0] <= number:
                last, began = self._handed.popleft()
                if last == number:  # else it was refused
                    self._timed.append((zxid, began))

    def placed(self, barriers: Sequence[tuple[int, int]]) -> None:
        """(number, zxid) of barriers: each is passed once that is applied."""
        for number, zxid in barriers:
            waiter = self._numbered.pop(number, None)
            if waiter is not None:
                self._barriers.append((zxid, waiter))

    def refused(self, numbers: Sequence[int]) -> list[Waiter]:
        """Those whose proposals or barriers these were; they wait no more."""
        return [self._numbered.pop(number) for number in numbers if number in self._numbered]

    def of(self, zxid: int) -> Waiter | None:
        """Whoever waits for that transaction, and gets it now."""
        return self._ordered.pop(zxid, None) if self._ordered else None

    def reached(self, applied: int) -> list[Waiter]:
        """Those whose barriers are passed; they wait no more."""
        while self._timed and self._timed[0][0] <= applied:
            self._meter.passed(monotonic() - self._timed.popleft()[1])
        passed = []
        while self._barriers and self._barriers[0][0] <= applied:
            passed.append(self._barriers.popleft()[1])
        return passed

    def drop(self) -> list[Waiter]:
        """All of them: nobody waits any more."""
        dropped = [
            *self._ordered.values(),
            *self._numbered.values(),
            *(waiter for _, waiter in self._barriers),
            *(waiter for _, waiter in self._proposals),
            *self._asking,
        ]
        self._ordered.clear()
        self._numbered.clear()
        self._barriers.clear()
        self._proposals.clear()
        self._asking.clear()
        self._handed.clear()
        self._timed.clear()
        return dropped
