"""The core over the real log and engine: what was answered is there after any end."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias

import pytest

from znoded.consensus.standalone import Standalone
from znoded.daemon.config import load
from znoded.daemon.flusher import Flusher
from znoded.daemon.server import Server
from znoded.daemon.stats import Stats
from znoded.storage.engine import open_engine
from znoded.storage.errors import Code
from znoded.storage.log import Log
from znoded.storage.state import State, zxid_in

from .core import Clock, Ear


class Real:
    """A server on data that outlives it. A client's answers are waited for."""

    def __init__(self, folder: Path) -> None:
        config = load(None, {"dataDir": str(folder)}).config
        assert config is not None
        self.clock = Clock()
        self.engine = open_engine("lmdb", folder)
        self.log = Log(folder / "log", segment_size=1 << 16)
        self.state = State(self.engine)
        stats = Stats(1000)
        flusher = Flusher(self.state, self.log, 3)
        self.server = Server(config, self.state, Standalone(self.log, stats.synced), flusher, stats)

    async def client(self) -> Ear:
        ear = Ear(self)
        assert self.server.accept(ear) is None
        self.server.connect(ear, 0, 30_000, 0, b"")
        await self.until(lambda: ear.said)
        ear.said.clear()
        return ear

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():  # noqa: ASYNC110 - it may be of the log's thread
            await asyncio.sleep(0.001)


Scene: TypeAlias = Callable[[Real], Coroutine[None, None, None]]


def run(folder: Path, scene: Scene, *, killed: bool = False) -> None:
    """Start, play, and stop; or, killed, flush nothing."""

    async def main() -> None:
        real = Real(folder)
        await real.server.start()
        await scene(real)
        if not killed:
            await real.server.stop()
            with_all = real.engine.snapshot()
            assert zxid_in(with_all) == real.state.zxid
            with_all.close()
        real.log.close()
        real.engine.close()

    asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("killed", [False, True])
def test_a_restart_has_all_that_was_answered(tmp_path: Path, killed: bool) -> None:
    async def write(real: Real) -> None:
        client = await real.client()
        client.create(b"/a")
        client.create(b"/a/e", flags=1)
        for number in range(100):
            client.set(b"/a", b"%d" % number)
        await real.until(lambda: len(client.replies) == 102)
        assert client.errors() == [0] * 102

    async def read(real: Real) -> None:
        [session] = real.state.sessions
        assert real.state.ephemerals(session) == [b"/a/e"]
        lease = real.server.sessions.leases.get(session)
        assert lease is not None
        client = await real.client()
        xid = client.get(b"/a")
        assert client.data(xid) == b"99"
        client.create(b"/b")
        await real.until(lambda: len(client.replies) == 2)

    run(tmp_path, write, killed=killed)
    run(tmp_path, read, killed=killed)


def test_stop_answers_what_was_taken(tmp_path: Path) -> None:
    clients: list[Ear] = []

    async def scene(real: Real) -> None:
        client = await real.client()
        clients.append(client)
        client.create(b"/a")
        client.sync()
        client.set(b"/a", b"1")
        client.set(b"/a", b"2")

    run(tmp_path, scene)
    assert clients[0].replies == [1, 2, 3, 4]
    assert clients[0].errors() == [0] * 4
    assert clients[0].closed == ""


def test_a_full_disk_refuses_writes_answers_reads_and_lets_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(real: Real) -> None:
        client = await real.client()
        client.create(b"/a")
        await real.until(lambda: client.replies == [1])

        def refuse(fd: int, data: bytes, at: int) -> int:
            if any(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return len(data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refuse)
            client.set(b"/a", b"refused")
            read = client.get(b"/a")
            await real.until(lambda: client.replies == [1, 2, 3])
        assert client.errors() == [0, Code.SYSTEMERROR, 0]
        assert client.data(read) == b""
        client.set(b"/a", b"taken")
        read = client.get(b"/a")
        await real.until(lambda: len(client.replies) == 5)
        assert client.errors()[3:] == [0, 0]
        assert client.data(read) == b"taken"
        assert client.closed is None

    run(tmp_path, scene)


def test_a_failed_sync_closes_who_waits_for_it_and_refuses_writes_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(real: Real) -> None:
        writer, other = await real.client(), await real.client()

        def fail(fd: int, data: bytes, at: int) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", fail)
            writer.create(b"/a")
            await real.until(lambda: writer.closed is not None)
        assert writer.said == []
        other.create(b"/b")
        other.get(b"/")
        assert other.errors() == [Code.SYSTEMERROR, 0]
        assert other.closed is None

    run(tmp_path, scene)
