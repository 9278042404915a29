"""Reads a subtree many znodes at a time, in memory that does not grow with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from ..errors import NoNode

T = TypeVar("T")

AT_ONCE: Final = 64
"""Znodes that are read at the same time: as many may be in memory, with their data."""
_SYSTEM: Final = "zookeeper"
"""What every server has at its root, and keeps for itself."""


def below(parent: str, name: str) -> str:
    """The path of a child."""
    return f"{parent.rstrip('/')}/{name}"


def without_system(path: str, chroot: str, names: Sequence[str]) -> list[str]:
    """The names of a znode's children, but for the server's own."""
    return [name for name in names if (path, chroot, name) != ("/", "", _SYSTEM)]


async def each(
    path: str, read: Callable[[str], Awaitable[tuple[T, Sequence[str]]]]
) -> AsyncIterator[tuple[str, T]]:
    """A path and what was read of it, then those below it, each after its parent.

    read: is given a path, and returns what is wanted of it and the names of its children; of those that are
    deleted meanwhile it raises NoNode, and they are left out. NoNode if there is none at the path itself.
    """

    async def attempt(each: str) -> tuple[str, T, Sequence[str]] | None:
        with suppress(NoNode):
            return each, *await read(each)
        return None

    waiting = [path]
    while waiting:
        # From the end: what waits is as long as a few families, and not as a whole generation.
        batch, waiting = waiting[-AT_ONCE:], waiting[:-AT_ONCE]
        found = await asyncio.gather(*map(attempt, reversed(batch)))
        if batch == [path] and found == [None]:
            raise NoNode(path)
        for one in found:
            if one is not None:
                where, value, names = one
                yield where, value
                waiting.extend(below(where, name) for name in reversed(names))
