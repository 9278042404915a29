"""Locks that are held by one program at a time, or by many readers or one writer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from ..client import Client
from ..values import Created
from .contender import Contender, Held, Holder, below, give_up, gone, is_alive, names_below, texts


class Lock(Holder):
    """Held by one at a time, in the order in which they asked: `async with Lock(client, "/lock") as held:`.

    Whoever contends makes a znode with a number below the lock's path; the lowest holds it, and each watches
    only the one before its own (ZooKeeper's recipes, Locks). Names are kazoo's: a unique token, `__lock__`,
    ten digits; data: the identifier in UTF-8.
    """

    _KIND: ClassVar[str] = "__lock__"
    _WAITS_FOR: ClassVar[tuple[str, ...]] = ("__lock__",)

    def __init__(
        self,
        client: Client,
        path: str,
        identifier: str = "",
        *,
        ephemeral: bool = True,
        others: Iterable[str] = (),
    ) -> None:
        """path: of the lock's znode; made if it is missing. identifier: what `contenders` tells of this one.
        ephemeral: it is released when the session ends; else only by `release`, or by who deletes the znode.
        others: what stands before the number in the names of contenders that other programs make, if those
        are to be waited for as well (`-lock-` of Curator's, and of clients in Go)."""
        super().__init__(client)
        self._path = path
        self._data = identifier.encode()
        self._ephemeral = ephemeral
        waits_for = (*self._WAITS_FOR, *others)
        self._ahead = numbered(waits_for)
        self._all = numbered({*waits_for, self._KIND})

    async def contenders(self) -> list[str]:
        """The identifiers of who holds it and of who waits, in their order."""
        names = await names_below(self._client, self._path)
        ordered = [name for _, name in sorted(matching(self._all, names))]
        return await texts(self._client, self._path, ordered)

    async def _obtain(self, blocking: bool) -> Held | None:
        contender = Contender(self._client, self._path, self._KIND, self._data, ephemeral=self._ephemeral)
        try:
            while True:
                node = await contender.enter()
                if await self._wait(node, blocking):
                    return Held(self._client, node)
                if not blocking:
                    break
        except BaseException:
            await give_up(self._client, contender.leave())
            raise
        await give_up(self._client, contender.leave())
        return None

    async def _wait(self, node: Created, blocking: bool) -> bool:
        """Until nobody is ahead; False if it is not to wait, or its znode is gone."""
        while True:
            names = await names_below(self._client, self._path)
            name = node.path.rpartition("/")[2]
            ((number, _),) = matching(self._all, [name])
            if name not in names or not is_alive(self._client, node.stat):
                return False
            ahead = [match for match in matching(self._ahead, names) if match[0] < number]
            if not ahead:
                return True
            if not blocking:
                return False
            await gone(self._client, below(self._path, max(ahead)[1]))


class WriteLock(Lock):
    """Held by one, while no ReadLock of that path is held, which a Lock does not wait for; else as Lock."""

    _WAITS_FOR = ("__lock__", "__rlock__")


class ReadLock(Lock):
    """Held by any number, while no WriteLock or Lock of that path is held, nor asked for before; else as
    Lock."""

    _KIND = "__rlock__"


def numbered(kinds: Iterable[str]) -> re.Pattern[str]:
    """Names of contenders of these kinds."""
    return re.compile(f"(?:{'|'.join(map(re.escape, kinds))})(-?[0-9]{{10}})$")


def matching(pattern: re.Pattern[str], names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Those that match, with their numbers."""
    for name in names:
        if found := pattern.search(name):
            yield int(found[1]), name
