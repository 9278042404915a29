"""Barriers: wait until something is out of the way, or until all are there."""

from __future__ import annotations

import asyncio
import os
import socket
from types import TracebackType
from typing import Final, Self

from ..client import Client
from ..errors import BadVersion, NodeExists, NoNode, OutcomeUnknown, TransactionFailed
from ..values import Created, Kind
from ..watches import Watch
from .contender import Contender, anew, below, by_itself, give_up, gone, names_below, remove, told

_READY: Final = "ready"


class Barrier:
    """Stands as long as its znode is there; who comes to it waits (ZooKeeper's recipes, Barriers).

    `async with Barrier(client, "/b"):` puts it up, and takes it away at the end.
    """

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path

    async def create(self) -> None:
        """Put it up, if it does not stand already. It does not end with the session."""
        await self._client.ensure_path(self._path)

    async def remove(self) -> bool:
        """Take it away, and let all go on that wait; False if it did not stand."""
        return await anew(self._client, self._remove)

    async def _remove(self) -> bool:
        lost = False
        while True:
            try:
                await self._client.delete(self._path)
            except OutcomeUnknown:
                lost = True
            except NoNode:
                return lost
            else:
                return True

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until it does not stand, for `timeout` seconds at most; False if it stands still."""
        try:
            async with asyncio.timeout(timeout):
                await self._clear()
        except TimeoutError:
            return False
        return True

    async def _clear(self) -> None:
        while await self._client.exists(self._path) is not None:
            await gone(self._client, self._path)

    async def __aenter__(self) -> Self:
        await self.create()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(by_itself(self._end()))

    async def _end(self) -> None:
        await self.remove()


class DoubleBarrier:
    """Begin together, end together: `async with DoubleBarrier(client, "/b", 3):` waits for three to enter,
    and at its end until all have left.

    Each has an ephemeral below the path, named by a unique token. Who comes last makes `ready`, and sets the
    path's data with it, to what they are: so one that comes back after a lost connection sees by their time
    that the barrier was opened since it came, though the others may be leaving already. (ZooKeeper's recipes,
    Double Barriers, with kazoo's names.)
    """

    def __init__(self, client: Client, path: str, count: int, identifier: str = "") -> None:
        """count: how many must be there. identifier: the data of this one's znode; host and process if
        empty."""
        self._client = client
        self._path = path
        self._count = count
        self._ready = below(path, _READY)
        self._data = (identifier or f"{socket.getfqdn()}-{os.getpid()}").encode()
        self._member: Contender | None = None

    async def enter(self) -> None:
        """Wait until all are there. A wait that is cancelled leaves nothing behind."""
        if self._member is not None:
            raise RuntimeError(f"{self._path}: this one has entered already")
        watch = self._client.watch(self._ready)  # before anybody can count this one
        member = Contender(self._client, self._path, "", self._data, sequential=False)
        try:
            await anew(self._client, lambda: self._wait(member, watch))
        except BaseException:
            await give_up(self._client, member.leave())
            raise
        finally:
            watch.close()
        self._member = member

    async def leave(self) -> None:
        """Wait until all have left that are there. One that is cancelled has left all the same."""
        member, self._member = self._member, None
        if member is None:
            return
        own = member.path.rpartition("/")[2]
        try:
            await remove(self._client, self._ready)
            # All that were let in are there, as none is through before this one leaves. Who comes later is
            # of another round, and waits for this one perhaps.
            these = await self._members()
            while left := sorted(these & await self._members()):
                if left == [own]:
                    await remove(self._client, member.path)
                elif left[0] == own:
                    await gone(self._client, below(self._path, left[-1]))
                else:
                    await remove(self._client, member.path)
                    await gone(self._client, below(self._path, left[0]))
        except BaseException:
            await give_up(self._client, member.leave())
            raise

    async def _wait(self, member: Contender, watch: Watch) -> None:
        while not await self._open(await member.enter()):
            if await told(watch, Kind.CREATED) is Kind.CREATED:
                return

    async def _open(self, own: Created) -> bool:
        """Whether all have been there since this one came; who finds it so first lets the others in."""
        while True:
            data, stat = await self._client.get(self._path)
            ready = await self._client.exists(self._ready)
            if max(stat.mzxid, ready.czxid if ready else 0) > own.stat.czxid:
                return True
            if len(await self._members()) < self._count:
                return False
            transaction = self._client.transaction()
            if ready is not None:  # left behind by a round that ended badly
                transaction.delete(self._ready)
            transaction.create(self._ready).set(self._path, data, stat.version)
            try:
                await transaction.commit()
            except OutcomeUnknown:
                pass
            except TransactionFailed as failure:
                if not isinstance(failure.cause, NodeExists | NoNode | BadVersion):
                    raise failure.cause from None

    async def _members(self) -> set[str]:
        return {*await names_below(self._client, self._path)} - {_READY}

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
