"""A whole ensemble in one process, driven by one seed: disks that lose what was not synced, links that break.

After every step the protocol's invariants are checked (Junqueira, Reed, Serafini: Zab, DSN 2011, section III;
ZooKeeper's TLA+ specification, ZabWithFLE).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields, is_dataclass
from random import Random
from typing import Final, TypeAlias

from znoded.consensus.zab.core import Core
from znoded.consensus.zab.history import History
from znoded.consensus.zab.messages import Message, Record
from znoded.consensus.zab.ready import Promises
from znoded.consensus.zab.server import Limits, Phase

LIMITS: Final = Limits(init=40, sync=20, ping=4, settle=4, zxids=25)
_READ: Final = 3
"""Records that a learner is read from the log at a time: few, so that it takes several turns."""

_Side: TypeAlias = tuple[int, int]


class Broken(AssertionError):
    """An invariant does not hold."""


class _Gone:
    """The connection's end, in the queue of what it carried."""

    def __repr__(self) -> str:
        return "disconnected"


GONE: Final = _Gone()


@dataclass(slots=True)
class _Aside:
    """A snapshot on its way, ahead of the message that tells of it."""

    zxid: int
    state: list[Record]

    def __repr__(self) -> str:
        return f"snapshot as of {show(self.zxid)}"


def show(zxid: int) -> str:
    return f"{zxid >> 32}.{zxid & 0xFFFFFFFF}"


def told(message: Message | _Aside | _Gone) -> str:
    """For the trace: zxids as epoch.counter, of many records the first and the last."""
    if not is_dataclass(message) or isinstance(message, _Aside):
        return repr(message)
    parts = []
    for one in fields(message):
        value = getattr(message, one.name)
        if one.name in ("zxid", "after", "last", "commit"):
            parts.append(f"{one.name} {show(value)}")
        elif one.name == "tails":
            parts.append("tails " + " ".join(show(zxid) for _, zxid in value))
        elif one.name == "records":
            parts.append(f"{show(value[0][0])} to {show(value[-1][0])}" if value else "nothing")
        elif one.name == "vote":
            parts.append(f"votes for {value.leader} (epoch {value.epoch}, {show(value.zxid)})")
        elif one.name != "link":
            parts.append(f"{one.name} {value}")
    return f"{type(message).__name__}: {', '.join(parts)}"


@dataclass(slots=True)
class Disk:
    """What a crash leaves: all but what waits to be synced, of which it leaves some."""

    promises: Promises = field(default_factory=Promises)
    log: list[Record] = field(default_factory=list)
    begins: int = 0
    waiting: list[Record] = field(default_factory=list)
    flushed: list[Record] = field(default_factory=list)
    """The engine's state: every transaction in it, in order."""

    @property
    def last(self) -> int:
        return self.log[-1][0] if self.log else self.begins

    def holds(self, record: Record) -> bool:
        """Whether a record would be there after a crash."""
        return record in self.log or record in self.flushed


