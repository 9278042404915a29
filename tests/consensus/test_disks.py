"""A server whose disk gives up leaves the others to go on, and has missed nothing when it is back."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest

from znoded.consensus.contract import Consensus
from znoded.storage.log import Log

from ..daemons import free_port
from .recording import KINDS, Recording, open_log

SERVERS = (1, 2, 3)
FOLLOWER, OTHER, LEADER = SERVERS
GONE = "this server takes no part any more"


class Three:
    """An ensemble that starts; of servers with equal logs the one with the greatest id leads."""

    def __init__(self, directory: Path, backend: str) -> None:
        self._backend = backend
        self.homes = {sid: directory / str(sid) for sid in SERVERS}
        self.replicas: dict[int, Recording] = {}
        self._logs: dict[int, Log] = {}
        self._servers: dict[int, Consensus] = {}
        for home in self.homes.values():
            home.mkdir(exist_ok=True)

    async def __aenter__(self) -> Three:
        ports = [free_port() for _ in SERVERS]
        make = KINDS[f"{self._backend} leader"].make
        for sid, home in self.homes.items():
            self._logs[sid] = open_log(home)
            self.replicas[sid] = Recording(self._logs[sid])
            self._servers[sid] = make(sid, ports, self._logs[sid], home)
            await self._servers[sid].start(self.replicas[sid])
        for replica in self.replicas.values():
            await replica.until(lambda replica=replica: replica.serves == [True])  # type: ignore[misc]
        return self

    async def __aexit__(self, *_: object) -> None:
        for sid in list(self._servers):
            await self.stop(sid)

    async def stop(self, sid: int) -> None:
        """One of them."""
        await self._servers.pop(sid).stop()
        self._logs[sid].close()

    def propose(self, txn: bytes, waiter: object, sid: int = LEADER) -> None:
        self._servers[sid].propose(txn, waiter)

    async def order(self, *txns: bytes, sid: int = LEADER) -> None:
        """Have them ordered one after the other; a majority applies each."""
        replica = self.replicas[sid]
        for txn in txns:
            self.propose(txn, None, sid)
            await replica.until(lambda txn=txn: txn in replica.txns)  # type: ignore[misc]


def no_room_for_promises(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "promises.new").mkdir()


def _failing(number: int, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes to the log's files in home fail with that errno."""
    pwrite = os.pwrite

    def write(fd: int, data: bytes, at: int) -> int:
        if any(data) and (home / "log") in Path(f"/proc/self/fd/{fd}").readlink().parents:
            raise OSError(number, os.strerror(number))
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", write)


def no_room_for_the_log(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(errno.ENOSPC, home, monkeypatch)


def a_broken_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(errno.EIO, home, monkeypatch)


def a_replica_that_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk's fault, but no less final."""


@pytest.fixture(params=["zab", "raft"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails any more."""
    monkeypatch.undo()
    for sid in SERVERS:
        with suppress(FileNotFoundError):
            (tmp_path / str(sid) / "promises.new").rmdir()


async def all_have(three: Three, wanted: list[bytes]) -> None:
    for replica in three.replicas.values():
        await replica.until(lambda replica=replica: replica.txns == wanted)  # type: ignore[misc]


class Told(logging.Handler):
    """Whether a server's log says that."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self.found = Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._what in record.getMessage():
            self.found.set()


@contextmanager
def told(what: str) -> Iterator[Event]:
    """Set once a server's log says that."""
    logger, handler = logging.getLogger("znoded.consensus"), Told(what)
    logger.addHandler(handler)
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)


def play(scene: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 30))


@pytest.mark.parametrize(
    "trouble", [no_room_for_promises, no_room_for_the_log, a_broken_disk, a_replica_that_fails]
)
def test_the_others_go_on_and_it_has_all_when_it_is_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    trouble: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    wanted = [b"a", b"b", b"c"]
    if backend == "raft" and trouble is no_room_for_promises:
        pytest.skip("Raft saves none with an epoch's first records")

    def fail(applied: object) -> None:
        raise RuntimeError("this replica has a bug")

    async def scene() -> None:
        async with Three(tmp_path, backend) as three:
            failing = three.replicas[FOLLOWER]
            trouble(three.homes[FOLLOWER], monkeypatch)
            if trouble is a_replica_that_fails:
                failing.on_apply = fail
            await three.order(*wanted)  # the epoch's first records: ZAB saves a promise with them
            await failing.until(lambda: failing.serves == [True, False])
            assert failing.txns == wanted[: len(failing.txns)]
        make_room(tmp_path, monkeypatch)
        async with Three(tmp_path, backend) as three:
            await three.order(b"d")
            await all_have(three, [*wanted, b"d"])

    play(scene())


@pytest.mark.parametrize("trouble", [no_room_for_the_log, a_broken_disk])
def test_a_leader_whose_disk_gives_up_leaves_what_it_began_to_the_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    trouble: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    """They have it, and commit it, or nobody does: who waits for it is told that nobody knows."""

    async def scene() -> None:
        async with Three(tmp_path, backend) as three:
            await three.order(b"a")
            failing, other = three.replicas[LEADER], three.replicas[OTHER]
            trouble(three.homes[LEADER], monkeypatch)
            three.propose(b"b", "waiter")
            await failing.until(lambda: failing.serves == [True, False])
            assert [(waiter, unknown) for waiter, _, unknown in failing.drops] == [("waiter", True)]
            assert failing.txns == [b"a"]
            await other.until(lambda: other.serves[-2:] == [False, True])
            await three.order(b"c", sid=OTHER)
            wanted = list(other.txns)
            assert wanted in ([b"a", b"c"], [b"a", b"b", b"c"])
        make_room(tmp_path, monkeypatch)
        async with Three(tmp_path, backend) as three:
            await three.order(b"d")
            await all_have(three, [*wanted, b"d"])

    play(scene())


def test_a_vote_that_can_not_be_kept_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    async def scene() -> None:
        async with Three(tmp_path, backend) as three:
            await three.order(b"a")
            voter, other = three.replicas[FOLLOWER], three.replicas[OTHER]
            await all_have(three, [b"a"])
            no_room_for_promises(three.homes[FOLLOWER], monkeypatch)
            with told(GONE) as gone:
                await three.stop(LEADER)
                assert await asyncio.to_thread(gone.wait, 20)
            assert voter.serves == other.serves == [True, False]
            assert other.leads in ([], [None])
        make_room(tmp_path, monkeypatch)
        async with Three(tmp_path, backend) as three:
            await three.order(b"b")
            await all_have(three, [b"a", b"b"])

    play(scene())
