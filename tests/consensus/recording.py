"""A replica that writes down what its backend does, and the implementations that must pass the suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from znoded.consensus.contract import Consensus, Entry, Snapshot, Waiter
from znoded.consensus.ensemble import Ensemble
from znoded.consensus.raft.backend import RaftBackend
from znoded.consensus.standalone import Standalone
from znoded.consensus.zab.backend import Zab
from znoded.storage.log import Log

Applied: TypeAlias = tuple[int, bytes, Waiter | None]


class Recording:
    """Keeps what comes, in order; durable_zxid is asked at every apply."""

    def __init__(self, log: Log, applied_zxid: int = 0) -> None:
        self.applied_zxid = applied_zxid
        self.generation = 0
        self.size = 0
        self.applied: list[Applied] = []
        self.batches: list[int] = []
        self.drops: list[tuple[Waiter, str, bool]] = []
        self.barriers: list[tuple[Waiter, int]] = []
        self.leads: list[int | None] = []
        self.serves: list[bool] = []
        self.messages: list[bytes] = []
        self.too_early: list[int] = []
        self.on_apply: Callable[[Applied], None] = lambda entry: None
        self.on_dropped: Callable[[Waiter], None] = lambda waiter: None
        self._log = log
        self._news = asyncio.Event()

    def apply(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.batches.append(len(entries))
        for entry in entries:
            if entry[0] > self._log.durable_zxid:
                self.too_early.append(entry[0])
            self.applied_zxid = entry[0]
            self.applied.append(entry)
            self.on_apply(entry)
        self._news.set()

    def dropped(self, waiters: Iterable[Waiter], reason: str, *, unknown: bool) -> None:
        for waiter in waiters:
            self.drops.append((waiter, reason, unknown))
            self.on_dropped(waiter)
        self._news.set()

    def reached(self, waiters: Iterable[Waiter]) -> None:
        self.barriers.extend((waiter, self.applied_zxid) for waiter in waiters)
        self._news.set()

    def serve(self, serving: bool) -> None:
        self.serves.append(serving)
        self._news.set()

    def heard(self, message: bytes) -> None:
        self.messages.append(message)

    async def snapshot(self) -> Snapshot:
        raise AssertionError("nobody lags here")

    def check(self, source: Path) -> int:
        raise AssertionError("nobody lags here")

    async def restore(self, source: Path) -> None:
        raise AssertionError("nobody lags here")

    def leading(self, generation: int | None) -> None:
        self.leads.append(generation)

    @property
    def txns(self) -> list[bytes]:
        return [txn for _, txn, _ in self.applied]

    @property
    def zxids(self) -> list[int]:
        return [zxid for zxid, _, _ in self.applied]

    async def until_applied(self, count: int) -> None:
        """Wait for that many entries, those replayed included."""
        await self.until(lambda: len(self.applied) >= count)
        assert len(self.applied) == count

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told makes it true."""
        while not condition():
            self._news.clear()
            await self._news.wait()


class Deaf:
    """A meter that nobody reads."""

    def synced(self, seconds: float) -> None: ...

    def looking(self) -> None: ...

    def elected(self, seconds: float) -> None: ...

    def proposed(self, sizes: Sequence[int]) -> None: ...

    def agreed(self, seconds: float) -> None: ...

    def passed(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """An implementation as the suite tries it: server me among so many, who come and go with it."""

    make: Callable[[int, Sequence[int], Log, Path], Consensus]
    """Takes the server's id, every server's port, the server's log and its directory."""
    servers: int = 1
    me: int = 1


def _standalone(me: int, ports: Sequence[int], log: Log, directory: Path) -> Consensus:
    return Standalone(log, lambda seconds: None)


def _zab(me: int, ports: Sequence[int], log: Log, directory: Path) -> Consensus:
    addresses = {sid: ("127.0.0.1", port) for sid, port in enumerate(ports, 1)}
    return Zab(Ensemble(me, frozenset(addresses), addresses, 20, 10, b"", directory), log, Deaf())


def _raft(me: int, ports: Sequence[int], log: Log, directory: Path) -> Consensus:
    addresses = {sid: ("127.0.0.1", port) for sid, port in enumerate(ports, 1)}
    return RaftBackend(Ensemble(me, frozenset(addresses), addresses, 20, 10, b"", directory), log, Deaf())


KINDS: Final = {
    "standalone": Kind(_standalone),
    "zab alone": Kind(_zab),
    # Of servers with equal logs the one with the greatest id leads.
    "zab follower": Kind(_zab, 3, 1),
    "zab leader": Kind(_zab, 3, 3),
    "raft alone": Kind(_raft),
    "raft follower": Kind(_raft, 3, 1),
    "raft leader": Kind(_raft, 3, 3),
}


def open_log(directory: Path) -> Log:
    return Log(directory / "log", segment_size=1 << 16)
