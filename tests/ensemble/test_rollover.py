"""An epoch's zxids are used up, again and again, while clients write: nobody notices."""

from __future__ import annotations

from pathlib import Path

from ..daemons import until
from ..zookeeper.raw import Op, text
from .ensemble import Ensemble, asked, connected, serving
from .load import Load

SHORT_EPOCHS = """
from znoded.consensus.zab import server

server.Limits.__init__.__defaults__ = (300,)
"""
"""The 2³² that there are would take too long."""


def test_epochs_follow_one_another_without_an_outage(tmp_path: Path) -> None:
    with serving(Ensemble(tmp_path, before=SHORT_EPOCHS)) as ensemble:
        leader = ensemble.leader()
        clients = {sid: connected(server.address, 60_000) for sid, server in ensemble.servers.items()}
        load = Load("/rollover", ensemble, 3)
        first = ensemble.epoch(leader)
        try:
            until(lambda: ensemble.epoch(leader) >= first + 3, "three more epochs")
        finally:
            load.stop()
        assert ensemble.mode(leader) == "leader"
        for client in clients.values():  # nobody was disconnected
            assert asked(client, Op.sync, text("/")).err == 0
            client.drop()
        assert all(client.moves == 0 for client in load.clients)
        load.assert_kept(ensemble.assert_same_trees())
