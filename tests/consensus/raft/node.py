"""One simulated server of Raft's: its core and the library as they are, over a disk that forgets what was not
synced, and a clock of its own.

It does what consensus/raft/driver.py does, in its order; what takes time there is a step of its own here,
between which anything may happen: a sync and hearing of it, cutting the log, sending a snapshot, putting one
in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from znoded.consensus.ensemble import Ensemble
from znoded.consensus.raft.command import NO_OP, Malformed, records_of, unpack
from znoded.consensus.raft.core import Core
from znoded.consensus.raft.election import timing_of
from znoded.consensus.raft.journal import Journal
from znoded.consensus.raft.keeper import Base
from znoded.consensus.raft.library import Raft
from znoded.consensus.raft.messages import Append, AskVote, Entry, Install, Message, Next, TimeoutNow, Vote
from znoded.storage.log import Log

from ..laws import Broken
from ..told import Piece, Record, show
from ..world import Network
from .bare import Clock
from .disk import Disk

CLOCK: Final = Clock()
"""The library has but one: it is set before a server's has its turn."""
TICK: Final = 0.02
SYNC: Final = 0.8
"""Seconds; the limit within which servers must hear of each other."""
_FILES: Final = TemporaryDirectory()
"""For the library's empty file, the same for all."""


def last(records: dict[int, bytes]) -> int:
    return next(reversed(records), 0)


