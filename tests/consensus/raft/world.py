"""A whole ensemble of Raft's in one process (../world.py)."""

from __future__ import annotations

from .. import world as ensemble
from ..laws import Broken
from ..world import shape
from .node import CLOCK, Node
from .told import told


class World(ensemble.World[Node]):
    """voters: so many servers that vote; observers: so many more that do not."""

    def __init__(self, seed: int, voters: int, observers: int = 0) -> None:
        super().__init__(seed, voters, observers, Node, told)

    def disturb(self) -> None:
        leaders = [node for node in self.nodes.values() if node.raft is not None and node.raft.leads]
        kind = self.random.random()
        if kind > 0.15 or not leaders:
            super().disturb()
            return
        node = self.random.choice(leaders)
        if kind < 0.05:
            self.tell(f"{node.sid} steps down")
            node.step_down()
        else:
            self.tell(f"{node.sid} stops")
            node.stop()
            self.crash(node)

    def finish(self) -> None:
        super().finish()
        committed = {txn for _, txn in self.laws.history}
        for node in self.nodes.values():
            if node.turned_down & committed:
                raise Broken(f"server {node.sid} refused {node.turned_down & committed}, which are committed")


def run(seed: int, steps: int = 4000, *, world: list[World] | None = None) -> World:
    """The run that belongs to a seed. Raises Broken; world takes it before it begins."""
    made = World(seed, *shape(seed))
    if world is not None:
        world.append(made)
    with CLOCK.rules(seed):
        made.run(steps)
    return made
