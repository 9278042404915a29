"""No power cut that hits all servers at once takes what an ensemble acknowledged, whenever in its life it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Final

import pytest

from znoded.daemon.config import Config, load
from znoded.daemon.process import opened
from znoded.daemon.proposals import Internal
from znoded.daemon.server import Server
from znoded.storage import log as log_module
from znoded.storage import ops
from znoded.storage.log import LogDamaged, LogGap
from znoded.storage.state import State
from znoded.storage.znode import data_of, stat_of

from ..daemons import free_port
from ..ensemble.ensemble import over
from ..storage.requests import Request
from ..storage.rows import rows
from .ensemble_life import SEGMENT, Life, Made, cuts
from .power_cut import Image, Opened, Removed, Renamed, Said, Step, Synced, SyncedRange

CUTS: Final = 30
AFTER: Final = b"/after"


@pytest.fixture(scope="module")
def life(recorder: Path, tmp_path_factory: pytest.TempPathFactory, backend: str) -> Life:
    return Life(recorder, tmp_path_factory.mktemp("life"), backend)


class Site:
    """Where an ensemble comes back, again and again."""

    def __init__(self, folder: Path, backend: str) -> None:
        self._folder = folder
        self._backend = backend
        ports = {sid: free_port() for sid in (1, 2, 3)}
        self._servers = "".join(f"server.{sid}=127.0.0.1:{port}:1\n" for sid, port in ports.items())

    def comes_back(self, images: dict[int, Image], relied: Sequence[Made]) -> None:
        """From these disks, with all that clients rely on."""
        configs = [self._installed(sid, image) for sid, image in images.items()]
        try:
            asyncio.run(asyncio.wait_for(_comes_back(configs, relied), 30))
        finally:
            for config in configs:
                rmtree(config.data_dir)

    def _installed(self, sid: int, image: Image) -> Config:
        data, file = self._folder / str(sid), self._folder / f"{sid}.cfg"
        image.write(data)
        (data / "myid").write_text(f"{sid}\n")
        file.write_text(f"{over(self._backend)}{self._servers}dataDir={data}\nclientPort=1\n")
        config = load(file, {}).config
        assert config is not None
        return config


@pytest.fixture
def site(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setitem(log_module.Log.__init__.__kwdefaults__, "segment_size", SEGMENT)
    return Site(tmp_path, backend)


async def _comes_back(configs: Sequence[Config], relied: Sequence[Made]) -> None:
    async with AsyncExitStack() as stack:
        servers = [opened(config, stack) for config in configs]
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        while not all(server.serving for server in servers):
            await asyncio.sleep(0.005)
        body = Request(ops.CREATE, AFTER).body()
        await _done(lambda waiter: servers[0].propose(ops.CREATE, body, waiter.done, waiter.dropped))
        for server in servers:
            await _done(server.consensus.barrier)
            holds(server.state, relied)
        assert rows(servers[0].state) == rows(servers[1].state) == rows(servers[2].state)


async def _done(ask: Callable[[Internal], None]) -> None:
    result = asyncio.get_running_loop().create_future()
    ask(Internal(result.set_result, lambda reason: result.set_exception(RuntimeError(reason))))
    assert await result == 0


def holds(state: State, relied: Sequence[Made]) -> None:
    """Each znode, as its client was told; and what was done since comes later."""
    for made in relied:
        record = state.node(made.path)
        assert record is not None, f"{made.path!r} is lost"
        assert (data_of(record) or b"") == made.data
        assert stat_of(record).czxid == made.zxid
        assert made.session in state.sessions
    record = state.node(AFTER)
    assert record is not None
    assert stat_of(record).czxid > max((made.zxid for made in relied), default=0)


def test_a_life_has_all_that_a_cut_may_hit(life: Life, backend: str) -> None:
    epochs = {made.zxid >> 32 for _, made in life.told}
    assert len(epochs) >= 3
    for moments in life.steps.values():
        steps = [step for _, step in moments]
        made = [step.new for step in steps if isinstance(step, Renamed)]
        dropped = [step.path for step in steps if isinstance(step, Removed)]
        synced = [step.path for step in steps if isinstance(step, Synced)]
        assert made.count(f"{backend}/promises") >= 3
        assert len([path for path in made if path.startswith("log/")]) > 10
        assert len([path for path in dropped if path.startswith("log/")]) > 5
        assert synced.count("lmdb/data.mdb") > 5


def test_every_moment_may_be_the_last(life: Life, site: Site) -> None:
    rng = Random(1)
    told = [moment for moment, _ in life.told]
    first, last = told[0], told[-1]
    # Right after clients were told something; and whenever.
    moments = [*rng.sample(told, CUTS * 2 // 3), *(rng.randint(first, last) for _ in range(CUTS // 3))]
    for moment, images in cuts(life.steps, moments, rng):
        site.comes_back(images, life.relied(moment))


def unsynced(steps: Iterable[tuple[int, Step]]) -> Iterator[tuple[int, Step]]:
    """As if nothing that is written to the log were waited for."""
    paths: dict[int, str] = {}
    for moment, step in steps:
        if isinstance(step, Opened):
            paths[step.file] = step.path
        synced = isinstance(step, SyncedRange | Synced) and paths.get(step.file, "").startswith("log/")
        yield moment, Said(0, b"") if synced else step


def test_logs_that_are_not_synced_are_found_out(life: Life, site: Site) -> None:
    steps = {sid: list(unsynced(steps)) for sid, steps in life.steps.items()}
    moments = [moment for moment, _ in life.told[::20]]
    with pytest.raises((AssertionError, LogDamaged, LogGap)):
        for moment, images in cuts(steps, moments, Random(2)):
            site.comes_back(images, life.relied(moment))
