"""Empty containers and TTL znodes whose time is over are deleted, by the server that leads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from znoded.daemon.reaper import Reaper
from znoded.storage import ops
from znoded.storage.jute import INT, LONG, pack_buffer
from znoded.storage.state import OPEN_ACL_WIRE

from .core import Core, patch_clock


class RoundOver(Exception):
    pass


class House:
    """A core, a client and a reaper that goes its rounds when told."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings: str) -> None:
        clock = patch_clock(patch)
        patch.setattr("znoded.daemon.reaper.time", clock)
        self.core = Core(folder, clock, {"extendedTypesEnabled": "true"} | settings)
        self.client = self.core.client()
        self.pauses: list[float] = []
        self._patch = patch

    def create(self, op: int, path: bytes, tail: bytes) -> None:
        self.client.ask(op, pack_buffer(path) + pack_buffer(b"") + OPEN_ACL_WIRE + tail)
        self.core.steps.commit()

    def container(self, path: bytes) -> None:
        self.create(ops.CREATE_CONTAINER, path, INT.pack(4))

    def ttl(self, path: bytes, ttl: int) -> None:
        self.create(ops.CREATE_TTL, path, INT.pack(5) + LONG.pack(ttl))

    def plain(self, path: bytes) -> None:
        self.create(ops.CREATE, path, INT.pack(0))

    def delete(self, path: bytes) -> None:
        self.client.ask(ops.DELETE, pack_buffer(path) + INT.pack(-1))
        self.core.steps.commit()

    def later(self, seconds: float) -> None:
        self.core.clock.now += seconds

    def round(self) -> None:
        """One round; it only proposes. The pauses in it stand in .pauses."""
        self.pauses = []

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            if self.pauses.count(self.pauses[0]) == 2:
                raise RoundOver

        with self._patch.context() as patch, pytest.raises(RoundOver):
            patch.setattr(asyncio, "sleep", sleep)
            asyncio.run(Reaper(self.core.server.config, self.core.server).run())

    @property
    def there(self) -> set[bytes]:
        """The znodes below the root, once all is committed."""
        self.core.steps.commit()
        return set(self.core.state.children(b"/")) - {b"zookeeper"}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_container_goes_when_its_last_child_is_gone(house: House) -> None:
    house.container(b"/c")
    house.plain(b"/c/a")
    house.round()
    assert house.there == {b"c"}
    house.delete(b"/c/a")
    house.round()
    assert house.there == set()


def test_a_container_that_never_had_a_child_stays(house: House) -> None:
    house.container(b"/c")
    house.later(1e9)
    house.round()
    assert house.there == {b"c"}


def test_unless_it_is_configured_to_go_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, monkeypatch, **{"znode.container.maxNeverUsedIntervalMs": "5000"})
    house.container(b"/c")
    house.later(5)
    house.round()
    assert house.there == {b"c"}
    house.later(0.001)
    house.round()
    assert house.there == set()


def test_a_ttl_znode_goes_when_it_was_not_changed_for_so_long(house: House) -> None:
    house.ttl(b"/t", 5000)
    house.later(3)
    house.client.set(b"/t", b"")
    house.core.steps.commit()
    house.later(5)
    house.round()
    assert house.there == {b"t"}
    house.later(0.001)
    house.round()
    assert house.there == set()


def test_a_ttl_znode_with_children_stays(house: House) -> None:
    house.ttl(b"/t", 5000)
    house.plain(b"/t/a")
    house.later(10)
    house.round()
    assert house.there == {b"t"}


def test_a_child_made_meanwhile_saves_its_parent(house: House) -> None:
    house.ttl(b"/t", 5000)
    house.later(10)
    body = pack_buffer(b"/t/a") + pack_buffer(b"") + OPEN_ACL_WIRE + INT.pack(0)
    house.client.ask(ops.CREATE, body)
    house.round()
    assert len(house.core.steps.pending) == 2
    assert house.there == {b"t"}


def test_plain_znodes_are_not_looked_at(house: House) -> None:
    house.plain(b"/a")
    house.later(1e9)
    house.round()
    assert house.core.steps.pending == []


def test_who_does_not_lead_deletes_nothing(house: House) -> None:
    house.ttl(b"/t", 1)
    house.later(10)
    house.core.server.leading(None)
    house.round()
    assert house.there == {b"t"}


def test_deletes_are_spread_over_the_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"znode.container.checkIntervalMs": "7000", "znode.container.maxPerMinute": "20"}
    house = House(tmp_path, monkeypatch, **settings)
    for number in range(4):
        house.ttl(b"/t%d" % number, 1)
    house.later(10)
    house.round()
    assert house.pauses.count(7) == 2
    assert house.pauses.count(3) == 4
    assert house.there == set()
