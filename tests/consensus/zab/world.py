"""A whole ensemble of ZAB's in one process (../world.py)."""

from __future__ import annotations

from .. import world as ensemble
from ..world import shape
from .node import Node
from .told import told


class World(ensemble.World[Node]):
    """voters: so many servers that vote; observers: so many more that do not."""

    def __init__(self, seed: int, voters: int, observers: int = 0) -> None:
        super().__init__(seed, voters, observers, Node, told)


def run(seed: int, steps: int = 3000, *, world: list[World] | None = None) -> World:
    """The run that belongs to a seed. Raises Broken; world takes it before it begins."""
    made = World(seed, *shape(seed))
    if world is not None:
        world.append(made)
    made.run(steps)
    return made
