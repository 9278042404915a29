"""A power cut amid `znoded convert` leaves one backend's data or the other's, all of them, or what tells that
it is to be run again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copytree, rmtree
from typing import Final

import pytest

from znoded.consensus.raft.command import records_of
from znoded.consensus.raft.journal import command_of
from znoded.daemon.config import Backend, load
from znoded.daemon.convert import convert
from znoded.daemon.ordering import ENSEMBLES, OtherBackend, memory, refuse_half_converted
from znoded.storage import ops
from znoded.storage.engine import open_engine
from znoded.storage.log import Log
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.writes import transaction

from ..daemon.test_convert import SETTINGS, Home, entry, epoch
from .daemon_life import Kept, Records, kept, replay
from .power_cut import (
    Disk,
    MadeDirectory,
    Removed,
    Renamed,
    Said,
    Step,
    Synced,
    image_of,
    images,
    read_trace,
    start_recorded,
)

MAIN: Final = "from znoded.daemon.cli import main; main()"


def home(folder: Path) -> Home:
    """A server with a disk for its data, and one for its log."""
    file = folder.parent / f"{folder.name}.cfg"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "myid").write_text("1\n")
    (folder / "txns" / "znoded").mkdir(parents=True, exist_ok=True)
    file.write_text(f"{SETTINGS}dataDir={folder}/data\ndataLogDir={folder}/txns\nclientPort=2181\n")
    config = load(file, {}).config
    assert config is not None
    return Home(config)


def written_by_zab(server: Home) -> None:
    """Two epochs; a session that was opened in the first."""
    first, second = epoch(1, 30), epoch(2, 20)
    first[3] = first[3][0], transaction(ops.CREATE_SESSION, Session(7, 9000, bytes(16)).encode())
    server.write([*first, *second], first[:10])
    server.promise_zab(accepted=2, current=2)


def written_by_raft(server: Home) -> None:
    """Two terms."""
    one, two = 1 << 32, 2 << 32
    first = [entry(3 + at, one + 1 + 3 * at, 3) for at in range(10)]
    second = [entry(14 + at, two + 1 + 2 * at, 2) for at in range(10)]
    server.write([entry(2, one, 0), *first, entry(13, two, 0), *second], epoch(1, 30)[:10])
    server.promise_raft(2)


@dataclass(frozen=True, slots=True)
class Conversion:
    """start: the server's disks before; steps: what the command did to them; history: the state after each
    transaction that there is."""

    to: Backend
    start: Disk
    steps: list[Step]
    history: dict[int, Kept]
    last: int


@pytest.fixture(scope="module", params=[Backend.RAFT, Backend.ZAB])
def conversion(
    request: pytest.FixtureRequest, recorder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Conversion:
    folder = tmp_path_factory.mktemp("converted")
    to: Backend = request.param
    server = home(folder / "disk")
    (written_by_zab if to is Backend.RAFT else written_by_raft)(server)
    copytree(folder / "disk", folder / "before")
    command = [sys.executable, "-c", MAIN, "convert", "--config", str(folder / "disk.cfg"), "--to", to.value]
    assert start_recorded(command, recorder, folder / "disk", folder / "trace").wait() == 0
    start = Disk(image_of(folder / "before"))
    steps = read_trace(folder / "trace")
    history = states(home(folder / "before"))
    return Conversion(to, start, steps, history, max(history))


def ordered_by(server: Home) -> Backend:
    """Whose data they are."""
    (found,) = [backend for backend in ENSEMBLES if memory(server.config, backend).exists()]
    return found


def states(server: Home) -> dict[int, Kept]:
    """The state as it is kept, and as each transaction of the log leaves it."""
    raft = ordered_by(server) is Backend.RAFT
    with (
        closing(open_engine("lmdb", server.config.data_dir)) as engine,
        closing(Log(server.config.data_log_dir / "log")) as log,
    ):
        state = State(engine)
        found = {state.zxid: kept(state)}
        records: Records = {}
        for key, payload in log.read(log.first_zxid - 1):
            records |= dict(records_of(command_of(payload), key)) if raft else {key: payload}
        for zxid, txn in records.items():
            if zxid > state.zxid:
                replay(state, iter([(zxid, txn)]))
                found[zxid] = kept(state)
        return found


def whole(server: Home, conversion: Conversion) -> None:
    """Tree and sessions are those of some transaction, and lead up to the last by the same zxids."""
    found = states(server)
    begins = min(found)
    assert found == {zxid: state for zxid, state in conversion.history.items() if zxid >= begins}


def cuts(conversion: Conversion, target: Path) -> Iterator[Home]:
    """The server after a cut at each change of a name, and before each sync."""
    names = Renamed | Removed | MadeDirectory

    def one(done: int) -> bool:
        return isinstance(steps[done - 1], names) or isinstance(steps[done], Synced)

    steps = [*conversion.steps, Said(0, b"")]
    for _, image in images(conversion.steps, one, Random(1), conversion.start):
        image.write(target)
        yield home(target)
        rmtree(target)


def test_every_step_may_be_the_last(conversion: Conversion, tmp_path: Path) -> None:
    seen = set()
    for server in cuts(conversion, tmp_path / "cut"):
        before: Backend | None = None
        with suppress(OtherBackend):
            refuse_half_converted(server.config)
            before = ordered_by(server)
            whole(server, conversion)
        seen.add(before)
        if before is not conversion.to:
            convert(server.config, conversion.to, lambda size: nullcontext(id))
        assert ordered_by(server) is conversion.to
        whole(server, conversion)
    assert seen == {None, *ENSEMBLES}
