"""Changes reach the engine one flush after the other, and those that fail are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import TypeAlias

import pytest

from znoded.daemon import flusher as module
from znoded.daemon.flusher import Flusher
from znoded.storage.log import Log
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.state import META, State, zxid_in


class Engine(MemoryEngine):
    """Commits when it may; fails when told."""

    __slots__ = ("busy", "commits", "error", "go_on")

    def __init__(self) -> None:
        super().__init__(Path())
        self.go_on = Event()
        self.go_on.set()
        self.busy = Event()
        self.error: OSError | None = None
        self.commits: list[dict[bytes, bytes | None]] = []

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        assert not self.busy.is_set(), "two commits at a time"
        self.busy.set()
        assert self.go_on.wait(20)
        self.busy.clear()
        if self.error is not None:
            raise self.error
        self.commits.append(dict(changes))
        super().commit(changes)


class House:
    """A flusher between a state, whose changes are made by hand, and an engine."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine()
        self.state = State(self.engine)
        self.log = Log(folder / "log", segment_size=1 << 16)
        self.flusher = Flusher(self.state, self.log, 3)
        self.caught_up = 0
        self.flusher.caught_up = self.catch_up

    def catch_up(self) -> None:
        self.caught_up += 1

    def change(self, key: bytes, value: bytes) -> None:
        """One transaction."""
        self.state.zxid += 1
        self.log.append(self.state.zxid, value)
        self.log.sync()
        self.state.table.put(key, value)
        self.flusher.applied()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 - it may be of the engine's thread
            await asyncio.sleep(0.001)

    def refusal(self) -> str | None:
        return self.flusher.refusal

    def stored(self) -> dict[bytes, bytes]:
        """What a restart would find of the changes."""
        return dict(self.engine.snapshot().scan(b"x"))


