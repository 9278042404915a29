"""Group commit: a kick's sync ends on the loop, what came meanwhile goes into the next."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event, get_ident

import pytest

from znoded.storage.committer import Committer
from znoded.storage.log import Log, LogFailed, LogFull


class User:
    """Appends, kicks, and hears of each sync."""

    def __init__(self, directory: Path) -> None:
        self.log = Log(directory, segment_size=65536)
        self.heard: asyncio.Queue[tuple[int, Exception | None]] = asyncio.Queue()
        self.threads: set[int] = set()
        self.committer = Committer(self.log, asyncio.get_running_loop(), self.done)

    def done(self, zxid: int, error: Exception | None) -> None:
        self.threads.add(get_ident())
        self.heard.put_nowait((zxid, error))

    def append(self, *zxids: int) -> None:
        for zxid in zxids:
            self.log.append(zxid, b"payload")


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[User], Coroutine[None, None, None]]], None]:
    def play(scene: Callable[[User], Coroutine[None, None, None]]) -> None:
        async def main() -> None:
            await scene(User(tmp_path))

        asyncio.run(asyncio.wait_for(main(), 20))

    return play


Run = Callable[[Callable[[User], Coroutine[None, None, None]]], None]


def test_a_kick_makes_durable_all_that_was_appended(run: Run) -> None:
    async def scene(user: User) -> None:
        user.append(1, 2, 3)
        user.committer.kick()
        assert await user.heard.get() == (3, None)
        assert user.threads == {get_ident()}
        user.append(4)
        user.committer.kick()
        assert await user.heard.get() == (4, None)
        assert user.committer.syncs == 2
        user.committer.close()

    run(scene)


def test_what_comes_during_a_sync_goes_into_the_next(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    begun, go_on = Event(), Event()
    syncs = 0

    def slow(fd: int, data: bytes, at: int) -> int:
        nonlocal syncs
        syncs += 1
        begun.set()
        assert go_on.wait(10)
        return pwrite(fd, data, at)

    async def scene(user: User) -> None:
        user.append(1)
        user.log.sync()
        monkeypatch.setattr(os, "pwrite", slow)
        user.append(2)
        user.committer.kick()
        await asyncio.to_thread(begun.wait, 10)
        user.append(3, 4)
        user.committer.kick()
        user.append(5)
        go_on.set()
        assert await user.heard.get() == (2, None)
        assert syncs == 1
        user.committer.kick()
        assert await user.heard.get() == (5, None)
        assert syncs == 2
        user.committer.close()

    run(scene)


def test_a_kick_with_nothing_to_sync_is_told_too(run: Run) -> None:
    async def scene(user: User) -> None:
        user.committer.kick()
        assert await user.heard.get() == (0, None)
        assert (user.committer.syncs, user.committer.avg_seconds) == (0, 0)
        user.committer.close()

    run(scene)


def test_close_syncs_and_tells_before_it_returns(run: Run, tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        user.append(1)
        user.committer.kick()
        user.append(2)
        user.committer.close()
        last = None
        while not user.heard.empty():
            last = user.heard.get_nowait()
        assert last == (2, None)
        await asyncio.sleep(0)
        assert user.heard.empty()
        assert user.threads == {get_ident()}

    run(scene)
    assert Log(tmp_path).last_zxid == 2


def test_an_idle_one_closes_without_a_word(run: Run) -> None:
    async def scene(user: User) -> None:
        user.committer.close()
        assert user.heard.empty()

    run(scene)


def test_a_full_disk_is_told_and_commits_go_on_after_the_rollback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scene(user: User) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", full)
            user.append(1, 2)
            user.committer.kick()
            zxid, error = await user.heard.get()
        assert (zxid, type(error)) == (0, LogFull)
        user.log.rollback()
        user.append(1)
        user.committer.kick()
        assert await user.heard.get() == (1, None)
        assert user.committer.syncs == 1
        user.committer.close()

    run(scene)


def test_a_failed_sync_is_told_every_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    async def scene(user: User) -> None:
        user.append(1)
        user.log.sync()
        monkeypatch.setattr(os, "pwrite", broken)
        for zxid in (2, 3):
            user.append(zxid)
            user.committer.kick()
            durable, error = await user.heard.get()
            assert (durable, type(error)) == (1, LogFailed)
        user.log.rollback()
        user.committer.close()

    run(scene)


def test_it_measures_its_syncs(run: Run) -> None:
    async def scene(user: User) -> None:
        for zxid in range(1, 6):
            user.append(zxid)
            user.committer.kick()
            await user.heard.get()
        committer = user.committer
        assert committer.syncs == 5
        assert 0 < committer.last_seconds <= committer.max_seconds <= committer.total_seconds
        assert committer.avg_seconds == committer.total_seconds / 5
        committer.close()

    run(scene)
