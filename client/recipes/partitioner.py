"""Items that are divided among those who take part, each given to one of them: SetPartitioner."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeAlias
from uuid import uuid4

from ..client import Client
from ..errors import ConnectionClosed
from .contender import below, give_up
from .lock import Lock
from .party import ShallowParty, identifier_of
from .watching import ChildrenWatch

Divide: TypeAlias = Callable[[str, Sequence[str], Sequence[str]], Sequence[str]]
"""Takes one's own identifier, all members' and all items, both sorted; gives one's own items."""


class PartitionState(StrEnum):
    """Of a member (kazoo's PartitionState)."""

    ALLOCATING = "ALLOCATING"
    """The items are being divided; none is one's own."""
    ACQUIRED = "ACQUIRED"
    """One's own items are nobody else's."""
    RELEASE = "RELEASE"
    """Members have come or gone, or an item may be lost: others wait for what was given here."""
    FAILURE = "FAILURE"
    """It is over, with the session, the client, or the `async with`."""


def slices(identifier: str, members: Sequence[str], items: Sequence[str]) -> Sequence[str]:
    """Every so-manieth item, beginning with one's own place among the members (kazoo's way)."""
    return items[members.index(identifier) :: len(members)]


class SetPartitioner:
    """Divides items among all that use the same path, anew whenever one of them comes or goes.

        async with SetPartitioner(client, "/work", ["a", "b", "c"]) as partitioner:
            async for mine in partitioner:
                ...  # begin to work on those
                await partitioner.changed()
                ...  # end it: going on with the loop gives them to others

    An item is locked by whom it is given to, so that it is never two's, whatever else goes wrong. Layout as
    kazoo's SetPartitioner: a ShallowParty in `PATH/party`, and Locks `PATH/locks/ITEM`.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        items: Iterable[str],
        *,
        identifier: str = "",
        settle: float = 5.0,
        divide: Divide = slices,
    ) -> None:
        """items: the same for all members; without `/`. identifier: of this member, unlike any other's; by
        default of the host and the process. settle: seconds that members must be the same before items are
        given; as long for all. divide: as Divide says, so that all members together come to one solution."""
        self._client = client
        self._path = path
        self._items = sorted(set(items))
        self._identifier = identifier or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._settle = settle
        self._divide = divide
        self._party = ShallowParty(client, below(path, "party"), self._identifier)
        self._members: list[str] = []
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._locks: list[Lock] = []
        self._acquired = False

    @property
    def state(self) -> PartitionState:
        """Now."""
        if self._following is None or self._following.done():
            return PartitionState.FAILURE
        if not self._acquired:
            return PartitionState.ALLOCATING
        lost = self._moved.is_set() or any(lock.held is None or lock.held.lost for lock in self._locks)
        return PartitionState.RELEASE if lost else PartitionState.ACQUIRED

    async def __aenter__(self) -> Self:
        """Take part."""
        await self._party.__aenter__()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what is one's own, and take part no more."""
        if self._following is not None:
            self._following.cancel()
        self._acquired = False
        locks, self._locks = self._locks, []
        # All at once: who is cancelled here gives all back, too.
        await give_up(
            self._client,
            *(lock.release() for lock in locks),
            self._party.__aexit__(kind, error, trace),
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[str]:
        """Give back what was one's own, and wait until items are one's own again: which ones; it may be none.
        Raises SessionExpired, NoAuth; ends with the client."""
        while True:
            await self._release()
            members = await self._settled()
            mine = self._divide(self._identifier, members, self._items)
            if await self._unless_moved(mine):
                self._acquired = True
                return mine

    async def changed(self) -> None:
        """Wait until items must be given back, or may be lost. They are this one's until the loop goes on, as
        long as the session lives."""
        ends = [self._moved.wait(), *(lock.held.lost.wait() for lock in self._locks if lock.held is not None)]
        tasks = [asyncio.create_task(each) for each in ends]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _follow(self) -> None:
        """Know who takes part."""
        present = ChildrenWatch(self._client, below(self._path, "party"))
        try:
            async for names in present:
                self._members = sorted(map(identifier_of, names or []))
                self._moved.set()
        finally:
            present.close()
            self._moved.set()

    async def _settled(self) -> Sequence[str]:
        """Who takes part, once they have stayed the same for a while."""
        while True:
            if self._following is None:
                raise ConnectionClosed("use it in `async with`")
            if self._following.done():
                self._following.result()
                raise StopAsyncIteration
            self._moved.clear()
            if self._identifier not in self._members:
                await self._moved.wait()
                continue
            try:
                async with asyncio.timeout(self._settle):
                    await self._moved.wait()
            except TimeoutError:
                return self._members

    async def _unless_moved(self, mine: Sequence[str]) -> bool:
        """Lock these; False if somebody came or went meanwhile."""
        locking = asyncio.create_task(self._lock(mine))
        moved = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait([locking, moved], return_when=asyncio.FIRST_COMPLETED)
        finally:
            locking.cancel()
            moved.cancel()
            await asyncio.wait([locking])
        if not locking.cancelled():
            locking.result()
        return not self._moved.is_set()

    async def _lock(self, mine: Sequence[str]) -> None:
        for item in mine:
            lock = Lock(self._client, below(below(self._path, "locks"), item), self._identifier)
            await lock.acquire()
            self._locks.append(lock)

    async def _release(self) -> None:
        self._acquired = False
        while self._locks:
            await self._locks.pop().release()
