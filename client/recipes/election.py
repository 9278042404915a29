"""An election: one of several leads, and when it has gone, the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, TypeVar

from ..client import Client
from ..errors import ConnectionClosed, NoNode
from ..values import Kind
from .contender import Held, below, gone, names_below, told
from .lock import Lock, matching, numbered

T = TypeVar("T")

_NUMBERED = numbered(["__lock__"])


class Leader(NamedTuple):
    """Who leads: its identifier, and the token that it leads by."""

    identifier: str
    token: int


class Election:
    """Lead while `async with Election(client, "/election", "me") as held:` lasts, which waits to be elected.

    It is a Lock, as kazoo's: held.token rises from leader to leader, held.lost tells the end of it. `leader`
    and `leaders` tell those who do not stand themselves.
    """

    def __init__(self, client: Client, path: str, identifier: str = "") -> None:
        """identifier: what others are told of this one."""
        self._client = client
        self._path = path
        self._lock = Lock(client, path, identifier)

    async def run(self, work: Callable[[Held], Coroutine[object, object, T]]) -> T:
        """Wait to be elected, then do work, which is given what it holds; its result. If the lead is lost
        meanwhile, work is cancelled, and LockLost raised: run it again to stand again."""
        async with self as held:
            return await held.guard(work(held))

    async def __aenter__(self) -> Held:
        return await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lock.release()

    async def contenders(self) -> list[str]:
        """The identifiers of who leads and of who stands, in their order."""
        return await self._lock.contenders()

    async def leader(self) -> Leader | None:
        """Who leads, as far as this client's server knows; None if nobody does."""
        found = await self._find()
        return found[1] if found else None

    async def leaders(self) -> AsyncIterator[Leader | None]:
        """Who leads, then who does after that, and so on until the client is closed; who led for a moment
        only may be left out. None: nobody does.

        It watches the leader's znode; the election's while there is no leader.
        """
        last: Leader | None = None
        first = True
        with suppress(ConnectionClosed):
            while True:
                path, leader = await self._find() or (None, None)
                if first or leader != last:
                    yield leader
                first, last = False, leader
                if path is not None:
                    await gone(self._client, path)
                else:
                    await self._somebody()

    async def _find(self) -> tuple[str, Leader] | None:
        """The leader's znode, and who it is."""
        while True:
            names = await names_below(self._client, self._path)
            numbers = sorted(matching(_NUMBERED, names))
            if not numbers:
                return None
            path = below(self._path, numbers[0][1])
            with suppress(NoNode):
                data, stat = await self._client.get(path)
                return path, Leader(data.decode(errors="replace"), stat.czxid)

    async def _somebody(self) -> None:
        """Wait until somebody may stand."""
        watch = self._client.watch(self._path)
        try:
            if await self._find() is None:
                await told(watch, Kind.CHILDREN)
        finally:
            watch.close()
