"""A semaphore: something that a limited number of programs may have at the same time."""

from __future__ import annotations

from contextlib import suppress

from ..client import Client
from ..errors import NodeExists, NoNode, OutcomeUnknown, TransactionFailed
from ..values import Created, Kind
from .contender import Contender, Held, Holder, give_up, names_below, texts, told
from .lock import Lock


class Semaphore(Holder):
    """Held by `leases` at a time, in the order in which they asked: `async with Semaphore(client, "/s", 3):`.

    Layout and rule are kazoo's (and Curator's InterProcessSemaphoreV2): who wants a lease waits for a lock
    beside the path, `-__lock__`, and its holder alone watches how many leases there are; a lease is an
    ephemeral below the path, named by a unique token, with the identifier in UTF-8. The path's data say how
    many leases there may be. A lease is made together with a check that the lock is still there, so that
    there are never too many.
    """

    def __init__(self, client: Client, path: str, leases: int = 1, identifier: str = "") -> None:
        """leases: how many there may be; all that share a semaphore say the same, or acquire raises
        ValueError. identifier: what `holders` tells of this one."""
        if leases < 1:
            raise ValueError(f"{path}: {leases} leases are none")
        super().__init__(client)
        self._path = path
        self._leases = leases
        self._identifier = identifier

    async def holders(self) -> list[str]:
        """The identifiers of who holds a lease, in no order."""
        return await texts(self._client, self._path, await names_below(self._client, self._path))

    async def _obtain(self, blocking: bool) -> Held | None:
        while True:
            await self._agree()
            queue = Lock(self._client, f"{self._path}-__lock__", self._identifier)
            turn = await queue.acquire(blocking=blocking)
            if turn is None:
                return None
            lease = Contender(self._client, self._path, "", self._identifier.encode(), sequential=False)
            try:
                node = await self._take(turn, lease, blocking)
                await queue.release()
            except BaseException:
                await give_up(self._client, lease.leave(), queue.release())
                raise
            if node is not None:
                return Held(self._client, node)
            if not blocking:
                return None

    async def _agree(self) -> None:
        """Say how many leases there may be, unless it is said already."""
        while True:
            try:
                said = (await self._client.get(self._path)).data
            except NoNode:
                with suppress(NodeExists, OutcomeUnknown):
                    await self._client.create(self._path, str(self._leases).encode(), parents=True)
            else:
                if said.isdigit() and int(said) != self._leases:  # other data serve something else
                    raise ValueError(f"{self._path}: is for {int(said)} leases, not for {self._leases}")
                return

    async def _take(self, turn: Held, lease: Contender, blocking: bool) -> Created | None:
        """Wait for a lease, and take it; None if it is not to wait, or it is not its turn any more."""
        watch = self._client.watch(self._path)
        try:
            while not turn.lost:
                if found := await lease.find():  # made, though the answer was lost
                    return found
                names = await names_below(self._client, self._path)
                if len(names) < self._leases:
                    try:
                        return await self._make(turn, lease)
                    except OutcomeUnknown:
                        continue
                    except TransactionFailed as failure:
                        if isinstance(failure.cause, NoNode):
                            return None
                        raise failure.cause from None
                if not blocking:
                    return None
                await told(watch, Kind.CHILDREN)
            return await lease.find()
        finally:
            watch.close()

    async def _make(self, turn: Held, lease: Contender) -> Created:
        async with self._client.transaction() as transaction:
            transaction.check(turn.path)
            transaction.create(lease.path, self._identifier.encode(), ephemeral=True)
        created = transaction.results[1]
        assert isinstance(created, Created)
        return created
