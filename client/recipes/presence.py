"""An ephemeral znode that is there as long as somebody is, in one session after the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from ..client import Client
from ..errors import ConnectionClosed, NodeExists, NoNode, OutcomeUnknown, SessionExpired
from ..feed import Feed
from ..values import State
from .contender import give_up, insisting, remove


class Presence:
    """An async context manager: the znode is there from its begin to its end.

    If the client renews a session that expired, the znode is made again. One of the same path that another
    session left is replaced.
    """

    def __init__(self, client: Client, path: str, data: bytes, *, container: bool = False) -> None:
        """container: what is made above it is deleted by the server once it is empty."""
        self._client = client
        self._path = path
        self._data = data
        self._container = container
        self._owner = 0
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        states = self._client.states()
        try:
            await self._appear()
        except BaseException:
            await give_up(self._client, self._vanish())
            raise
        self._following = asyncio.create_task(self._follow(states))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
        await give_up(self._client, self._vanish())

    async def _follow(self, states: Feed[State]) -> None:
        async for state in states:
            with suppress(ConnectionClosed):  # over, or between two sessions
                if state is State.CONNECTED and self._client.session[0] != self._owner:
                    await insisting(self._appear)

    async def _appear(self) -> None:
        while True:
            try:
                made = await self._client.create(self._path, self._data, ephemeral=True)
                self._owner = made.stat.ephemeral_owner
                return
            except OutcomeUnknown:
                pass
            except NoNode:
                await self._make_parent()
            except NodeExists:
                stat = await self._client.exists(self._path)
                if stat is None:
                    continue
                if stat.ephemeral_owner == self._client.session[0]:  # made by a try before
                    self._owner = stat.ephemeral_owner
                    return
                await remove(self._client, self._path)
            except SessionExpired:
                if not self._client.renews:
                    raise

    async def _make_parent(self) -> None:
        parent = self._path.rpartition("/")[0]
        if not self._container:
            await self._client.ensure_path(parent)
            return
        with suppress(NodeExists, OutcomeUnknown):
            await self._client.create(parent, container=True, parents=True)

    async def _vanish(self) -> None:
        # A create that was given up may still be under way; the session's reads come behind it.
        while (stat := await self._client.exists(self._path)) is not None:
            if stat.ephemeral_owner != self._client.session[0]:
                return
            with suppress(NoNode, OutcomeUnknown):
                await insisting(lambda: self._client.delete(self._path))
