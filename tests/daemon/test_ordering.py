"""Data stay with the backend that ordered them, until they are converted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from znoded.consensus.raft.backend import RaftBackend
from znoded.consensus.standalone import Standalone
from znoded.consensus.zab.backend import Zab
from znoded.daemon.config import Config, load
from znoded.daemon.ordering import OtherBackend, ordered_by
from znoded.storage.log import Log

from ..consensus.recording import Deaf

SERVERS = "initLimit=5\nsyncLimit=5\nserver.1=127.0.0.1:1:2\n"


def config(home: Path, lines: str) -> Config:
    (home / "myid").write_text("1")
    path = home / "zoo.cfg"
    path.write_text(f"dataDir={home}\n{lines}")
    loaded = load(path, {})
    assert loaded.config is not None, loaded.faults
    return loaded.config


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(Log(tmp_path / "log")) as opened:
        yield opened


BACKENDS = {"": Standalone, f"{SERVERS}consensus=zab": Zab, f"{SERVERS}consensus=raft": RaftBackend}


@pytest.mark.parametrize("lines", BACKENDS)
def test_the_configuration_names_it(tmp_path: Path, log: Log, lines: str) -> None:
    for _ in range(2):
        assert type(ordered_by(config(tmp_path, lines), log, Deaf())) is BACKENDS[lines]


@pytest.mark.parametrize(("before", "after"), [("zab", "raft"), ("raft", "zab")])
def test_the_other_one_is_refused(tmp_path: Path, log: Log, before: str, after: str) -> None:
    ordered_by(config(tmp_path, f"{SERVERS}consensus={before}"), log, Deaf())
    with pytest.raises(OtherBackend, match=f"ordered by {before}.*run `znoded convert --to {after}`"):
        ordered_by(config(tmp_path, f"{SERVERS}consensus={after}"), log, Deaf())


@pytest.mark.parametrize(
    ("before", "way"),
    [
        ("zab", "or remove .*/zab, to go on alone"),
        ("raft", "or run `znoded convert --to zab` and remove .*/zab"),
    ],
)
def test_alone_none_goes_on(tmp_path: Path, log: Log, before: str, way: str) -> None:
    ordered_by(config(tmp_path, f"{SERVERS}consensus={before}"), log, Deaf())
    with pytest.raises(OtherBackend, match=f"no server.*{way}"):
        ordered_by(config(tmp_path, ""), log, Deaf())


def test_a_log_that_is_not_rafts_is_not_taken_for_it(tmp_path: Path, log: Log) -> None:
    log.append(1, b"a transaction")
    log.sync()
    with pytest.raises(OtherBackend, match="run `znoded convert --to raft`"):
        ordered_by(config(tmp_path, f"{SERVERS}consensus=raft"), log, Deaf())
