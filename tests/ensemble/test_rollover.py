"""The zxids of an epoch, or of a term, are used up again and again while clients write: nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..daemons import until
from ..zookeeper.raw import Op, text
from .ensemble import Ensemble, asked, connected, over, serving
from .load import Load

SHORT: Final = {
    "zab": """
from znoded.consensus.zab import server

server.Limits.__init__.__defaults__ = (300,)
""",
    "raft": """
from znoded.consensus.raft.core import Core

Core.last_of_term = 300
""",
}
"""The 2³² that there are would take too long."""


def test_epochs_follow_one_another(tmp_path: Path, backend: str) -> None:
    with serving(Ensemble(tmp_path, settings=over(backend), before=SHORT[backend])) as ensemble:
        leader = ensemble.leader()
        clients = {sid: connected(server.address, 60_000) for sid, server in ensemble.servers.items()}
        load = Load("/rollover", ensemble, 3)
        first = ensemble.epoch(leader)
        try:
            until(lambda: max(map(ensemble.epoch, ensemble.servers)) >= first + 3, "three more epochs")
            load.progress()
        finally:
            load.stop()
        if backend == "zab":  # without an outage: over Raft it is an election
            assert ensemble.mode(leader) == "leader"
            for client in clients.values():  # nobody was disconnected
                assert asked(client, Op.sync, text("/")).err == 0
            assert all(client.moves == 0 for client in load.clients)
        for client in clients.values():
            client.drop()
        load.assert_kept(ensemble.assert_same_trees())
