"""One simulated server: the core, a disk that forgets what was not synced, and the state above.

It does what consensus/zab/driver.py does, in its order; what takes time there is a step of its own here,
between which anything may happen: a sync and hearing of it, sending a snapshot, putting one in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from znoded.consensus.zab.core import Core
from znoded.consensus.zab.history import History, epoch_of
from znoded.consensus.zab.messages import Message, Record
from znoded.consensus.zab.ready import Promises, Ready
from znoded.consensus.zab.server import Limits, Phase

from ..laws import Broken
from ..told import Piece, show
from ..world import Network

LIMITS: Final = Limits(init=40, sync=20, reach=10, ping=4, settle=4, zxids=25)
_READ: Final = 3
"""Records that a learner is read from the log at a time: few, so that it takes several turns."""


@dataclass(slots=True)
class Disk:
    """What a crash leaves: all but what waits to be synced, of which it leaves some."""

    promises: Promises
    log: dict[int, bytes] = field(default_factory=dict)
    begins: int = 0
    waiting: dict[int, bytes] = field(default_factory=dict)
    flushed: dict[int, bytes] = field(default_factory=dict)
    """The engine's state: every transaction in it, in order."""

    @property
    def last(self) -> int:
        return last(self.log) or self.begins

    def restart(self, after: int) -> None:
        self.log.clear()
        self.waiting.clear()
        self.begins = after


def last(records: dict[int, bytes]) -> int:
    return next(reversed(records), 0)


