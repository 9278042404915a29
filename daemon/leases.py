"""Who holds a session here, and which sessions have been silent for too long."""

from __future__ import annotations

from dataclasses import dataclass

from ..api.connection import Connection


@dataclass(slots=True)
class Lease:
    """A session as this server sees it. timeout in ms; heard is monotonic, in seconds, as is touched: when
    its client was heard by this server, if not on the connection."""

    session: int
    timeout: int
    heard: float
    touched: float = 0.0
    connection: Connection | None = None
    closing: bool = False
    bucket: int = 0
    """The one in which it is looked for."""

    def deadline(self, tick: int) -> int:
        """When it expires, monotonic ms: rounded up to a tick, as ZooKeeper's ExpiryQueue does."""
        heard = self.heard if self.connection is None else max(self.heard, self.connection.heard)
        return (int(heard * 1000 + self.timeout) // tick + 1) * tick


class Leases:
    """All sessions by id, and in buckets of a tick by when they may expire.

    A touch costs nothing: a lease is looked at again when its bucket is due, and moved on if its
    client was heard meanwhile. Only a leader keeps the buckets: nobody else empties them.
    """

    def __init__(self, tick: int) -> None:
        self.tick = tick
        self._led = False
        self._leases: dict[int, Lease] = {}
        self._buckets: dict[int, list[Lease]] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, session: int) -> Lease | None:
        """The lease of a session, if there is one."""
        return self._leases.get(session)

    def add(self, session: int, timeout: int, now: float) -> Lease:
        """Begin a lease; now is monotonic."""
        lease = self._leases[session] = Lease(session, timeout, now)
        self._queue(lease)
        return lease

    def remove(self, session: int) -> Lease | None:
        """End a lease."""
        return self._leases.pop(session, None)

    def change(self, lease: Lease, timeout: int, now: float) -> None:
        """Give a lease another timeout in ms, a full one: its client was heard now (monotonic)."""
        lease.timeout = timeout
        lease.heard = now
        if lease.deadline(self.tick) < lease.bucket:
            self._queue(lease)

    def renew(self, now: float) -> None:
        """Begin to expire sessions, each after a full timeout, as a new leader does."""
        self._buckets.clear()
        self._led = True
        for lease in self._leases.values():
            lease.heard = now
            lease.closing = False
            self._queue(lease)

    def rest(self) -> None:
        """Expire nobody from now on: another server leads."""
        self._led = False
        self._buckets.clear()
        for lease in self._leases.values():
            lease.closing = False

    def overdue(self, now: float) -> list[Lease]:
        """The leases that have run out by now (monotonic seconds) and are not being closed yet; one
        that is, is asked for again a tick later in case its closing fails."""
        due: list[Lease] = []
        moment = int(now * 1000)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= moment):
            for lease in self._buckets.pop(bucket):
                if lease.bucket != bucket or self._leases.get(lease.session) is not lease:
                    continue
                if lease.connection is not None and lease.connection.held:
                    lease.heard = now  # its pings wait unread: that is our doing
                if lease.deadline(self.tick) > moment:
                    self._queue(lease)
                else:
                    if not lease.closing:
                        due.append(lease)
                    self._put(lease, (moment // self.tick + 1) * self.tick)
        return due

    def heard_since(self, since: float) -> list[int]:
        """The sessions whose clients were heard here since then (monotonic), or could not be: those that
        are held."""
        heard = []
        for lease in self._leases.values():
            connection = lease.connection
            if lease.touched >= since or (
                connection is not None and (connection.held or connection.heard >= since)
            ):
                heard.append(lease.session)
        return heard

    def by_deadline(self) -> dict[int, list[int]]:
        """Sessions by when they expire, monotonic ms, as things stand."""
        groups: dict[int, list[int]] = {}
        for lease in self._leases.values():
            groups.setdefault(lease.deadline(self.tick), []).append(lease.session)
        return groups

    def _queue(self, lease: Lease) -> None:
        self._put(lease, lease.deadline(self.tick))

    def _put(self, lease: Lease, bucket: int) -> None:
        lease.bucket = bucket
        if self._led:
            self._buckets.setdefault(bucket, []).append(lease)
