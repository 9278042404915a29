"""An ensemble changes its backend, and back again: nothing that a client was told becomes untrue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from znoded.consensus.zab.keeper import Keeper
from znoded.daemon.cli import main
from znoded.storage import ops
from znoded.storage.log import Log

from ..storage.requests import Request
from ..zookeeper.raw import Op, blob, int_, text
from .ensemble import Ensemble, asked, connected, word
from .load import OPEN, Load

CLIENTS = 5
CREATED = blob(b"") + OPEN + int_(0)


@pytest.fixture
def ensemble(tmp_path: Path) -> Iterator[Ensemble]:
    """Three servers, none of which runs."""
    made = Ensemble(tmp_path)
    yield made
    made.kill()


def convert(ensemble: Ensemble, to: str, servers: Sequence[int] = (2, 3, 1)) -> None:
    """By the command, on one server after the other, and in the configuration."""
    for sid in servers:
        config = ensemble.servers[sid].config
        result = CliRunner().invoke(main, ["convert", "--config", str(config), "--to", to])
        assert result.exit_code == 0, result.output
        lines = [line for line in config.read_text().splitlines() if not line.startswith("consensus=")]
        config.write_text("\n".join([*lines, f"consensus={to}", ""]))


def zxid(ensemble: Ensemble) -> int:
    """The last one that the leader has applied."""
    found = re.search("Zxid: 0x([0-9a-f]+)", word(ensemble.servers[ensemble.leader()].address, "srvr"))
    assert found is not None
    return int(found[1], 16)


def test_there_and_back_under_load(ensemble: Ensemble) -> None:
    ensemble.start()
    load = Load("/there", ensemble, CLIENTS)
    load.progress(300)
    for backend in ("raft", "zab", "raft"):
        before = zxid(ensemble)
        ensemble.kill()
        convert(ensemble, backend)
        ensemble.start()
        load.progress(300)
        assert zxid(ensemble) >> 32 > before >> 32
    load.stop()
    load.assert_kept(ensemble.assert_same_trees())
    for server in ensemble.servers.values():
        assert "Traceback" not in server.log


def test_a_server_whose_log_is_an_epoch_behind(ensemble: Ensemble) -> None:
    """What the others have beyond it comes as a snapshot, for the new log begins with their last epoch."""
    ensemble.start()
    behind = ensemble.leader()
    client = connected(ensemble.servers[behind].address)
    ensemble.servers[behind].kill()
    client.drop()
    ensemble.until_all_serve(ensemble.servers.keys() - {behind})
    client = connected(ensemble.servers[ensemble.leader()].address)
    assert asked(client, Op.create, text("/missed") + CREATED).err == 0
    client.drop()
    ensemble.kill()
    convert(ensemble, "raft")
    ensemble.start()
    assert "/missed" in ensemble.assert_same_trees()


def promised(ensemble: Ensemble, epochs: dict[int, int]) -> None:
    """So far each has come; and what the third has of its last epoch, nobody else has."""
    for sid, epoch in epochs.items():
        server = ensemble.servers[sid]
        keeper = Keeper(server.data / "zab" / "promises")
        keeper.save(replace(keeper.promises, accepted=epoch, current=epoch))
        if sid == 3:
            with closing(Log(server.data / "log")) as log:
                log.append(epoch << 32 | 1, Request(ops.CREATE, b"/lost").transaction())
                log.sync()


def test_a_server_that_alone_has_what_an_epoch_began_with(ensemble: Ensemble) -> None:
    """All were killed when a new leader had written, and nobody else: then its log's indices are those of an
    epoch that the others know nothing of, once they lead each other."""
    ensemble.start()
    ensemble.kill()
    promised(ensemble, {1: 2, 2: 2, 3: 2})
    convert(ensemble, "raft")
    for sid in (1, 2):
        ensemble.servers[sid].launch()
    ensemble.until_all_serve((1, 2))
    ensemble.servers[3].launch()
    ensemble.until_all_serve()
    assert "/lost" not in ensemble.assert_same_trees()


def test_nobody_leads_in_the_place_of_who_led_the_last_epoch(ensemble: Ensemble) -> None:
    """One who had not heard of it would, in a term of the same number: and whoever led first has the longer
    log, by its indices, without what is acknowledged then."""
    ensemble.start()
    ensemble.kill()
    promised(ensemble, {1: 2, 2: 1, 3: 2})
    convert(ensemble, "raft")
    for sid in (1, 2):
        ensemble.servers[sid].launch()
    ensemble.until_all_serve((1, 2))
    client = connected(ensemble.servers[2].address)
    assert asked(client, Op.create, text("/kept") + CREATED).err == 0
    client.drop()
    ensemble.servers[2].kill()
    ensemble.servers[3].launch()
    ensemble.until_all_serve((1, 3))
    ensemble.servers[2].launch()
    ensemble.until_all_serve()
    tree = ensemble.assert_same_trees()
    assert "/kept" in tree
    assert "/lost" not in tree
