"""A number that any number of clients add to: Counter."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Final, Generic, TypeVar

from ..client import Client
from ..errors import BadVersion, NoNode, SessionExpired, TransactionFailed
from .witness import Witnesses

N = TypeVar("N", int, float)

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.3
"""Seconds, at most, before one tries again who was not the first: a thousand who all try at once would take
half a million tries."""
_SHARED_COUNT: Final = struct.Struct(">i")


class Counter(Generic[N]):
    """A number in a znode's data: `count = await counter.add(2)`.

    The layout is that of kazoo's Counter: Python's repr of the number. With curator=True it is that of
    Curator's SharedCount: four bytes, for whole numbers below 2**31. Beside it, below `-witnesses`, each
    client that adds has an ephemeral, by which it finds out what became of an addition whose answer was
    lost.
    """

    def __init__(self, client: Client, path: str, default: N = 0, *, curator: bool = False) -> None:
        """path: made, with all above it, by the first `add`. default: what a znode without data counts for,
        and with it whether this is an int or a float."""
        if curator and not isinstance(default, int):
            raise TypeError("Curator's counters are whole numbers")
        self._client = client
        self._path = path
        self._default: N = default
        self._curator = curator
        self._witnesses = Witnesses(client, path)
        self._turn = asyncio.Lock()
        """Those who add here do not get in each other's way."""

    async def value(self) -> N:
        """The number, now. Raises NoAuth; ValueError if the znode holds something else."""
        try:
            data, _ = await self._client.get(self._path)
        except NoNode:
            return self._default
        return self._decoded(data)

    async def add(self, amount: N) -> N:
        """Add to it, once; the sum.

        If another one changes it at the same time, this is done again on what is there then. Raises NoAuth,
        QuotaExceeded, ValueError as `value` does, and OutcomeUnknown only if the session expired while the
        answer was lost.
        """
        async with self._turn:
            pause = _FIRST_PAUSE
            while True:
                try:
                    data, stat = await self._client.get(self._path)
                    total: N = self._decoded(data) + amount
                    if await self._set(self._encoded(total), stat.version):
                        return total
                    await asyncio.sleep(random.uniform(0, pause))  # noqa: S311
                    pause = min(2 * pause, _LONGEST_PAUSE)
                except NoNode:
                    await self._client.ensure_path(self._path)
                except SessionExpired:  # nothing was done
                    if not self._client.renews:
                        raise

    async def _set(self, data: bytes, version: int) -> bool:
        """Whether this was the next change of that version."""
        try:
            await self._witnesses.commit(lambda transaction: transaction.set(self._path, data, version))
        except TransactionFailed as error:
            if isinstance(error.cause, BadVersion):
                return False
            raise error.cause from None
        return True

    def _decoded(self, data: bytes) -> N:
        if not data:
            return self._default
        try:
            if self._curator:
                (number,) = _SHARED_COUNT.unpack(data)
                return type(self._default)(number)
            return type(self._default)(data.decode("ascii"))
        except (ValueError, struct.error):
            raise ValueError(f"{self._path}: {data[:50]!r} is no number") from None

    def _encoded(self, number: N) -> bytes:
        if not self._curator:
            return repr(number).encode()
        try:
            return _SHARED_COUNT.pack(number)
        except struct.error:
            raise ValueError(f"{self._path}: {number} does not fit four bytes") from None