class Node:
    """One server: core, disk and state."""

    def __init__(self, world: World, sid: int) -> None:
        self.world = world
        self.sid = sid
        self.disk = Disk()
        self.core: Core | None = None
        self.applied: list[Record] = []
        self.aside: _Aside | None = None
        self.asked: dict[int, bytes] = {}
        self.barriers: dict[int, int] = {}
        """number → how much was committed anywhere when it was asked."""
        self.starts = 0

    def start(self) -> None:
        disk = self.disk
        self.starts += 1
        self.applied = list(disk.flushed)
        self.core = Core(
            self.sid,
            self.world.voters,
            self.world.all,
            LIMITS,
            disk.promises,
            begins=disk.begins,
            last=disk.last,
            applied=self.applied[-1][0] if self.applied else 0,
            link=self.starts << 20,
        )
        self.work()

    def crash(self) -> None:
        self.core = None
        self.aside = None
        self.asked.clear()
        self.barriers.clear()
        kept = self.world.random.randrange(len(self.disk.waiting) + 1)
        self.disk.log += self.disk.waiting[:kept]
        self.disk.waiting.clear()

    def sync(self) -> None:
        disk = self.disk
        if disk.waiting and self.core is not None:
            disk.log += disk.waiting
            disk.waiting.clear()
            self.core.synced(disk.last)
            self.work()

    def flush(self) -> None:
        self.disk.flushed = list(self.applied)

    def drop(self) -> None:
        """Let go of log that is in the engine."""
        disk = self.disk
        flushed = disk.flushed[-1][0] if disk.flushed else 0
        known = [zxid for zxid, _ in disk.log if zxid <= flushed]
        if known and self.core is not None:
            disk.begins = self.world.random.choice(known)
            disk.log = [record for record in disk.log if record[0] > disk.begins]
            self.core.server.log_begins = disk.begins

    def work(self) -> None:
        """Do what the core wants done, in its order."""
        core, disk, world = self.core, self.disk, self.world
        assert core is not None
        while ready := core.take():
            if ready.promises is not None:
                self.keep(ready.promises)
            if ready.truncate is not None:
                self.truncate(ready.truncate)
            if ready.restore is not None:
                assert self.aside is not None and self.aside.zxid == ready.restore
                self.applied = list(self.aside.state)
                disk.flushed = list(self.aside.state)
                disk.log.clear()
                disk.waiting.clear()
                disk.begins = ready.restore
                self.world.follow(self, 0)
            self.append(ready.append)
            for zxid, number in ready.own:
                world.own(self, zxid, number)
            for to, message in ready.messages:
                world.send(self.sid, to, message)
            for number in ready.refused:
                self.asked.pop(number)
            for number, zxid in ready.barriers:
                due = self.barriers.pop(number)
                if zxid >= 0 and zxid < due:
                    raise Broken(
                        f"server {self.sid}: a barrier at {show(zxid)}, {show(due)} was committed before"
                    )
            for peer in ready.drop:
                world.cut(self.sid, peer)
            for peer, after in ready.read:
                found = [r for r in disk.log + disk.waiting if r[0] > after][:_READ]
                core.records(peer, after, None if after < disk.begins else found)
            for peer in ready.snapshots:
                zxid = self.applied[-1][0] if self.applied else 0
                world.send(self.sid, peer, _Aside(zxid, list(self.applied)))
                history = History(core.server.history.tails)
                history.truncate(zxid)
                core.snapshot_sent(peer, zxid, history.tails)
            self.apply()

    def keep(self, promises: Promises) -> None:
        self.disk.promises = promises

    def truncate(self, after: int) -> None:
        disk = self.disk
        disk.log = [record for record in disk.log if record[0] <= after]
        disk.waiting = [record for record in disk.waiting if record[0] <= after]

    def append(self, records: list[Record]) -> None:
        for record in records:
            self.world.proposed(record)
        self.disk.waiting += records

    def apply(self) -> None:
        core, disk = self.core, self.disk
        assert core is not None
        done = self.applied[-1][0] if self.applied else 0
        if core.server.committed > done:
            count = len(self.applied)
            self.applied += [r for r in disk.log + disk.waiting if done < r[0] <= core.server.committed]
            self.world.follow(self, count)


