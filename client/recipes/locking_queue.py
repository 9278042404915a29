"""A queue whose entries are locked until the work on them is done: LockingQueue."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from ..client import Client
from ..errors import (
    ConnectionClosed,
    NodeExists,
    NoNode,
    OutcomeUnknown,
    SessionExpired,
    TransactionFailed,
)
from ..values import Kind, Stat
from .contender import remove
from .queue import BaseQueue, Line


class _Held(NamedTuple):
    """An entry that is locked here; session: that the lock ends with."""

    name: str
    value: bytes
    session: int


class LockingQueue(BaseQueue):
    """Entries that are locked while somebody works on them, and are gone once that is done.

    `get` locks the first one; `consume` deletes it, `release` leaves it to others. If whoever locked it dies,
    it is there again once its session ends. One object holds one entry at a time: until it is consumed or
    released, `get` returns the same one, and so does `async for value in queue`. Layout as kazoo's
    LockingQueue: `PATH/entries/entry-PRIORITY-NUMBER`, and ephemerals of the same name in `PATH/taken`;
    `-witnesses` as Queue's.
    """

    _prefix = "entry-"

    def __init__(self, client: Client, path: str) -> None:
        """path: made, with all above it, when it is first used."""
        super().__init__(client, path, f"{path}/entries")
        self._taken = f"{path}/taken"
        self._id = uuid4().hex.encode()
        self._held: _Held | None = None

    async def holds_lock(self) -> bool:
        """Whether this object holds an entry, by the newest that servers know."""
        held = self._held
        if held is None or not self._is_current(held):
            return False
        await self._client.sync(self._path)
        return await self._lock_on(held.name) is not None

    async def consume(self) -> bool:
        """Delete the entry that `get` has returned; False if it is held no more: then others get it. Raises
        OutcomeUnknown only if the session expired while the answer was lost."""
        return await self._part(f"{self._entries}/", f"{self._taken}/", unseen=False)

    async def release(self) -> bool:
        """Leave the entry that is held to others; False if none is held, any more."""
        return await self._part(f"{self._taken}/", unseen=True)

    async def _part(self, *folders: str, unseen: bool) -> bool:
        """Delete what is named as the entry that is held, and hold it no more. unseen: also if it is held
        by a `get` that was cancelled."""
        async with self._turn:
            if self._taking is not None:
                if not unseen:
                    return False
                await asyncio.wait([self._taking])
                self._taking = None
            while (held := self._held) is not None and self._is_current(held):
                transaction = self._client.transaction()
                for folder in folders:
                    transaction.delete(folder + held.name)
                try:
                    # It is sent in the session that holds the lock, or never.
                    await transaction.commit()
                except TransactionFailed as error:
                    if not isinstance(error.cause, NoNode):
                        raise error.cause from None
                    break
                except SessionExpired:
                    break
                except OutcomeUnknown:
                    with suppress(SessionExpired):
                        # As long as the session lives, nobody else ends the lock.
                        if await self._lock_on(held.name) is not None:
                            continue
                    if not self._is_current(held):
                        raise
                self._held = None
                return True
            self._held = None
            return False

    async def _next(self, deadline: float | None) -> bytes | None:
        if self._taking is None and self._held is not None and self._is_current(self._held):
            return self._held.value
        return await super()._next(deadline)

    async def _read(self) -> Line:
        return Line(await self._names(self._entries), await self._names(self._taken))

    def _follow(self, line: Line, kind: Kind, folder: str, name: str) -> None:
        super()._follow(line, kind, folder, name)
        if folder == self._taken:
            if kind is Kind.CREATED:
                line.lock(name)
            elif kind is Kind.DELETED:
                line.unlock(name)

    async def _take(self, name: str) -> bytes | None:
        lock = await self._lock(name)
        if lock is None:
            return None
        try:
            value = (await self._client.get(f"{self._entries}/{name}")).data
        except NoNode:  # it was consumed meanwhile
            self._dropped(name)
            await remove(self._client, f"{self._taken}/{name}")
            return None
        self._held = _Held(name, value, lock.ephemeral_owner)
        return value

    async def _lock(self, name: str) -> Stat | None:
        """Of this object's lock on it; None if another one has it."""
        while True:
            try:
                return (await self._client.create(f"{self._taken}/{name}", self._id, ephemeral=True)).stat
            except OutcomeUnknown:
                pass
            except NoNode:
                await self._ensure()
            except NodeExists:
                lock = await self._lock_on(name)  # by a try before
                if lock is None and self._line is not None:
                    self._line.lock(name)
                return lock

    async def _ensure(self) -> None:
        await self._client.ensure_path(self._entries)
        await self._client.ensure_path(self._taken)

    async def _lock_on(self, name: str) -> Stat | None:
        """Of the lock on it, if that is this object's, in this session."""
        try:
            data, stat = await self._client.get(f"{self._taken}/{name}")
        except NoNode:
            return None
        return stat if data == self._id and stat.ephemeral_owner == self._session else None

    def _is_current(self, held: _Held) -> bool:
        """Whether the session that locked it goes on."""
        return held.session == self._session

    @property
    def _session(self) -> int:
        """Its id, or 0."""
        try:
            return self._client.session[0]
        except ConnectionClosed:
            return 0