class Node:
    """starts: how often it was started. slow: its disk is."""

    def __init__(self, world: Network, sid: int) -> None:
        self.world = world
        self.sid = sid
        self.disk = Disk(Promises(cluster=sid.to_bytes(16)))
        self.core: Core | None = None
        self.applied: dict[int, bytes] = {}
        self.asked: dict[int, bytes] = {}
        self.barriers: dict[int, int] = {}
        """number → how much was committed anywhere when it was asked."""
        self.starts = 0
        self.slow = False
        self.untold = False
        """A sync has ended, and the core was not told."""
        self.told_as: int | None = None
        """What it will be told instead of the truth: a planted fault."""
        self.incoming: list[Piece] = []
        self.steps: list[Callable[[], None]] = []
        """That are left of putting a snapshot in place."""
        self.held: list[tuple[int, Message]] = []
        self.senders: dict[int, list[Piece]] = {}
        self._served = False
        self._serve_at: tuple[int, int] | None = None
        """The core serves, since an epoch: it itself does, once so much is applied."""

    @property
    def running(self) -> bool:
        return self.core is not None

    @property
    def serving(self) -> bool:
        return self.core is not None and self.core.serving and self._served

    @property
    def rebuilding(self) -> bool:
        return bool(self.steps)

    @property
    def busy(self) -> bool:
        return bool(self.steps or self.senders)

    def start(self) -> None:
        disk = self.disk
        self.starts += 1
        done = last(disk.flushed)
        if done > disk.begins and done not in disk.log:
            disk.restart(done)  # a snapshot was being put in place
        self.applied = dict(disk.flushed)
        self.core = Core(
            self.sid,
            self.world.voters,
            self.world.all,
            LIMITS,
            disk.promises,
            begins=disk.begins,
            last=disk.last,
            applied=done,
            link=self.starts << 20,
        )
        self.work()

    def crash(self) -> None:
        self.core = None
        self.untold = False
        for memory in (self.incoming, self.steps, self.held, self.senders, self.asked, self.barriers):
            memory.clear()
        kept = self.world.random.randrange(len(self.disk.waiting) + 1)
        self.disk.log |= list(self.disk.waiting.items())[:kept]
        self.disk.waiting.clear()

    # inputs

    def tick(self) -> None:
        if self.core is not None and not self.steps:
            self.core.tick()
            self.work()

    def receive(self, origin: int, message: object) -> None:
        assert self.core is not None
        if isinstance(message, Piece):
            if origin == self.core.leader_id:
                self.incoming = [message] if message.first else [*self.incoming, message]
        elif self.steps:
            self.held.append((origin, cast(Message, message)))
        else:
            self.core.receive(origin, cast(Message, message))
            self.work()

    def connected(self, peer: int) -> None:
        if self.core is not None:
            self.core.connected(peer)
            self.work()

    def disconnected(self, peer: int) -> None:
        self.senders.pop(peer, None)
        if self.core is not None:
            self.core.disconnected(peer)
            self.work()

    def sync(self) -> None:
        """What waits reaches the disk."""
        disk = self.disk
        if disk.waiting and self.core is not None:
            disk.log |= disk.waiting
            disk.waiting.clear()
            self.untold = True

    def hear_of_sync(self) -> None:
        """The core learns what is on the disk by now."""
        if self.untold and self.core is not None:
            self.untold = False
            told, self.told_as = self.told_as, None
            self.core.synced(told or self.disk.last)
            self.work()

    def propose(self, txns: list[bytes]) -> None:
        assert self.core is not None
        for number, txn in zip(self.core.propose(txns), txns, strict=True):
            self.asked[number] = txn
        self.work()

    def barrier(self, due: int) -> None:
        assert self.core is not None
        self.barriers[self.core.barrier()] = due
        self.work()

    def flush(self) -> None:
        if self.core is not None and not self.steps:
            self.disk.flushed = dict(self.applied)

    def drop(self, after: int | None = None) -> None:
        """Let go of log that is in the engine: up to after, or up to anywhere."""
        disk = self.disk
        known = [zxid for zxid in disk.log if zxid <= last(disk.flushed)]
        if known and self.core is not None and not self.steps:
            disk.begins = self.world.random.choice(known) if after is None else after
            disk.log = {zxid: txn for zxid, txn in disk.log.items() if zxid > disk.begins}
            self.core.server.log_begins = disk.begins

    def go_on(self) -> None:
        """One step of sending a snapshot, or of putting one in place."""
        assert self.core is not None
        if self.steps:
            self.steps.pop(0)()
            if not self.steps:
                held, self.held = self.held, []
                self.work()
                for origin, message in held:
                    self.receive(origin, message)
        elif self.senders:
            peer = self.world.random.choice(sorted(self.senders))
            pieces = self.senders[peer]
            piece = pieces.pop(0)
            self.world.send(self.sid, peer, piece)
            if not pieces:
                del self.senders[peer]
                history = History(self.core.server.history.tails)
                history.truncate(piece.zxid)
                self.core.snapshot_sent(peer, piece.zxid, history.tails)
                self.work()

    # what the core wants done

    def work(self) -> None:
        core, disk, world = self.core, self.disk, self.world
        assert core is not None
        while not self.steps and (ready := core.take()):
            if ready.truncate is not None:
                self.truncate(ready.truncate)
            if ready.restore is not None:
                self.restore(ready.restore, ready)
            elif ready.promises is not None:
                self.keep(ready.promises)
            self.append(ready.append)
            for zxid, number in ready.own:
                world.laws.answers(self.sid, self.asked, zxid, number)
            for to, message in ready.messages:
                world.send(self.sid, to, message)
            for number in ready.refused:
                self.asked.pop(number, None)
            for number, zxid in ready.barriers:
                due = self.barriers.pop(number, 0)
                if 0 <= zxid < due:
                    raise Broken(
                        f"server {self.sid}: a barrier at {show(zxid)}, {show(due)} was committed before"
                    )
            for peer in ready.drop:
                world.cut(self.sid, peer)
            for peer, after in ready.read:
                beyond = [(zxid, txn) for zxid, txn in (disk.log | disk.waiting).items() if zxid > after]
                core.records(peer, after, None if after < disk.begins else beyond[:_READ])
            for peer in ready.snapshots:
                self.senders[peer] = list(self.pieces())
        self.apply()
        self.follow()

    def keep(self, promises: Promises) -> None:
        self.disk.promises = promises

    def truncate(self, after: int) -> None:
        disk = self.disk
        self.world.laws.forgets(self.sid, (zxid for zxid in (disk.log | disk.waiting) if zxid > after))
        self.sync()  # as Log.truncate does
        disk.log = {zxid: txn for zxid, txn in disk.log.items() if zxid <= after}

    def restore(self, zxid: int, ready: Ready) -> None:
        assert self.incoming and self.incoming[0].first and not self.incoming[-1].left, "a snapshot in parts"
        assert {piece.zxid for piece in self.incoming} == {zxid}, "parts of several snapshots"
        state = dict(record for piece in self.incoming for record in piece.records)
        assert ready.promises is not None
        promises = ready.promises

        def engine() -> None:
            self.disk.flushed = dict(state)

        def log() -> None:
            self.disk.restart(zxid)

        def keep() -> None:
            self.keep(promises)
            self.applied = dict(state)
            self.incoming.clear()
            self.world.laws.restored(self.sid, self.applied)

        self.steps += [engine, log, keep]

    def append(self, records: list[Record]) -> None:
        core = self.core
        assert core is not None
        leader = core.leader
        for record in records:
            # It may have gone on to the next epoch at once, when this one's zxids were used up.
            leads = leader is not None and leader.serving and leader.epoch >= epoch_of(record[0])
            self.world.laws.logged(self.sid, record, leads)
        self.disk.waiting |= dict(records)

    def pieces(self) -> list[Piece]:
        """The state in three, the last of which may hold nothing."""
        records = tuple(self.applied.items())
        size = len(records) // 2 or 1
        return [
            Piece(last(self.applied), records[at * size : (at + 1) * size or None], at == 0, 2 - at)
            for at in range(3)
        ]

    def apply(self) -> None:
        core, disk = self.core, self.disk
        assert core is not None
        done = last(self.applied)
        if not self.steps and core.server.committed > done:
            records = (disk.log | disk.waiting).items()
            due = [record for record in records if done < record[0] <= core.server.committed]
            for zxid, txn in due[: self.world.slice]:
                self.applied[zxid] = txn
                self.world.laws.applied(self.sid, len(self.applied) - 1, (zxid, txn))

    def follow(self) -> None:
        """Whether it serves, and what it still owes to its clients then."""
        core = self.core
        assert core is not None
        if not core.serving:
            self.asked.clear()
            self.barriers.clear()
            self._served = False
            self._serve_at = None
        elif not self._served:
            if self._serve_at is None:
                self._serve_at = core.epoch, core.server.committed
            epoch, committed = self._serve_at
            self._served = last(self.applied) >= committed
            if self._served:
                self.world.laws.serves(self.sid, epoch, last(self.applied))

    # what the laws ask

    def look(self) -> None:
        leader = self.core and self.core.leader
        if leader is not None and leader.phase is Phase.BROADCAST:
            self.world.laws.leads(self.sid, leader.epoch)

    def on_disk(self, record: Record) -> bool:
        zxid, txn = record
        return txn in (self.disk.log.get(zxid), self.disk.flushed.get(zxid))

    def holds(self, zxid: int) -> bool:
        return zxid in self.disk.log or zxid in self.disk.waiting or zxid in self.applied
