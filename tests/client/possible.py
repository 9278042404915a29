"""The trees that there may be, by what a client was told: a small model of znodes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from znoded.client import (
    BadVersion,
    Client,
    NodeExists,
    NoNode,
    OutcomeUnknown,
    TransactionFailed,
)

Tree: TypeAlias = dict[str, tuple[bytes, int]]
"""Path → data, version."""
Told: TypeAlias = Literal["done", "refused", "unknown"]


@dataclass(frozen=True)
class Change:
    """data: *N stands for N bytes. version: that set and delete ask for, or -1."""

    what: Literal["create", "numbered", "set", "delete"]
    path: str
    data: bytes = b""
    version: int = -1

    def made(self, tree: Tree) -> Tree | None:
        """The tree with it; None if it is refused."""
        path = self.path
        if self.what == "numbered":
            path += f"{sum(other.startswith(path) for other in tree):010}"
        if self.what in ("create", "numbered"):
            above = path.rpartition("/")[0]
            fits = path not in tree and (not above or above in tree)
            return {**tree, path: (self.data, 0)} if fits else None
        if path not in tree or self.version not in (-1, tree[path][1]):
            return None
        if self.what == "set":
            return {**tree, path: (self.data, tree[path][1] + 1)}
        return {other: found for other, found in tree.items() if other != path}


Step: TypeAlias = Change | tuple[Change, ...] | str
"""A change, a transaction, or the path of a znode that is read."""


class Possible:
    """Follows what was told; fails when no tree agrees with it."""

    def __init__(self) -> None:
        self.trees: list[Tree] = [{}]

    async def take(self, client: Client, base: str, steps: Sequence[Step]) -> None:
        """Have the steps done in one line, none waiting for the one before, and follow them."""
        told = await asyncio.gather(*(_tell(client, base, step) for step in steps))
        ways = [(tree, False) for tree in self.trees]
        for step, outcome in zip(steps, told, strict=True):
            ways = [way for tree, broken in ways for way in _follow(tree, broken, step, outcome)]
            assert ways, f"{step} was told {outcome!r}: {list(zip(steps, told, strict=True))}"
        self.trees = []
        for tree, _ in ways:
            if tree not in self.trees:
                self.trees.append(tree)

    def check(self, found: Tree) -> None:
        """Here is what there is."""
        assert found in self.trees, f"{found} is none of {self.trees}"


def _follow(tree: Tree, broken: bool, step: Step, told: Told | bytes | None) -> list[tuple[Tree, bool]]:
    """What may be after a step. broken: a change before it in the line was lost, and not made: no other may
    be, then."""
    if isinstance(step, str):
        return [(tree, broken)] if (tree[step][0] if step in tree else None) == told else []
    made: Tree | None = tree
    for change in step if isinstance(step, tuple) else (step,):
        made = None if made is None else change.made(made)
    if told == "refused":
        return [(tree, broken)] if made is None else []
    after = [] if made is None or broken else [(made, False)]
    return after if told == "done" else [*after, (tree, True)]


async def _tell(client: Client, base: str, step: Step) -> Told | bytes | None:
    try:
        if isinstance(step, str):
            return short((await client.get(base + step)).data)
        if isinstance(step, tuple):
            transaction = client.transaction()
            for change in step:
                if change.what == "set":
                    transaction.set(base + change.path, _long(change.data), change.version)
                elif change.what == "delete":
                    transaction.delete(base + change.path, change.version)
                else:
                    numbered = change.what == "numbered"
                    transaction.create(base + change.path, _long(change.data), sequential=numbered)
            await transaction.commit()
        elif step.what == "set":
            await client.set(base + step.path, _long(step.data), step.version)
        elif step.what == "delete":
            await client.delete(base + step.path, step.version)
        else:
            await client.create(base + step.path, _long(step.data), sequential=step.what == "numbered")
    except OutcomeUnknown:
        return "unknown"
    except (NoNode, NodeExists, BadVersion, TransactionFailed):
        return None if isinstance(step, str) else "refused"
    return "done"


async def tree_below(client: Client, base: str) -> Tree:
    """What there is."""
    found: Tree = {}
    async for path in client.walk(base):
        if path != base:
            with suppress(NoNode):  # somebody deletes
                data, stat = await client.get(path)
                found[path.removeprefix(base)] = (short(data), stat.version)
    return found


def short(data: bytes) -> bytes:
    """As Change.data has it."""
    return data if len(data) < 100 else b"*%d" % len(data)


def _long(data: bytes) -> bytes:
    return bytes(int(data[1:])) if data.startswith(b"*") else data
