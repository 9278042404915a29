"""What became of a change whose answer was lost is found out here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4
from weakref import WeakKeyDictionary

from ..client import Client
from ..errors import ConnectionClosed, NodeExists, NoNode, OutcomeUnknown, SessionExpired, TransactionFailed
from ..transaction import Transaction
from .contender import below

_MOST: Final = 64
"""Transactions of a client, on what lies beside each other, that wait for their answers."""


class _Pool:
    """Witnesses below one path that no transaction has at present, and turns to have one."""

    def __init__(self) -> None:
        self.free: list[str] = []
        self.turns = asyncio.Semaphore(_MOST)


_pools: WeakKeyDictionary[Client, dict[str, _Pool]] = WeakKeyDictionary()
"""Of each client, by folder: what it does there shares them."""


class Witnesses:
    """Ephemerals of one's own that are changed together with what has to be known of.

    A transaction whose answer was lost was done if its witness has changed; each is lent to one transaction
    at a time, and nothing else changes it. (A token in an entry of a queue, as others protect their creates,
    would not do: entries are ordered by their names, and their data is all the user's.)
    """

    def __init__(self, client: Client, path: str) -> None:
        """path: what is changed. They are beside it, below `-witnesses`, a container: the server deletes it
        once it is empty."""
        self._client = client
        self._path = path
        self._folder = below(path.rpartition("/")[0], "-witnesses")
        self._pool = _pools.setdefault(client, {}).setdefault(self._folder, _Pool())

    async def commit(self, fill: Callable[[Transaction], object]) -> None:
        """Have done, once, what fill puts into a transaction.

        Raises TransactionFailed if it is refused, SessionExpired if it was not sent, and OutcomeUnknown
        only if the session expired before it could be found out.
        """
        async with self._pool.turns:
            await self._commit(fill)

    async def _commit(self, fill: Callable[[Transaction], object]) -> None:
        free = self._pool.free
        while True:
            witness = free.pop() if free else await self._make()
            usable = True
            transaction = self._client.transaction()
            fill(transaction)
            own = len(transaction.gathered)
            token = uuid4().bytes
            transaction.set(witness, token)
            try:
                await transaction.commit()
                return
            except TransactionFailed as error:
                usable = error.index < own
                if usable or not isinstance(error.cause, NoNode):
                    raise
            except SessionExpired:
                usable = False
                raise
            except OutcomeUnknown:
                usable = False
                try:
                    changed = (await self._client.get(witness)).data == token
                except (NoNode, SessionExpired, ConnectionClosed):
                    raise OutcomeUnknown(
                        f"{self._path}: the answer was lost, and then the session ended"
                    ) from None
                usable = True
                if changed:
                    return
            finally:
                if usable:
                    free.append(witness)

    async def _make(self) -> str:
        path = below(self._folder, uuid4().hex)
        while True:
            try:
                await self._client.create(path, ephemeral=True)
            except NodeExists:  # of a try before
                pass
            except NoNode:
                with suppress(NodeExists, OutcomeUnknown):
                    await self._client.create(self._folder, container=True, parents=True)
                continue
            except OutcomeUnknown:
                continue
            return path
