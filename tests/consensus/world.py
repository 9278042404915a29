"""A whole ensemble in one process, driven by one seed: disks that lose what was not synced, links that break.

A connection is TCP's: what it carries arrives in order, or is lost with all that came after; between links
there is no order. Clocks run at different speeds, disks are slow for a while, parts are cut off.
After every step the laws are checked (laws.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Generic, Protocol, TypeAlias, TypeVar

from .laws import Broken, Laws
from .told import GONE, Gone, Record

_Side: TypeAlias = tuple[int, int]


class NoRest(Broken):
    """Nothing goes wrong any more, and still it does not come to an end."""


class Network(Protocol):
    """What a server needs of the world around it."""

    voters: frozenset[int]
    all: frozenset[int]
    random: Random
    slice: int
    laws: Laws

    def send(self, origin: int, to: int, message: object) -> None: ...

    def cut(self, one: int, other: int) -> None: ...

    def tell(self, line: str) -> None: ...


class Server(Protocol):
    """asked: what its clients have proposed, by number; barriers: how much was committed anywhere when they
    asked for one; applied: its state. slow: its disk is."""

    sid: int
    slow: bool
    asked: dict[int, bytes]
    barriers: dict[int, int]
    applied: dict[int, bytes]

    @property
    def running(self) -> bool: ...
    @property
    def serving(self) -> bool: ...
    @property
    def rebuilding(self) -> bool:
        """A snapshot is being put in place."""
        ...

    @property
    def busy(self) -> bool:
        """That, or one is being sent."""
        ...

    def start(self) -> None: ...
    def crash(self) -> None: ...
    def connected(self, peer: int) -> None: ...
    def disconnected(self, peer: int) -> None: ...
    def receive(self, origin: int, message: object) -> None: ...
    def tick(self) -> None: ...
    def sync(self) -> None:
        """What waits reaches the disk."""
        ...

    def hear_of_sync(self) -> None: ...
    def flush(self) -> None:
        """The state reaches the engine."""
        ...

    def drop(self) -> None:
        """Of the log, what is in the engine goes."""
        ...

    def go_on(self) -> None:
        """One step of sending a snapshot, or of putting one in place."""
        ...

    def barrier(self, due: int) -> None:
        """Ask for one; so much is committed."""
        ...

    def propose(self, txns: list[bytes]) -> None: ...
    def on_disk(self, record: Record) -> bool: ...
    def holds(self, zxid: int) -> bool:
        """In its log or state, synced or not."""
        ...

    def look(self) -> None:
        """Tell the laws whether it leads."""
        ...


N = TypeVar("N", bound=Server)


class World(Generic[N]):
    """voters: so many servers that vote; observers: so many more that do not. told: a message, as a person
    reads it."""

    def __init__(
        self,
        seed: int,
        voters: int,
        observers: int,
        make: Callable[[Network, int], N],
        told: Callable[[object], str],
    ) -> None:
        self.random = Random(seed)
        self._told = told
        self.voters = frozenset(range(1, voters + 1))
        self.all = frozenset(range(1, voters + observers + 1))
        self.laws = Laws(voters, self._on_disk, self._held_by)
        self.nodes = {sid: make(self, sid) for sid in sorted(self.all)}
        self.links: dict[_Side, deque[object]] = {}
        """Of connections that stand, or of which not both sides know yet that they don't."""
        self.standing: set[_Side] = set()
        self.apart: set[frozenset[int]] = set()
        """Pairs that can't connect."""
        self.count = 0
        self.slice = 3 if seed % 2 else 1000
        """So many records a server applies at a time."""
        self.trace: list[str] = []
        # What happens how often is drawn for each seed: some kinds of trouble hide others.
        self._clocks = [self.random.choice((1, 1, 2, 5)) for _ in self.all]
        self._trouble = self.random.choice((0.004, 0.012, 0.03))
        self._talk = self.random.choice((0.5, 0.6, 0.66))
        self._quiet = self.random.random() < 0.3

    # the network

    def send(self, origin: int, to: int, message: object) -> None:
        if (origin, to) in self.standing:
            self.links[origin, to].append(message)

    def connect(self, one: int, other: int) -> None:
        self.links[one, other] = deque()
        self.links[other, one] = deque()
        self.standing |= {(one, other), (other, one)}
        for sid, peer in ((one, other), (other, one)):
            self.nodes[sid].connected(peer)

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
        self.tell(f"{origin} → {to}: {self._told(message)}")
        if isinstance(message, Gone):
            del self.links[side]
        if not node.running:
            return
        if isinstance(message, Gone):
            node.disconnected(origin)
        else:
            node.receive(origin, message)

    def apart_now(self, one: int, other: int) -> bool:
        """Whether there is no connection, nor news of the last one's end under way."""
        return (one, other) not in self.links and (other, one) not in self.links

    # what happens

    def step(self) -> None:
        """One thing happens, then everything is checked."""
        random = self.random
        kind = random.random()
        if kind < self._talk and (ready := [side for side in self.links if self.links[side]]):
            self.deliver(random.choice(ready))
        elif kind < 0.7:
            node = random.choices(list(self.nodes.values()), self._clocks)[0]
            if node.running:
                self.tell(f"{node.sid} ticks")
                node.tick()
        elif kind < 0.83:
            node = self.nodes[random.choice(sorted(self.all))]
            if not node.slow or random.random() < 0.05:
                self.disk(node)
        elif kind < 0.87:
            self.connect_some()
        elif kind < 0.95:
            self.ask()
        elif random.random() < 20 * self._trouble:
            self.disturb()
        self.check()

    def disk(self, node: N) -> None:
        kind = self.random.random()
        if kind < 0.45:
            self.tell(f"{node.sid} syncs")
            node.sync()
        elif kind < 0.9:
            self.tell(f"{node.sid} hears of it")
            node.hear_of_sync()
        elif kind < 0.95:
            self.tell(f"{node.sid} flushes")
            node.flush()
        else:
            self.tell(f"{node.sid} drops log")
            node.drop()
        if node.busy:
            self.tell(f"{node.sid} goes on with a snapshot")
            node.go_on()

    def connect_some(self) -> None:
        one, other = self.random.sample(sorted(self.all), 2)
        if (
            frozenset((one, other)) not in self.apart
            and self.apart_now(one, other)
            and self.nodes[one].running
            and self.nodes[other].running
        ):
            self.tell(f"{one} and {other} connect")
            self.connect(one, other)

    def ask(self) -> None:
        node = self.nodes[self.random.choice(sorted(self.all))]
        if not node.serving or node.rebuilding:
            return
        if self.random.random() < 0.2:
            self.tell(f"{node.sid} asks for a barrier")
            node.barrier(self.laws.history[-1][0] if self.laws.history else 0)
        else:
            self.count += 1
            self.propose(node, [b"%d.%d" % (self.count, at) for at in range(self.random.randint(1, 3))])

    def propose(self, node: N, txns: list[bytes]) -> None:
        self.tell(f"{node.sid} proposes {' '.join(txn.decode() for txn in txns)}")
        node.propose(txns)

    def disturb(self) -> None:
        random = self.random
        node = self.nodes[random.choice(sorted(self.all))]
        down = [node for node in self.nodes.values() if not node.running]
        kind = random.random()
        if kind < 0.3 and down:
            node = random.choice(down)
            self.tell(f"{node.sid} starts")
            node.start()
        elif kind < 0.5:
            self.crash(node)
        elif kind < 0.55:
            self.tell("all crash")
            for node in self.nodes.values():
                self.crash(node)
        elif kind < 0.75:
            other = random.choice(sorted(self.all - {node.sid}))
            self.tell(f"{node.sid} and {other} lose each other")
            self.cut(node.sid, other)
        elif kind < 0.8:
            node.slow = not node.slow
            self.tell(f"{node.sid}'s disk is {'slow' if node.slow else 'quick'}")
        elif kind < 0.88 and not self._quiet:
            some = set(random.sample(sorted(self.all), random.randint(1, len(self.all) // 2)))
            self.apart = {frozenset((a, b)) for a in some for b in self.all - some}
            self.tell(f"{sorted(some)} are apart from the others")
            for pair in self.apart:
                self.cut(*sorted(pair))
        else:
            self.tell("nobody is apart")
            self.apart.clear()

    def crash(self, node: N) -> None:
        if not node.running:
            return
        self.tell(f"{node.sid} crashes")
        for other in sorted(self.all - {node.sid}):
            self.cut(node.sid, other)
            self.links.pop((other, node.sid), None)
        node.crash()

    def heal(self, steps: int = 4000) -> None:
        """Let nothing go wrong any more, until all serve the same; it must come to that."""
        self.tell("from here on nothing goes wrong")
        self.apart.clear()
        for node in self.nodes.values():
            node.slow = False
            if not node.running:
                node.start()
        for at in range(steps):
            for side in [side for side in self.links if self.links[side]]:
                if self.links.get(side):
                    self.deliver(side)
            for one in sorted(self.all):
                for other in sorted(self.all):
                    if one < other and self.apart_now(one, other):
                        self.connect(one, other)
            for node in self.nodes.values():
                node.sync()
                node.hear_of_sync()
                if node.busy:
                    node.go_on()
                if not at % 5:
                    node.tick()
            self.check()
            if self.at_rest():
                return
        raise NoRest("the ensemble does not come to rest")

    def at_rest(self) -> bool:
        """All serve, and hold the same; nothing is under way, nobody waits."""
        return not any(self.links.values()) and all(
            node.serving
            and not node.rebuilding
            and not node.asked
            and not node.barriers
            and list(node.applied.items()) == self.laws.history
            for node in self.nodes.values()
        )

    def check(self) -> None:
        for node in self.nodes.values():
            if node.running:
                node.look()

    def run(self, steps: int) -> None:
        """Trouble, then peace. Raises Broken."""
        if len(self.all) > 1:
            for _ in range(steps):
                self.step()
        self.finish()

    def finish(self) -> None:
        """It comes to rest, and serves: what each proposes then is applied by all."""
        self.heal()
        before = len(self.laws.history)
        for node in self.nodes.values():
            self.propose(node, [b"peace %d" % node.sid])
        self.heal()
        if len(self.laws.history) - before < len(self.nodes):
            raise Broken("not all that was proposed in peace is committed")

    def tell(self, line: str) -> None:
        self.trace.append(line)

    def _on_disk(self, record: Record) -> list[int]:
        return [sid for sid in sorted(self.voters) if self.nodes[sid].on_disk(record)]

    def _held_by(self, sid: int, zxid: int) -> bool:
        return self.nodes[sid].holds(zxid)


def shape(seed: int) -> tuple[int, int]:
    """So many voters and observers as belong to a seed."""
    random = Random(seed)
    return random.choice((1, 3, 3, 3, 3, 4, 5, 5)), random.choice((0, 0, 1, 2))
