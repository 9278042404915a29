"""Keeps a copy of a subtree by a watch, as programs do: it is only as good as the watch."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from znoded.client import Client, Kind, NoNode

from .possible import Tree, short, tree_below


class Follower:
    """tree: the copy. missed: how often it was told to read all again."""

    def __init__(self, client: Client, base: str) -> None:
        self.tree: Tree = {}
        self.missed = 0
        self._client = client
        self._base = base
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._watch = await self._client.watch(self._base, recursive=True).ready()
        self.tree = await tree_below(self._client, self._base)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()
        await self._task

    async def until(self, tree: Tree) -> None:
        """Wait until the copy is that."""
        try:
            async with asyncio.timeout(10):
                while self.tree != tree:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"a watch was lost: {self.tree} is not {tree}") from None

    async def _follow(self) -> None:
        async for event in self._watch:
            if event.kind is Kind.MISSED:
                self.missed += 1
                self.tree = await tree_below(self._client, self._base)
            elif event.path != self._base:
                path = event.path.removeprefix(self._base)
                try:
                    data, stat = await self._client.get(event.path)
                    self.tree[path] = (short(data), stat.version)
                except NoNode:
                    self.tree.pop(path, None)
            self._changed.set()