Play: TypeAlias = Callable[[Callable[[House], Coroutine[None, None, None]]], None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(module, "_TXNS", 2)
    monkeypatch.setattr(module, "_SECONDS", 1000.0)
    monkeypatch.setattr(module, "_RETRY", 0.001)

    def run(scene: Callable[[House], Coroutine[None, None, None]]) -> None:
        async def main() -> None:
            house = House(tmp_path)
            await scene(house)
            house.engine.go_on.set()
            await house.flusher.close()
            house.log.close()

        asyncio.run(asyncio.wait_for(main(), 30))

    return run


def test_a_flush_comes_after_so_many_transactions(play: Play) -> None:
    async def scene(house: House) -> None:
        house.change(b"x1", b"1")
        await asyncio.sleep(0)
        assert not house.engine.busy.is_set()
        house.change(b"x2", b"2")
        await house.until(lambda: house.stored() == {b"x1": b"1", b"x2": b"2"})
        assert zxid_in(house.engine.snapshot()) == 2

    play(scene)


def test_or_after_so_much_time(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.001)

    async def scene(house: House) -> None:
        house.change(b"x1", b"1")
        await house.until(lambda: house.stored() == {b"x1": b"1"})

    play(scene)


def test_what_changes_during_a_flush_goes_into_the_next(play: Play) -> None:
    async def scene(house: House) -> None:
        house.engine.go_on.clear()
        for number in range(2):
            house.change(b"x", b"%d" % number)
        await house.until(house.engine.busy.is_set)
        for number in range(2, 5):
            house.change(b"x", b"%d" % number)
        house.engine.go_on.set()
        await house.until(lambda: len(house.engine.commits) == 2)
        assert [commit[b"x"] for commit in house.engine.commits] == [b"1", b"4"]

    play(scene)


def test_close_flushes_what_is_left(play: Play) -> None:
    houses = []

    async def scene(house: House) -> None:
        houses.append(house)
        house.change(b"x", b"last")

    play(scene)
    assert houses[0].stored() == {b"x": b"last"}


def test_close_waits_for_every_flush_that_is_due(play: Play) -> None:
    houses = []

    async def scene(house: House) -> None:
        houses.append(house)
        house.engine.go_on.clear()
        for number in range(2):
            house.change(b"x", b"%d" % number)
        await house.until(house.engine.busy.is_set)
        for number in range(2, 9):
            house.change(b"x", b"%d" % number)
        closing = asyncio.ensure_future(house.flusher.close())
        await asyncio.sleep(0)
        house.engine.go_on.set()
        await closing
        assert house.state.table.get(b"x") == b"8"
        assert len(house.state.table) == 0

    play(scene)
    assert houses[0].stored() == {b"x": b"8"}
    assert len(houses[0].engine.commits) == 2


def test_a_failed_flush_is_tried_again_and_loses_nothing(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(house: House) -> None:
        house.engine.error = OSError("no room")
        for number in range(3):
            house.change(b"x%d" % number, b"1")
        await house.until(lambda: house.flusher.failure is not None)
        assert house.state.table.get(b"x0") == b"1"
        house.change(b"x0", b"2")
        house.engine.error = None
        await house.until(lambda: house.flusher.failure is None)
        assert house.stored() == {b"x0": b"2", b"x1": b"1", b"x2": b"1"}

    play(scene)
    assert len([record for record in caplog.records if "flush failed" in record.message]) == 1


def test_a_flush_that_is_asked_for_holds_all_that_was_there(play: Play) -> None:
    async def scene(house: House) -> None:
        flusher = house.flusher
        assert (flusher.flushed, flusher.flushed_at) == (-1, -1)
        await flusher.flush()
        assert (flusher.flushed, zxid_in(house.engine.snapshot())) == (0, 0)
        assert house.engine.get(b"m") is not None, "a new server can be backed up, too"
        house.engine.go_on.clear()
        house.change(b"x1", b"1")
        first = asyncio.ensure_future(flusher.flush())
        await house.until(house.engine.busy.is_set)
        house.change(b"x2", b"2")  # comes too late for the flush under way
        second = asyncio.ensure_future(flusher.flush())
        house.engine.go_on.set()
        await asyncio.gather(first, second)
        assert house.stored() == {b"x1": b"1", b"x2": b"2"}
        assert (flusher.flushed, flusher.flushed_at > 0) == (2, True)
        count = len(house.engine.commits)
        await flusher.flush()
        assert len(house.engine.commits) == count, "there was nothing to flush"

    play(scene)


def test_a_flush_that_is_asked_for_tells_why_it_fails(play: Play) -> None:
    async def scene(house: House) -> None:
        house.change(b"x", b"1")
        house.engine.error = OSError("no room")
        with pytest.raises(OSError, match="flush failed: no room"):
            await house.flusher.flush()
        house.engine.error = None
        await house.flusher.flush()
        assert house.stored() == {b"x": b"1"}

    play(scene)


def test_who_writes_is_held_back_while_a_flush_takes_too_long(play: Play) -> None:
    async def scene(house: House) -> None:
        house.engine.go_on.clear()
        behind = []
        for _ in range(16):
            house.change(b"x", b"1")
            behind.append(house.flusher.behind)
        assert behind == [False] * 15 + [True]
        await house.until(house.engine.busy.is_set)
        house.engine.go_on.set()
        await house.until(lambda: house.caught_up == 1)

    play(scene)


def test_writes_are_refused_while_flushes_fail_for_too_long(play: Play) -> None:
    async def scene(house: House) -> None:
        house.engine.error = OSError("no room")
        for _ in range(2):
            house.change(b"x", b"1")
        await house.until(lambda: house.flusher.failure is not None)
        assert house.refusal() is None
        for _ in range(14):
            house.change(b"x", b"1")
        assert house.refusal() == "storage takes nothing more: no room"
        house.engine.error = None
        await house.until(lambda: house.refusal() is None)

    play(scene)


def test_full_segments_beyond_those_that_are_retained_are_dropped(play: Play) -> None:
    async def scene(house: House) -> None:
        for number in range(8):
            house.change(b"x%d" % number, bytes(40_000))
        await house.until(lambda: house.log.starts == [5, 6, 7, 8])

    play(scene)


def test_another_state_takes_the_place_of_one_that_is_flushed_no_more(play: Play) -> None:
    async def scene(house: House) -> None:
        house.change(b"x", b"1")
        await house.flusher.flush()
        house.change(b"x", b"2")
        engine, seen = house.engine, []

        def steps() -> Iterator[None]:
            engine.commit({b"x": None, META: None})
            yield
            engine.commit({b"x": b"3", META: bytes(engine.get(META) or b"")})

        replacing = asyncio.create_task(house.flusher.replace(steps()))
        while not replacing.done():
            seen.append(house.state.table.get(b"x"))
            with pytest.raises(OSError, match="another state"):
                await house.flusher.flush()
            await asyncio.sleep(0)
        assert set(seen) == {b"2"}, "what is read is the state before"
        house.state.reload()
        house.flusher.resume()
        assert house.state.table.get(b"x") == b"3"
        house.change(b"x", b"4")
        await house.flusher.flush()
        assert engine.commits[-1][b"x"] == b"4"

    play(scene)


def test_a_stop_amid_the_change_flushes_nothing_of_either_state(play: Play) -> None:
    async def scene(house: House) -> None:
        house.change(b"x", b"1")
        await house.flusher.flush()
        house.change(b"x", b"2")
        house.engine.commit({b"x": None, META: None})
        await house.flusher.replace(iter(()))
        await house.flusher.close()
        assert b"x" in house.engine.commits[-1]
        assert house.engine.commits[-1][b"x"] is None

    play(scene)
