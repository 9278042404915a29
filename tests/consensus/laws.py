"""What must hold in every run of an ensemble, whatever happens and whoever puts it into order.

Junqueira, Reed, Serafini: Zab (DSN 2011), section III: integrity, total order, agreement, local and global
primary order, primary integrity. ZooKeeper's TLA+ specification of the protocol (zookeeper-specifications,
Zab.tla) names them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .told import Record, show


class Broken(AssertionError):
    """An invariant does not hold."""


class Laws:
    """history: everything committed, in order. on_disk(zxid, txn): the voters on whose disks it is;
    logged_at(server, zxid): whether it is in that server's log or state, synced or not."""

    def __init__(
        self,
        voters: int,
        on_disk: Callable[[Record], list[int]],
        held_by: Callable[[int, int], bool],
    ) -> None:
        self.history: list[Record] = []
        self.established: dict[int, tuple[int, int]] = {}
        """Epoch → who leads it, and how much was committed anywhere by then."""
        self._voters = voters
        self._on_disk = on_disk
        self._held_by = held_by
        self._txns: dict[int, bytes] = {}
        self._committed: set[int] = set()
        self._answered: dict[tuple[int, int], int] = {}

    def given(self, zxid: int) -> bytes:
        """A transaction that was proposed before the run."""
        return self._txns.setdefault(zxid, show(zxid).encode())

    def logged(self, sid: int, record: Record, leads: bool) -> None:
        """Integrity and primary order: a zxid stands for one transaction, which its epoch's leader made.
        Primary integrity: that leader then holds all that was ever committed."""
        zxid, txn = record
        if zxid not in self._txns:
            if not leads:
                raise Broken(f"{show(zxid)} is from nowhere: server {sid} does not lead its epoch")
            self._txns[zxid] = txn
        elif self._txns[zxid] != txn:
            raise Broken(f"{show(zxid)} is {txn!r} and {self._txns[zxid]!r}")

    def answers(self, sid: int, asked: dict[int, bytes], zxid: int, number: int) -> None:
        """A client is told the result of what it asked; what one server's clients ask keeps its order."""
        txn = asked.pop(number, None)
        if txn is not None and self._txns.get(zxid) != txn:
            raise Broken(f"server {sid}: number {number} is not the transaction {show(zxid)}")

    def applied(self, sid: int, at: int, record: Record) -> None:
        """Agreement and total order: each applies a part of the one history, from its beginning, once.
        And what is applied is on the disks of a majority."""
        if at < len(self.history):
            if self.history[at] != record:
                raise Broken(f"server {sid} applies {show(record[0])} for {show(self.history[at][0])}")
            return
        if self.history and record[0] <= self.history[-1][0]:
            raise Broken(f"{show(record[0])} is committed behind {show(self.history[-1][0])}")
        self.history.append(record)
        self._committed.add(record[0])
        holders = self._on_disk(record)
        if 2 * len(holders) <= self._voters:
            raise Broken(f"{show(record[0])} is applied, and on disk only at {holders}")

    def restored(self, sid: int, state: Mapping[int, bytes]) -> None:
        """A snapshot holds a first part of the history."""
        for at, record in enumerate(state.items()):
            if at >= len(self.history) or self.history[at] != record:
                raise Broken(f"server {sid} is given a snapshot with {show(record[0])}")

    def forgets(self, sid: int, zxids: Iterable[int]) -> None:
        """What is committed is never dropped."""
        for zxid in zxids:
            if zxid in self._committed:
                raise Broken(f"server {sid} drops {show(zxid)}, which is committed")

    def serves(self, sid: int, epoch: int, applied: int) -> None:
        """Who serves an epoch has applied all that was committed before it."""
        before = self.established[epoch][1] if epoch in self.established else 0
        if applied < before:
            raise Broken(
                f"server {sid} serves epoch {epoch} with {show(applied)}, {show(before)} was committed before"
            )

    def leads(self, sid: int, epoch: int) -> None:
        """One leader an epoch, and it holds all that was committed when it began."""
        if epoch not in self.established:
            self.established[epoch] = sid, self.history[-1][0] if self.history else 0
            for zxid, _ in self.history:
                if not self._held_by(sid, zxid):
                    raise Broken(f"leader {sid} of epoch {epoch} lacks {show(zxid)}")
        elif self.established[epoch][0] != sid:
            raise Broken(f"epoch {epoch} has two leaders")