class Node:
    """Stands between the library and its peers' messages, so that faults can. starts: how often it was
    started. slow: its disk is."""

    def __init__(self, world: Network, sid: int) -> None:
        self.world = world
        self.sid = sid
        self.disk = Disk(sid)
        self.now = 1.0
        self.raft: Raft | None = None
        self.applied: dict[int, bytes] = {}
        self.asked: dict[int, bytes] = {}
        self.barriers: dict[int, int] = {}
        self.turned_down: set[bytes] = set()
        """Transactions of which it was said that they were not taken and never will be."""
        self.starts = 0
        self.slow = False
        self.untold = False
        """A sync has ended, and nobody was told."""
        self.incoming: list[Piece] = []
        self.steps: list[Callable[[], None]] = []
        """That are left of cutting the log, or of putting a snapshot in place."""
        self.held: list[tuple[int, Message]] = []
        self.senders: dict[int, list[Piece]] = {}
        self._passing: list[tuple[int, int]] = []
        """Barriers that are passed at a zxid: (zxid, number)."""
        self._served = False
        self._serve_at: tuple[int, int] | None = None

    @property
    def running(self) -> bool:
        return self.raft is not None

    @property
    def serving(self) -> bool:
        return self.raft is not None and self._served

    @property
    def rebuilding(self) -> bool:
        return bool(self.steps)

    @property
    def busy(self) -> bool:
        return bool(self.steps or self.senders)

    def start(self) -> None:
        self.starts += 1
        self.applied = dict(self.disk.flushed)
        CLOCK.now = self.now
        applied = last(self.applied)
        disk = self.disk
        self.journal = journal = Journal(
            cast(Log, disk.log), disk.keeper, applied, self._added, restoring=disk.restoring
        )
        disk.restoring = False
        place = journal.place(applied)
        tail = [record for entry in journal.beyond(place.index) for record in records_of(*entry)]
        self._tail = deque(record for record in tail if record[0] > applied)
        # So that little is much: what is no longer in memory, and what is too much to send at once.
        journal.kept, journal.piece = 400, 100
        voters, every = self.world.voters, dict.fromkeys(self.world.all, ("", 0))
        ensemble = Ensemble(self.sid, voters, every, SYNC, SYNC, b"", Path(_FILES.name))
        run = self.starts << 8 | self.sid
        self.core = Core(ensemble, journal, self.disk.keeper, place.index, run, lambda: self.now, _Host(self))
        self.core.peers.window = 300
        at = place.index, place.term
        observers = self.world.all - voters
        self.raft = Raft(
            self.sid, voters, observers, journal, self, timing_of(ensemble), at, ensemble.directory
        )
        self.core.use(cast(Raft, _Ear(self)))
        self.work()

    def crash(self) -> None:
        self.raft = None
        self.untold = False
        for memory in (self.incoming, self.steps, self.held, self.senders):
            memory.clear()
        self.end_service()
        self.disk.log.crash(self.world.random)

    def stop(self) -> None:
        """As the process would, on its way to the end."""
        assert self.raft is not None
        CLOCK.now = self.now
        self.raft.transfer()

    def step_down(self) -> None:
        """As if its term had no more zxids."""
        assert self.raft is not None
        CLOCK.now = self.now
        self.raft.step_down()
        self.work()

    # between the library and its peers' messages

    def append(
        self, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        self.core.peers.append(peer, term, commit, prev, prev_term, entries)
        # At once, and not after the tick: the more messages, the more that can go wrong.
        self.core.peers.flush()

    def answer(self, peer: int, next: int, reset: bool, success: bool) -> None:
        self.core.peers.answer(peer, next, reset, success)

    def send(self, peer: int, message: AskVote | Vote | TimeoutNow) -> None:
        self.core.peers.send(peer, message)

    def lags(self, peer: int) -> None:
        self.core.peers.lags(peer)

    def placed(self, number: int, index: int, term: int) -> None:
        self.core.peers.placed(number, index, term)

    def refused(self, number: int) -> None:
        self.core.peers.refused(number)

    def to_library(self, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        assert self.raft is not None
        self.raft.hear(peer, message)

    def end_leading(self) -> None:
        self.core.peers.end_leading()

    def carry(self, peer: int, message: Message) -> None:
        self.world.send(self.sid, peer, message)

    # inputs

    def tick(self) -> None:
        self.now += TICK
        CLOCK.now = self.now
        if self.raft is None:
            return
        self.core.alive()
        if not self.steps:
            self.core.tick()
            self.work()

    def receive(self, origin: int, message: object) -> None:
        CLOCK.now = self.now
        assert self.raft is not None
        if isinstance(message, Piece):
            if origin == self.raft.leader and not self.steps:
                self._spool(origin, message)
        elif self.steps:
            self.held.append((origin, cast(Message, message)))
        else:
            self.hear(origin, cast(Message, message))
            self.work()

    def connected(self, peer: int) -> None:
        CLOCK.now = self.now
        if self.raft is not None:
            self.core.connected(peer)
            self.work()

    def disconnected(self, peer: int) -> None:
        CLOCK.now = self.now
        self.senders.pop(peer, None)
        if self.raft is None:
            return
        leader = self.raft.leader
        self.core.disconnected(peer)
        if peer == self.core.spooling and not self.steps:
            self.core.end_spooling()
        self.held = [held for held in self.held if held[0] != peer]
        if peer == leader and not self.steps:
            self.core.canvass()
        self.work()

    def sync(self) -> None:
        if self.disk.log.waiting and self.raft is not None and not self.steps:
            self.disk.log.sync()
            self.untold = True

    def hear_of_sync(self) -> None:
        CLOCK.now = self.now
        if self.untold and self.raft is not None and not self.steps:
            self.untold = False
            self.core.synced()
            self.work()

    def propose(self, txns: list[bytes]) -> None:
        CLOCK.now = self.now
        for number, txn in zip(self.core.proposals.propose(txns), txns, strict=True):
            self.asked[number] = txn
        self.work()

    def barrier(self, due: int) -> None:
        CLOCK.now = self.now
        self.barriers[self.core.proposals.barrier()] = due
        self.work()

    def flush(self) -> None:
        if self.raft is not None and not self.steps:
            self.disk.flushed = dict(self.applied)

    def drop(self) -> None:
        """Let go of log that is in the engine: up to anywhere."""
        if self.raft is None or self.steps or not self.disk.flushed:
            return
        since = [pieces[0].zxid for pieces in self.senders.values()]
        zxid = min(self.world.random.choice(list(self.disk.flushed)), *since, 1 << 63)
        if zxid > self.journal.base.key:
            self.journal.begin_at(zxid)
        self.disk.log.needed = self.journal.base.key
        self.disk.log.drop(last(self.disk.flushed))

    def go_on(self) -> None:
        """One step of cutting the log, of sending a snapshot or of putting one in place."""
        CLOCK.now = self.now
        assert self.raft is not None
        if self.steps:
            self.steps.pop(0)()
            if not self.steps:
                self.untold = False
                self.core.synced()
                self.work()
                while self.held and not self.steps:
                    self.hear(*self.held.pop(0))
                    self.work()
        elif self.senders:
            peer = self.world.random.choice(sorted(self.senders))
            piece = self.senders[peer].pop(0)
            self.world.send(self.sid, peer, piece)
            if not self.senders[peer]:
                del self.senders[peer]
                self.core.snapshot_sent(peer, piece.zxid)

    def hear(self, peer: int, message: Message) -> None:
        try:
            self.core.hear(peer, message)
        except Malformed as error:
            raise Broken(f"server {self.sid} can't take what server {peer} says: {error}") from error

    # what comes of it

    def work(self) -> None:
        core = self.core
        if self.steps:
            return
        core.turn()
        core.order()
        self._deliver()
        core.confirm()
        for number in core.proposals.refused:
            self.barriers.pop(number, None)
            if number in self.asked:
                self.turned_down.add(self.asked.pop(number))
        core.proposals.refused.clear()
        for peer in core.peers.laggards:
            self.senders[peer] = list(self._pieces())
        core.peers.laggards.clear()

    def _added(self, command: bytes, key: int) -> None:
        leads = self.raft is not None and self.raft.leads and self.raft.term == key >> 32
        if command == NO_OP:
            self.world.laws.logged(self.sid, (key, b"no-op"), leads)
            return
        records = records_of(command, key)
        for record in records:
            self.world.laws.logged(self.sid, record, leads)
        for zxid, number in self.core.proposals.own(unpack(command), records[0][0]):
            self.world.laws.answers(self.sid, self.asked, zxid, number)
        self._tail.extend(record for record in records if record[0] > last(self.applied))

    def _deliver(self) -> None:
        assert self.raft is not None
        key = self.core.due()
        for _ in range(self.world.slice):
            if self._tail and self._tail[0][0] <= key:
                zxid, txn = self._tail.popleft()
                self.applied[zxid] = txn
                self.world.laws.applied(self.sid, len(self.applied) - 1, (zxid, txn))
        reached = last(self.applied)
        more = bool(self._tail) and self._tail[0][0] <= key
        self.core.applied(reached, more=more)
        if not more:
            reached = max(reached, key)
        while self._passing and self._passing[0][0] <= reached:
            self._passing.pop(0)
        if not self.core.serves():
            self.end_service()
        elif not self._served:
            if self._serve_at is None:
                self._serve_at = self.raft.term, key
            term, at = self._serve_at
            self._served = reached >= at
            if self._served:
                self.world.laws.serves(self.sid, term, last(self.applied))

    def end_service(self) -> None:
        self._served = False
        self._serve_at = None
        self.asked.clear()
        self.barriers.clear()
        self._passing.clear()

    def place(self, barriers: list[tuple[int, int]]) -> None:
        for number, zxid in barriers:
            due = self.barriers.pop(number, None)
            if due is not None:
                self._passing.append((zxid, number))
                if zxid < due:
                    raise Broken(
                        f"server {self.sid}: a barrier at {show(zxid)}, {show(due)} was committed before"
                    )

    # log and snapshots

    def cut(self, peer: int, append: Append, after: int) -> None:
        key = self.journal.key_at(after)

        def log() -> None:
            self.world.laws.forgets(self.sid, [zxid for zxid in self.disk.log.txns if zxid > key])
            self.disk.log.truncate(key)

        def memory() -> None:
            while self._tail and self._tail[-1][0] > key:
                self._tail.pop()
            self.journal.truncate(after)
            if peer in self.core.peers.links:
                self.core.peers.appended(peer, append)

        self.steps += [log, memory]

    def _spool(self, peer: int, piece: Piece) -> None:
        if piece.first:
            self.incoming = []
        self.core.spool(peer, begins=piece.first)
        if peer == self.core.spooling:
            self.incoming.append(piece)

    def restore(self, peer: int, install: Install) -> None:
        pieces = list(self.incoming)
        assert pieces and pieces[0].first and not pieces[-1].left, "a snapshot in parts"
        assert {piece.zxid for piece in pieces} == {install.zxid}, "parts of several snapshots"
        state = dict(record for piece in pieces for record in piece.records)
        base = Base(install.zxid, install.key, install.index, install.entry_term)

        def keep() -> None:
            self.disk.keeper.begin(base)

        def engine() -> None:
            self.world.laws.forgets(self.sid, self.applied.keys() - state.keys())
            self.disk.restoring = True
            self.disk.flushed = dict(state)
            self.applied = dict(state)

        def log() -> None:
            self.disk.log.restart(install.key)
            self.disk.restoring = False

        def memory() -> None:
            assert self.raft is not None
            self._tail.clear()
            self.core.begin(base)
            self.incoming.clear()
            self.world.laws.restored(self.sid, state)
            self.raft.installed(peer, install.term, install.index, install.entry_term)

        self.steps += [keep, engine, log, memory]

    def _pieces(self) -> list[Piece]:
        """The state in three, the last of which may hold nothing."""
        records = tuple(self.applied.items())
        size = len(records) // 2 or 1
        return [
            Piece(last(self.applied), records[at * size : (at + 1) * size or None], at == 0, 2 - at)
            for at in range(3)
        ]

    # what the laws ask

    def look(self) -> None:
        if self.raft is not None and self.raft.leads:
            self.world.laws.leads(self.sid, self.raft.term)

    def on_disk(self, record: Record) -> bool:
        zxid, txn = record
        log = self.disk.log
        logged, key = log.txns.get(zxid, (b"", 0))
        return (logged == txn and key <= log.durable_zxid) or self.disk.flushed.get(zxid) == txn

    def holds(self, zxid: int) -> bool:
        return zxid in self.disk.log.txns or zxid in self.applied


class _Host:
    """What the core wants done."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def send(self, peer: int, message: Message) -> None:
        self._node.carry(peer, message)

    def drop(self, peer: int) -> None:
        self._node.world.cut(self._node.sid, peer)

    def cut(self, peer: int, append: Append, after: int) -> None:
        self._node.cut(peer, append, after)

    def install(self, peer: int, install: Install) -> None:
        self._node.restore(peer, install)

    def discard(self) -> None:
        self._node.incoming.clear()

    def placed(self, barriers: list[tuple[int, int]]) -> None:
        self._node.place(barriers)

    def end_service(self, reason: str) -> None:
        self._node.end_service()

    def end_leading(self) -> None:
        self._node.senders.clear()
        self._node.end_leading()


class _Ear:
    """The library, as its peers' messages come to it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def hear(self, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        self._node.to_library(peer, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node.raft, name)
