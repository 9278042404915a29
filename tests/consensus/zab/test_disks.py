"""A server whose disk gives up leaves the others to go on, and has missed nothing when it is back."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from znoded.consensus.contract import Consensus
from znoded.storage.log import Log

from ...daemons import free_port
from ..recording import KINDS, Recording, open_log

SERVERS = (1, 2, 3)
FOLLOWER, OTHER, LEADER = SERVERS


class Three:
    """An ensemble that starts; of servers with equal logs the one with the greatest id leads."""

    def __init__(self, directory: Path) -> None:
        self.homes = {sid: directory / str(sid) for sid in SERVERS}
        self.replicas: dict[int, Recording] = {}
        self._logs: dict[int, Log] = {}
        self._servers: dict[int, Consensus] = {}
        for home in self.homes.values():
            home.mkdir(exist_ok=True)

    async def __aenter__(self) -> Three:
        ports = [free_port() for _ in SERVERS]
        make = KINDS["zab leader"].make
        for sid, home in self.homes.items():
            self._logs[sid] = open_log(home)
            self.replicas[sid] = Recording(self._logs[sid])
            self._servers[sid] = make(sid, ports, self._logs[sid], home)
            await self._servers[sid].start(self.replicas[sid])
        for replica in self.replicas.values():
            await replica.until(lambda replica=replica: replica.serves == [True])  # type: ignore[misc]
        return self

    async def __aexit__(self, *_: object) -> None:
        for sid in SERVERS:
            await self._servers[sid].stop()
            self._logs[sid].close()

    async def order(self, *txns: bytes) -> None:
        """Have the leader order them one after the other; a majority applies each."""
        replica = self.replicas[LEADER]
        for txn in txns:
            self._servers[LEADER].propose(txn, None)
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


@pytest.mark.parametrize(
    "trouble", [no_room_for_promises, no_room_for_the_log, a_broken_disk, a_replica_that_fails]
)
def test_the_others_go_on_and_it_has_all_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    wanted = [b"a", b"b", b"c"]

    def fail(applied: object) -> None:
        raise RuntimeError("this replica has a bug")

    async def scene() -> None:
        async with Three(tmp_path) as three:
            failing = three.replicas[FOLLOWER]
            trouble(three.homes[FOLLOWER], monkeypatch)
            if trouble is a_replica_that_fails:
                failing.on_apply = fail
            await three.order(*wanted)  # the epoch's first records: a promise is saved with them
            await failing.until(lambda: failing.serves == [True, False])
            assert failing.txns == wanted[: len(failing.txns)]
        monkeypatch.undo()
        with suppress(FileNotFoundError):
            (three.homes[FOLLOWER] / "promises.new").rmdir()
        async with Three(tmp_path) as three:
            await three.order(b"d")
            for replica in three.replicas.values():
                await replica.until(lambda replica=replica: replica.txns == [*wanted, b"d"])  # type: ignore[misc]

    asyncio.run(asyncio.wait_for(scene(), 30))