class World:
    """voters: so many servers that vote; observers: so many more that do not."""

    def __init__(self, seed: int, voters: int, observers: int = 0) -> None:
        self.random = Random(seed)
        self.voters = frozenset(range(1, voters + 1))
        self.all = frozenset(range(1, voters + observers + 1))
        self.nodes = {sid: Node(self, sid) for sid in sorted(self.all)}
        self.links: dict[_Side, deque[Message | _Aside | _Gone]] = {}
        """Of connections that stand, or of which not both sides know yet that they don't."""
        self.standing: set[_Side] = set()
        self.apart: set[frozenset[int]] = set()
        """Pairs that can't connect."""
        self.history: list[Record] = []
        """Everything committed, in order."""
        self.txns: dict[int, bytes] = {}
        self.established: dict[int, int] = {}
        self.count = 0
        self.trace: list[str] = []
        self.seen: set[int] = set()
        """Established epochs whose leader's log was looked at."""
        for node in self.nodes.values():
            node.start()

    # the network

    def send(self, origin: int, to: int, message: Message | _Aside) -> None:
        if (origin, to) in self.standing:
            self.links[origin, to].append(message)

    def connect(self, one: int, other: int) -> None:
        self.links[one, other] = deque()
        self.links[other, one] = deque()
        self.standing |= {(one, other), (other, one)}

    def cut(self, one: int, other: int) -> None:
        """A connection breaks; some of what is under way still arrives."""
        for side in ((one, other), (other, one)):
            if side in self.standing:
                self.standing.discard(side)
                queue = self.links[side]
                for _ in range(self.random.randrange(len(queue) + 1)):
                    queue.pop()
                queue.append(GONE)

    def deliver(self, side: _Side) -> None:
        origin, to = side
        message = self.links[side].popleft()
        node = self.nodes[to]
        self.tell(f"{origin} → {to}: {told(message)}")
        if isinstance(message, _Gone):
            del self.links[side]
        if node.core is None:
            return
        if isinstance(message, _Gone):
            node.core.disconnected(origin)
        elif isinstance(message, _Aside):
            node.aside = message
            return
        else:
            node.core.receive(origin, message)
        node.work()

    # what happens

    def step(self) -> None:
        """One thing happens, then everything is checked."""
        random = self.random
        kind = random.random()
        if kind < 0.6 and (ready := [side for side in self.links if self.links[side]]):
            self.deliver(random.choice(ready))
        elif kind < 0.7:
            node = self.nodes[random.choice(sorted(self.all))]
            if node.core is not None:
                self.tell(f"{node.sid} ticks")
                node.core.tick()
                node.work()
        elif kind < 0.8:
            node = self.nodes[random.choice(sorted(self.all))]
            self.tell(f"{node.sid} syncs")
            node.sync()
        elif kind < 0.86:
            self.connect_some()
        elif kind < 0.975:
            self.ask()
        else:
            self.disturb()
        self.check()

    def connect_some(self) -> None:
        one, other = self.random.sample(sorted(self.all), 2)
        if (
            frozenset((one, other)) not in self.apart
            and (one, other) not in self.links
            and (other, one) not in self.links
            and self.nodes[one].core is not None
            and self.nodes[other].core is not None
        ):
            self.tell(f"{one} and {other} connect")
            self.connect(one, other)

    def ask(self) -> None:
        node = self.nodes[self.random.choice(sorted(self.all))]
        if node.core is None or not node.core.serving:
            return
        if self.random.random() < 0.2:
            self.tell(f"{node.sid} asks for a barrier")
            number = node.core.barrier()
            node.barriers[number] = self.history[-1][0] if self.history else 0
            node.work()
        else:
            self.propose(node)

    def propose(self, node: Node) -> None:
        assert node.core is not None
        self.count += 1
        txns = [b"%d.%d" % (self.count, at) for at in range(self.random.randint(1, 3))]
        self.tell(f"{node.sid} proposes {txns}")
        for number, txn in zip(node.core.propose(txns), txns, strict=True):
            node.asked[number] = txn
        node.work()

    def disturb(self) -> None:
        random = self.random
        node = self.nodes[random.choice(sorted(self.all))]
        kind = random.random()
        if kind < 0.25:
            self.crash(node)
        elif kind < 0.6:
            if node.core is None:
                self.tell(f"{node.sid} starts")
                node.start()
        elif kind < 0.7:
            self.tell(f"{node.sid} flushes")
            node.flush()
        elif kind < 0.7:
            self.tell(f"{node.sid} drops log")
            node.drop()
        elif kind < 0.9:
            other = random.choice(sorted(self.all - {node.sid}))
            self.tell(f"{node.sid} and {other} lose each other")
            self.cut(node.sid, other)
        elif kind < 0.95:
            some = set(random.sample(sorted(self.all), len(self.all) // 2))
            self.apart = {frozenset((a, b)) for a in some for b in self.all - some}
            self.tell(f"{sorted(some)} are apart from the others")
            for pair in self.apart:
                self.cut(*sorted(pair))
        else:
            self.tell("nobody is apart")
            self.apart.clear()

    def crash(self, node: Node) -> None:
        if node.core is None:
            return
        self.tell(f"{node.sid} crashes")
        for other in sorted(self.all - {node.sid}):
            self.cut(node.sid, other)
            self.links.pop((other, node.sid), None)
        node.crash()

    def heal(self, steps: int = 40_000) -> None:
        """Let nothing go wrong any more, until all serve the same; it must come to that."""
        self.tell("from here on nothing goes wrong")
        self.apart.clear()
        for node in self.nodes.values():
            if node.core is None:
                node.start()
        for at in range(steps):
            for side in [side for side in self.links if self.links[side]]:
                if self.links.get(side):
                    self.deliver(side)
            for one in sorted(self.all):
                for other in sorted(self.all):
                    if one < other and (one, other) not in self.links and (other, one) not in self.links:
                        self.connect(one, other)
            for node in self.nodes.values():
                node.sync()
                assert node.core is not None
                if not at % 5:
                    node.core.tick()
                    node.work()
            self.check()
            if all(
                node.core is not None and node.core.serving and node.applied == self.history
                for node in self.nodes.values()
            ) and not any(queue for queue in self.links.values()):
                return
        raise Broken("the ensemble does not come to rest")

    # what must hold

    def proposed(self, record: Record) -> None:
        """Primary order: a zxid stands for one transaction, wherever it is logged."""
        zxid, txn = record
        if self.txns.setdefault(zxid, txn) != txn:
            raise Broken(f"{show(zxid)} is {txn!r} and {self.txns[zxid]!r}")

    def own(self, node: Node, zxid: int, number: int) -> None:
        """A client is told the result of what it asked."""
        if self.txns.get(zxid) != node.asked.pop(number):
            raise Broken(f"server {node.sid}: number {number} is not the transaction {show(zxid)}")

    def follow(self, node: Node, since: int) -> None:
        """Agreement and total order: each applies a part of the one history, from its beginning, once."""
        for at in range(since, len(node.applied)):
            record = node.applied[at]
            if at < len(self.history):
                if self.history[at] != record:
                    raise Broken(
                        f"server {node.sid} applies {show(record[0])} for {show(self.history[at][0])}"
                    )
            else:
                self.history.append(record)
                holders = [sid for sid in self.voters if self.nodes[sid].disk.holds(record)]
                if 2 * len(holders) <= len(self.voters):
                    raise Broken(f"{show(record[0])} is applied, and on disk only at {holders}")

    def check(self) -> None:
        """What can be seen at any moment."""
        for node in self.nodes.values():
            core = node.core
            if core is None:
                continue
            leader = core.leader
            if leader is not None and leader.phase is Phase.BROADCAST:
                if self.established.setdefault(leader.epoch, node.sid) != node.sid:
                    raise Broken(f"epoch {leader.epoch} has two leaders")
                if leader.epoch not in self.seen:
                    self.seen.add(leader.epoch)
                    logged = {*node.disk.log, *node.disk.flushed, *node.disk.waiting}
                    missing = [
                        record
                        for record in self.history
                        if record not in logged and record[0] > node.disk.begins
                    ]
                    if missing:
                        raise Broken(f"leader {node.sid} of epoch {leader.epoch} lacks {show(missing[0][0])}")

    def finish(self) -> None:
        """It comes to rest, and serves: what each proposes then is applied by all."""
        self.heal()
        before = len(self.history)
        asked = self.count
        for node in self.nodes.values():
            self.propose(node)
        self.heal()
        if len(self.history) - before < self.count - asked:
            raise Broken("not all that was proposed in peace is committed")

    def tell(self, line: str) -> None:
        self.trace.append(line)


def run(seed: int, steps: int = 3000, *, world: list[World] | None = None) -> World:
    """The run that belongs to a seed: trouble, then peace. Raises Broken; world takes it before it begins."""
    random = Random(seed)
    made = World(seed, random.choice((3, 3, 5)), random.choice((0, 0, 1)))
    if world is not None:
        world.append(made)
    for _ in range(steps):
        made.step()
    made.finish()
    return made
