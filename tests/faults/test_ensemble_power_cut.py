"""No power cut of all servers at once takes what an ensemble acknowledged, whenever in its life it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Final

import pytest

from znoded.daemon import process
from znoded.daemon.config import Config, load
from znoded.daemon.process import opened
from znoded.daemon.proposals import Internal
from znoded.storage import ops
from znoded.storage.log import Log, LogDamaged, LogGap
from znoded.storage.state import State
from znoded.storage.znode import data_of, stat_of

from ..daemons import free_port
from ..storage.requests import Request
from ..storage.rows import rows
from .ensemble_life import SEGMENT, Life, Made, cuts
from .power_cut import Image, Opened, Removed, Renamed, Said, Step, Synced, SyncedRange

CUTS: Final = 30
AT_ONCE: Final = 5
AFTER: Final = b"/after"
PATIENT: Final = "tickTime=1000\ninitLimit=10\nsyncLimit=5\nclientPort=9\n"
"""So many servers in one process may each have to wait a while."""


@pytest.fixture(scope="module")
def life(recorder: Path, tmp_path_factory: pytest.TempPathFactory, backend: str) -> Life:
    return Life(recorder, tmp_path_factory.mktemp("life"), backend)


class Site:
    """Where ensembles come back, some at a time: each waits for its election most of it."""

    def __init__(self, folder: Path, backend: str) -> None:
        self._folder = folder
        self._backend = backend
        self._ports = [[free_port() for _ in range(3)] for _ in range(AT_ONCE)]

    def come_back(self, cut: Iterable[tuple[dict[int, Image], Sequence[Made]]]) -> None:
        """Each from its disks, with all that clients rely on."""
        rest = iter(cut)
        while some := list(islice(rest, AT_ONCE)):
            asyncio.run(asyncio.wait_for(self._come_back(some), 60))
            rmtree(self._folder / "sites")

    async def _come_back(self, some: Sequence[tuple[dict[int, Image], Sequence[Made]]]) -> None:
        works = []
        for place, (images, relied) in enumerate(some):
            configs = [self._installed(place, sid, image) for sid, image in images.items()]
            works.append(_comes_back(configs, relied))
        await asyncio.gather(*works)

    def _installed(self, place: int, sid: int, image: Image) -> Config:
        home = self._folder / "sites" / f"{place}-{sid}"
        home.mkdir(parents=True)
        data, file = home / "data", home / "zoo.cfg"
        image.write(data)
        (data / "myid").write_text(f"{sid}\n")
        ports = enumerate(self._ports[place], 1)
        servers = "".join(f"server.{other}=127.0.0.1:{port}:{other}\n" for other, port in ports)
        file.write_text(f"{PATIENT}consensus={self._backend}\n{servers}dataDir={data}\n")
        config = load(file, {}).config
        assert config is not None
        return config


@pytest.fixture
def site(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(process, "Log", partial(Log, segment_size=SEGMENT))
    return Site(tmp_path, backend)


async def _comes_back(configs: Sequence[Config], relied: Sequence[Made]) -> None:
    async with AsyncExitStack() as stack:
        servers = [opened(config, stack) for config in configs]
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        while not all(server.serving for server in servers):  # noqa: ASYNC110
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
    # Right after clients were told something; and whenever.
    moments = [*rng.sample(told, CUTS * 2 // 3), *(rng.randint(told[0], told[-1]) for _ in range(CUTS // 3))]
    site.come_back((images, life.relied(moment)) for moment, images in cuts(life.steps, moments, rng))


def unsynced(steps: Iterable[tuple[int, Step]], since: int) -> Iterator[tuple[int, Step]]:
    """As if from then on nothing that is written to the log were waited for."""
    paths: dict[int, str] = {}
    for moment, step in steps:
        if isinstance(step, Opened):
            paths[step.file] = step.path
        synced = isinstance(step, SyncedRange | Synced) and paths.get(step.file, "").startswith("log/")
        yield moment, Said(0, b"") if synced and moment > since else step


def test_logs_that_are_not_synced_are_found_out(life: Life, site: Site) -> None:
    last = len(life.told) // 2
    since, moment = life.told[last - 20][0], life.told[last][0]
    steps = {sid: list(unsynced(steps, since)) for sid, steps in life.steps.items()}
    with pytest.raises((AssertionError, LogDamaged, LogGap)):
        site.come_back((images, life.relied(moment)) for _, images in cuts(steps, [moment], Random(2), 0.0))
