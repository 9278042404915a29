"""The contract between a consensus backend and the replica above it.

A backend puts opaque transactions into one order and hands them, durable on a majority, to its
replica. It never looks into a transaction, and the replica never learns how the order was made.
Everything here runs on one event loop; nothing here blocks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

Waiter: TypeAlias = object
"""Whoever waits for a transaction's result on this server; the backend only carries it."""

Record: TypeAlias = tuple[int, bytes]
"""(zxid, transaction), as a log holds it."""

Entry: TypeAlias = tuple[int, bytes, Waiter | None]
"""(zxid, transaction, waiter): committed, to be applied. waiter is None for what others proposed."""


class Role(StrEnum):
    """What this server is now; the words are those of ZooKeeper's `srvr`."""

    STANDALONE = "standalone"
    LEADER = "leader"
    FOLLOWER = "follower"
    OBSERVER = "observer"
    LOOKING = "looking"


class NotServing(Exception):
    """A definite refusal: the transaction was not taken and never will be. Says why."""


class Peer(NamedTuple):
    """Another server of the ensemble; from follows on: known of a leader's learners alone."""

    id: int
    observer: bool
    connected: bool
    sent: int
    """Bytes sent to it since the start."""
    follows: bool = False
    synced: bool = False
    """It is up to date, and serves clients."""
    lag: int = 0
    """Transactions that it has not acknowledged yet."""
    messages: int = 0
    """Sent to it since the start."""


@dataclass(frozen=True, slots=True)
class Status:
    """role; epoch (counts leaderships); leader (server id, None without one); the other servers;
    lag (entries known to be committed but not yet applied here)."""

    role: Role
    epoch: int
    leader: int | None
    peers: tuple[Peer, ...]
    lag: int
    phase: str = ""
    """How far an ensemble's server has come: election, discovery, synchronization, broadcast."""
    since: float = 0.0
    """When the role began, monotonic."""
    pending_syncs: int = 0
    """Barriers for which a leader waits to hear a majority."""


class Meter(Protocol):
    """Hears how long things took, in seconds, and how much there was of them."""

    def synced(self, seconds: float) -> None:
        """The log."""
        ...

    def looking(self) -> None:
        """An election begins."""
        ...

    def elected(self, seconds: float) -> None:
        """This server had no leader for so long, and has one now."""
        ...

    def proposed(self, sizes: Sequence[int]) -> None:
        """A leader has put transactions of so many bytes into their order."""
        ...

    def agreed(self, seconds: float) -> None:
        """From then until a majority had them."""
        ...

    def passed(self, seconds: float) -> None:
        """A batch that was proposed on this server, from then until it was applied here."""
        ...


class Snapshot(Protocol):
    """A state of the replica, as bytes that another replica's restore() takes. zxid: the last
    transaction in it."""

    @property
    def zxid(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]:
        """Chunks, each well below a millisecond of work."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Replica(Protocol):
    """What a backend drives: the state above, on this server."""

    @property
    def applied_zxid(self) -> int:
        """The last transaction in the state: a restart goes on after it."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the state, roughly."""
        ...

    @property
    def generation(self) -> int:
        """The highest generation in the state."""
        ...

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries, in order, each exactly once."""
        ...

    def dropped(self, waiters: Iterable[Waiter], reason: str, *, unknown: bool) -> None:
        """These proposals get no result here. unknown: they may yet be applied somewhere."""
        ...

    def reached(self, waiters: Iterable[Waiter]) -> None:
        """The barriers of these waiters are passed."""
        ...

    def serve(self, serving: bool) -> None:
        """Clients can be served from now on; or no longer: their connections are closed."""
        ...

    def leading(self, generation: int | None) -> None:
        """This server leads from now on, under that generation; None: it no longer does."""
        ...

    def heard(self, message: bytes) -> None:
        """Another server's replica sent this to its leader."""
        ...

    async def snapshot(self) -> Snapshot:
        """The state as it is now, at least. Raises OSError."""
        ...

    def check(self, source: Path) -> int:
        """Read a file that should hold a snapshot's chunks; its zxid. On any thread; takes a while. Raises
        OSError, also for a file that holds something else, or only a part."""
        ...

    async def restore(self, source: Path) -> None:
        """Put the snapshot of a checked file in the state's place, durably. Cut off in the middle, or by
        OSError, it must be done over before anything else; the next start does so, as long as the file is
        there."""
        ...


class Consensus(Protocol):
    """One way to order transactions."""

    @property
    def status(self) -> Status:
        """How this server stands in the ensemble."""
        ...

    async def start(self, replica: Replica) -> None:
        """Replay what the log holds beyond the replica's state, then take part."""
        ...

    async def stop(self) -> None:
        """Let go of every resource. Whoever waits is answered or dropped: standalone, what is in flight is
        finished; in an ensemble it is for the others to decide."""
        ...

    def propose(self, txn: bytes, waiter: Waiter) -> None:
        """Order txn. The waiter comes back exactly once, by apply or by dropped, in the order of
        the calls. Raises NotServing when it can be said at once that txn is not taken."""
        ...

    def barrier(self, waiter: Waiter) -> None:
        """Hand waiter to reached() once everything committed before this call is applied here,
        as a majority confirms after the call; or to dropped(). Raises NotServing."""
        ...

    def to_leader(self, message: bytes) -> None:
        """Send a message to the leader's replica; it may be lost."""
        ...
