"""One simulated server of Raft's: the library, its log and its peers' messages as they are, over a disk that
forgets what was not synced, and a clock of its own.

It does what consensus/raft/driver.py does, in its order; what takes time there is a step of its own here,
between which anything may happen: a sync and hearing of it, cutting the log, sending a snapshot, putting one
in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from znoded.consensus.identity import NO_CLUSTER
from znoded.consensus.raft.canvass import Support
from znoded.consensus.raft.command import NO_OP, records_of, unpack
from znoded.consensus.raft.journal import Journal
from znoded.consensus.raft.keeper import Base
from znoded.consensus.raft.library import Raft, Timing
from znoded.consensus.raft.messages import (
    Append,
    AskBarrier,
    AskVote,
    Barrier,
    Canvass,
    Confirm,
    Confirmed,
    Entry,
    Forward,
    Install,
    Message,
    Next,
    Refused,
    Supported,
    TimeoutNow,
    Vote,
)
from znoded.consensus.raft.peers import Peers
from znoded.consensus.raft.proposals import Proposals
from znoded.consensus.raft.reads import Reads
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
_NEVER: Final = float("-inf")
_SIGN: Final = 0
"""The number of a follower's own barriers, by which it knows that its leader still leads."""
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
        self.spooling: int | None = None
        self._spooled = 0.0
        self._heard = 0.0
        self._asked = self._answered = _NEVER
        CLOCK.now = self.now
        voters, applied = self.world.voters, last(self.applied)
        self.journal = Journal(cast(Log, self.disk.log), self.disk.keeper, applied, self._added)
        place = self.journal.place(applied)
        self.delivered = place.index
        tail = [record for entry in self.journal.beyond(place.index) for record in records_of(*entry)]
        self._tail = deque(record for record in tail if record[0] > applied)
        self.proposals = Proposals(self.sid, self.starts << 8 | self.sid, self.carry)
        self.reads = Reads(self.sid, sorted(voters), self.carry)
        self.support = Support(self.sid, sorted(voters), self.carry)
        self.peers = Peers(self.journal, self.proposals, self._cluster, lambda: self.delivered, self.carry)
        low = 0.16 + 0.1 * sum(voter > self.sid for voter in voters)
        timing = Timing(0.05, (low, low + 0.06), (SYNC / 2, SYNC), SYNC)
        if len(voters) == 1:
            timing = Timing(0.005, (0.02, 0.03), (0.02, 0.03), SYNC)
        observers = self.world.all - voters
        at = place.index, place.term
        self.raft = Raft(self.sid, voters, observers, self.journal, self, timing, at, Path(_FILES.name))
        self.peers.use(cast(Raft, _Ear(self)))
        self._term = self.raft.term
        self.work()

    def crash(self) -> None:
        self.raft = None
        self.untold = False
        for memory in (self.incoming, self.steps, self.held, self.senders):
            memory.clear()
        self._end_service()
        self.disk.log.crash(self.world.random)

    # between the library and its peers' messages

    def append(
        self, peer: int, term: int, commit: int, prev: int, prev_term: int, entries: Sequence[Entry]
    ) -> None:
        self.peers.append(peer, term, commit, prev, prev_term, entries)
        # At once, and not after the tick: the more messages, the more that can go wrong.
        self.peers.flush()

    def answer(self, peer: int, next: int, reset: bool, success: bool) -> None:
        self.peers.answer(peer, next, reset, success)

    def send(self, peer: int, message: AskVote | Vote | TimeoutNow) -> None:
        self.peers.send(peer, message)

    def lags(self, peer: int) -> None:
        self.peers.lags(peer)

    def placed(self, number: int, index: int, term: int) -> None:
        self.peers.placed(number, index, term)

    def refused(self, number: int) -> None:
        self.peers.refused(number)

    def to_library(self, peer: int, message: Append | Next | AskVote | Vote | TimeoutNow) -> None:
        assert self.raft is not None
        self.raft.hear(peer, message)

    def learn(self, term: int) -> None:
        assert self.raft is not None
        self.raft.learn(term)

    def end_leading(self) -> None:
        self.peers.end_leading()

    def carry(self, peer: int, message: Message) -> None:
        self.world.send(self.sid, peer, message)

    # inputs

    def tick(self) -> None:
        self.now += TICK
        CLOCK.now = self.now
        if self.raft is None:
            return
        if self.spooling is not None:
            self.carry(self.spooling, Next(self.raft.term, 0, 1, False, False))
            if self.now - self._spooled > SYNC and not self.steps:
                self.world.cut(self.sid, self.spooling)
        if self.steps:
            return
        self._canvass()
        self._report()
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
            self.peers.connected(peer)
            self.reads.repeat()
            self._report()
            self.work()

    def disconnected(self, peer: int) -> None:
        CLOCK.now = self.now
        self.senders.pop(peer, None)
        if self.raft is None:
            return
        leader = self.raft.leader
        self.peers.disconnected(peer)
        self.raft.down(peer)
        self._report()
        if peer == self.spooling and not self.steps:
            self._end_spooling()
        self.held = [held for held in self.held if held[0] != peer]
        if peer == leader and not self.steps:
            self._canvass()
        self.work()

    def sync(self) -> None:
        if self.disk.log.waiting and self.raft is not None and not self.steps:
            self.disk.log.sync()
            self.untold = True

    def hear_of_sync(self) -> None:
        CLOCK.now = self.now
        if self.untold and self.raft is not None and not self.steps:
            self.untold = False
            self._on_disk()
            self.work()

    def propose(self, txns: list[bytes]) -> None:
        CLOCK.now = self.now
        for number, txn in zip(self.proposals.propose(txns), txns, strict=True):
            self.asked[number] = txn
        self.work()

    def barrier(self, due: int) -> None:
        CLOCK.now = self.now
        self.barriers[self.proposals.barrier()] = due
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
                self._on_disk()
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
                place = self.journal.place(piece.zxid)
                if self.raft.leads:
                    self.carry(
                        peer,
                        Install(
                            self.raft.term, piece.zxid, place.key, place.index, place.term, self._cluster()
                        ),
                    )

    def hear(self, peer: int, message: Message) -> None:
        assert self.raft is not None
        match message:
            case Append():
                self._append(peer, message)
            case Next():
                self.peers.answered(peer, message)
            case AskVote() | Vote():
                self.to_library(peer, message)
            case TimeoutNow():
                if peer == self.raft.leader:
                    self.support.granted(self.now)
                    self._report()
                self.to_library(peer, message)
            case Forward():
                self._lead()
                self.proposals.forwarded(peer, message)
            case Refused():
                self.proposals.returned(message)
            case AskBarrier(number):
                if self.raft.leads and self.journal.term_at(self.raft.commit) == self.raft.term:
                    self.reads.ask(self.raft.term, self.journal.key_at(self.raft.commit), peer, number)
            case Barrier(number, _) if number == _SIGN:
                self._answered = self._asked
            case Barrier(number, zxid):
                self._place([(number, zxid)])
            case Confirm(term, round_):
                if term == self.raft.term:
                    self.carry(peer, Confirmed(term, round_))
            case Confirmed():
                self.reads.confirmed(peer, message)
            case Install():
                if peer == self.spooling and message.term >= self.raft.term:
                    self._adopt(message.cluster)
                    self._restore(peer, message)

            case Canvass(round_, last_index, last_term):
                end = self.journal.last
                if not self._led() and (last_term, last_index) >= (end.term, end.index):
                    self.carry(peer, Supported(round_))
            case Supported(round_):
                if not self._led() and self.support.answered(peer, round_, self.now):
                    self._report()
                    self.raft.campaign()

    # what comes of it

    def work(self) -> None:
        raft, journal, proposals = self.raft, self.journal, self.proposals
        assert raft is not None
        if self.steps:
            return
        self._lead()
        for number in proposals.barriers:
            self.reads.ask(raft.term, journal.key_at(raft.commit), self.sid, number)
        proposals.barriers.clear()
        if journal.durable == journal.last.index:
            while (offer := proposals.offer()) is not None:
                raft.propose(*offer)
        if self.spooling is None:
            raft.tick()
            self._lead()
        self._deliver()
        self.reads.begin()
        self._place(self.reads.own)
        self.reads.own.clear()
        for number in proposals.refused:
            self.barriers.pop(number, None)
            if number in self.asked:
                self.turned_down.add(self.asked.pop(number))
        proposals.refused.clear()
        for peer in self.peers.laggards:
            self.senders[peer] = list(self._pieces())
        self.peers.laggards.clear()

    def _lead(self) -> None:
        raft, proposals = self.raft, self.proposals
        assert raft is not None
        leader = self._leader()
        if raft.term != self._term or leader != proposals.leader:
            if proposals.leader == self.sid:
                proposals.leader = None
                proposals.stop()
                self.reads.end()
                self.senders.clear()
                self.end_leading()
            self._term = raft.term
            proposals.leader = leader
            self._asked = self._answered = _NEVER
            if leader is not None:
                self.support.end()
            self._end_service()
            self._report()

    def _leader(self) -> int | None:
        assert self.raft is not None
        leader = self.raft.leader
        return leader if leader == self.sid or leader in self.peers.links else None

    def _majority_near(self) -> bool:
        voters = self.world.voters
        return 2 * (len(voters & self.peers.links.keys()) + (self.sid in voters)) > len(voters)

    def _report(self) -> None:
        assert self.raft is not None
        enough = self.raft.leads or self.support.stands(self.now)
        for peer, link in self.peers.links.items():
            if (enough or peer not in self.world.voters) and not link.lags and not link.paused:
                self.raft.up(peer)
            elif peer in self.world.voters:
                self.raft.down(peer)

    def _led(self) -> bool:
        assert self.raft is not None
        if self.raft.leads:
            return self._majority_near()
        return self._leader() is not None and self.now - self._heard < SYNC / 2

    def _follows(self) -> bool:
        leader = self._leader()
        if leader is None or self.now - self._heard > SYNC:
            return False
        if self.now - self._asked > SYNC / 8:
            self._asked = self.now
            self.carry(leader, AskBarrier(_SIGN))
        return self.now - self._answered < SYNC

    def _canvass(self) -> None:
        assert self.raft is not None
        voter = self.sid in self.world.voters
        if voter and not self.raft.leads and not self._led() and self.spooling is None:
            self.support.ask(self.journal.last.index, self.journal.last.term)

    def _append(self, peer: int, append: Append) -> None:
        assert self.raft is not None
        if append.term >= self.raft.term and peer in self.world.voters:
            self._heard = self.now
            if self.spooling is not None:
                self._end_spooling()
            self._adopt(append.cluster)
            after = self.peers.conflict(append)
            if after is not None:
                self.learn(append.term)
                self._end_service()
                self._cut(peer, append, after)
                return
        self.peers.appended(peer, append)

    def _added(self, command: bytes, key: int) -> None:
        leads = self.raft is not None and self.raft.leads and self.raft.term == key >> 32
        if command == NO_OP:
            self.world.laws.logged(self.sid, (key, b"no-op"), leads)
            return
        records = records_of(command, key)
        for record in records:
            self.world.laws.logged(self.sid, record, leads)
        zxid = records[0][0]
        for segment in unpack(command):
            for number in range(segment.first, segment.first + len(segment.txns)):
                if (segment.server, segment.run) == (self.sid, self.proposals.run):
                    self.world.laws.answers(self.sid, self.asked, zxid, number)
                zxid += 1
        self._tail.extend(record for record in records if record[0] > last(self.applied))

    def _on_disk(self) -> None:
        self.journal.synced()
        self.peers.synced()

    def _deliver(self) -> None:
        raft, journal = self.raft, self.journal
        assert raft is not None
        committed = min(raft.applied, journal.durable)
        key = journal.key_at(committed)
        for _ in range(self.world.slice):
            if self._tail and self._tail[0][0] <= key:
                zxid, txn = self._tail.popleft()
                self.applied[zxid] = txn
                self.world.laws.applied(self.sid, len(self.applied) - 1, (zxid, txn))
        reached = last(self.applied)
        if self._tail and self._tail[0][0] <= key:
            self.delivered = journal.place(reached).index
        else:
            self.delivered = committed
            reached = max(reached, key)
        journal.forget(self.delivered)
        while self._passing and self._passing[0][0] <= reached:
            self._passing.pop(0)
        serving = self.spooling is None and journal.term_at(committed) == raft.term
        if not (serving and (self._majority_near() if raft.leads else self._follows())):
            self._end_service()
        elif not self._served:
            if self._serve_at is None:
                self._serve_at = raft.term, key
            term, at = self._serve_at
            self._served = reached >= at
            if self._served:
                self.world.laws.serves(self.sid, term, last(self.applied))

    def _end_service(self) -> None:
        self._served = False
        self._serve_at = None
        self.asked.clear()
        self.barriers.clear()
        self._passing.clear()

    def _place(self, barriers: list[tuple[int, int]]) -> None:
        for number, zxid in barriers:
            due = self.barriers.pop(number, None)
            if due is not None:
                self._passing.append((zxid, number))
                if zxid < due:
                    raise Broken(
                        f"server {self.sid}: a barrier at {show(zxid)}, {show(due)} was committed before"
                    )

    # log and snapshots

    def _adopt(self, cluster: bytes) -> None:
        keeper = self.disk.keeper
        if cluster != keeper.promises.cluster:
            if self._own_cluster() != NO_CLUSTER:
                raise Broken(f"server {self.sid} has data of another cluster")
            keeper.save(replace(keeper.promises, cluster=cluster))

    def _cluster(self) -> bytes:
        return self.disk.keeper.promises.cluster

    def _own_cluster(self) -> bytes:
        return NO_CLUSTER if self.journal.fresh else self._cluster()

    def _cut(self, peer: int, append: Append, after: int) -> None:
        key = self.journal.key_at(after)

        def log() -> None:
            self.world.laws.forgets(self.sid, [zxid for zxid in self.disk.log.txns if zxid > key])
            self.disk.log.truncate(key)

        def memory() -> None:
            while self._tail and self._tail[-1][0] > key:
                self._tail.pop()
            self.journal.truncate(after)
            if peer in self.peers.links:
                self.peers.appended(peer, append)

        self.steps += [log, memory]

    def _spool(self, peer: int, piece: Piece) -> None:
        if piece.first:
            self.incoming = []
            self.spooling = peer
            self._end_service()
        if self.spooling == peer:
            self.incoming.append(piece)
            self._spooled = self.now

    def _end_spooling(self) -> None:
        self.spooling = None
        self.incoming.clear()

    def _restore(self, peer: int, install: Install) -> None:
        pieces = list(self.incoming)
        assert pieces and pieces[0].first and not pieces[-1].left, "a snapshot in parts"
        assert {piece.zxid for piece in pieces} == {install.zxid}, "parts of several snapshots"
        state = dict(record for piece in pieces for record in piece.records)
        base = Base(install.zxid, install.key, install.index, install.entry_term)

        def keep() -> None:
            self.disk.keeper.begin(base)

        def engine() -> None:
            self.world.laws.forgets(self.sid, self.applied.keys() - state.keys())
            self.disk.flushed = dict(state)
            self.applied = dict(state)

        def log() -> None:
            self.disk.log.restart(install.key)

        def memory() -> None:
            assert self.raft is not None
            self._tail.clear()
            self.journal.begin(base)
            self.delivered = install.index
            self._end_spooling()
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


class _Ear:
    """The library, as its peers' messages come to it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        assert node.raft is not None
        self.up = node.raft.up
        self.down = node.raft.down
        self.hear = node.to_library

    @property
    def term(self) -> int:
        assert self._node.raft is not None
        return self._node.raft.term
