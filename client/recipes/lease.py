"""Leases: something that is one holder's until a time, whether it lives or not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ..client import Client
from ..errors import BadVersion, ConnectionClosed, NodeExists, NoNode, OutcomeUnknown, TransactionFailed
from ..values import Created, Got
from .contender import Held, anew, below
from .lock import Lock

_VERSION: Final = 1
_TIME: Final = "%Y-%m-%dT%H:%M:%S"


class _Term(NamedTuple):
    """Whose it is, and until when. holder: None in a layout that this version does not know."""

    holder: str | None
    end: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class NonBlockingLease:
    """One holder's for `duration`, whatever becomes of its session: for what is to stay on one host.

    `if await NonBlockingLease(client, "/leases/cleanup", timedelta(hours=1)).obtain():`. Whoever has the same
    identifier is the same holder, and obtains it anew before it ends.

    The end is a time by the holder's clock, and others go by theirs: it is as good as clocks agree. Take a
    duration that leaves room for their difference, or show `token` where it matters. Layout: kazoo's, JSON in
    `lease_holder`, changed by who holds a Lock of the path.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        duration: timedelta,
        identifier: str = "",
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """duration: counted in whole seconds. identifier: the holder's; the host's name if empty. now: the
        time, with a zone."""
        self.end: datetime | None = None
        """When it ends that was obtained; None if it was not."""
        self.token = 0
        """Of what was obtained: the zxid of the change, higher than that of any holder before."""
        self._client = client
        self._path = path
        self._duration = duration
        self._identifier = identifier or socket.gethostname()
        self._now = now
        self._place = below(path, "lease_holder")

    @property
    def obtained(self) -> bool:
        """Whether it was, and has not ended by now."""
        return self.end is not None and self._now() < self.end

    async def obtain(self) -> bool:
        """Take it, or take it anew; False if it is another's. Raises ValueError if the znode holds something
        else."""
        return await self._under_lock(self._take)

    async def release(self) -> bool:
        """Give it back before its end; False if it is another's, or nobody's."""
        self.end = None
        return await self._under_lock(self._drop)

    async def _under_lock(self, change: Callable[[Held], Awaitable[bool]]) -> bool:
        return await anew(self._client, lambda: self._attempt(change))

    async def _attempt(self, change: Callable[[Held], Awaitable[bool]]) -> bool:
        while True:
            try:
                async with Lock(self._client, self._path, self._identifier) as held:
                    return await change(held)
            except OutcomeUnknown:
                pass
            except TransactionFailed as failure:  # the lock was lost, or who is no client of ours changed it
                if not isinstance(failure.cause, NoNode | NodeExists | BadVersion):
                    raise failure.cause from None

    async def _take(self, held: Held) -> bool:
        found, term = await self._look()
        now = self._now()
        if term is not None and term.holder != self._identifier and now < term.end:
            self.end = None
            return False
        end = (now + self._duration).astimezone(UTC).replace(microsecond=0)
        term_data = {"version": _VERSION, "holder": self._identifier, "end": end.strftime(_TIME)}
        data = json.dumps(term_data).encode()
        async with self._client.transaction() as transaction:
            transaction.check(held.path)
            if found is None:
                transaction.create(self._place, data)
            else:
                transaction.set(self._place, data, found.stat.version)
        made = transaction.results[1]
        assert made is not None
        self.token = (made.stat if isinstance(made, Created) else made).mzxid
        self.end = end
        return True

    async def _drop(self, held: Held) -> bool:
        found, term = await self._look()
        if found is None or term is None or term.holder != self._identifier:
            return False
        async with self._client.transaction() as transaction:
            transaction.check(held.path).delete(self._place, found.stat.version)
        return True

    async def _look(self) -> tuple[Got, _Term] | tuple[None, None]:
        """Whose it is, if it is anybody's."""
        try:
            found = await self._client.get(self._place)
        except NoNode:
            return None, None
        return found, _term(self._place, found.data)


class Lease(NonBlockingLease):
    """As NonBlockingLease; who finds it taken waits until it ends, or is given back.

    Those who wait do so behind a Lock beside the path, `-__lock__`: one by one, in the order in which they
    asked.
    """

    async def obtain(self, timeout: float | None = None) -> bool:
        """Wait for it, for `timeout` seconds at most; False if it is another's still."""
        try:
            async with asyncio.timeout(timeout):
                if await self._is_own() and await super().obtain():  # those who wait do so for this one
                    return True
                async with Lock(self._client, f"{self._path}-__lock__", self._identifier):
                    while not await super().obtain():
                        await self._end()
        except TimeoutError:
            return False
        return True

    async def _is_own(self) -> bool:
        term = (await self._look())[1]
        return term is not None and term.holder == self._identifier

    async def _end(self) -> None:
        """Wait until it can be had, perhaps."""
        watch = self._client.watch(self._place)
        try:
            while (term := (await self._look())[1]) is not None and (now := self._now()) < term.end:
                with suppress(TimeoutError):
                    async with asyncio.timeout((term.end - now).total_seconds()):
                        await anext(watch)
        except StopAsyncIteration:
            raise ConnectionClosed("the client is closed") from None
        finally:
            watch.close()


def _term(path: str, data: bytes) -> _Term:
    try:
        match json.loads(data):
            case {"version": 1, "holder": str(holder), "end": str(end)}:
                return _Term(holder, datetime.strptime(end, _TIME).replace(tzinfo=UTC))
            case {"version": int()}:
                return _Term(None, datetime.max.replace(tzinfo=UTC))
    except ValueError:
        pass
    raise ValueError(f"{path}: holds no lease, but {data[:80]!r}")
