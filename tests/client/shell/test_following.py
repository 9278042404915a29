"""`watch` tells of each event in a line, also across a server's death."""

from __future__ import annotations

import signal
from pathlib import Path

from znoded.client import BlockingClient

from ...daemons import Daemon
from ..conftest import SETTINGS
from .processes import Process
from .typed import Znode


def test_events_a_line_until_ctrl_c(znode: Znode, server: str) -> None:
    znode.said("create", "/followed", "0")
    with Process(server, "watch", "-r", "/followed") as watching, BlockingClient(server) as client:
        watching.tells("Watching /followed")
        client.create("/followed/a")
        client.set("/followed", b"1")
        client.delete("/followed/a")
        assert [watching.line() for _ in range(3)] == [
            "created /followed/a",
            "changed /followed",
            "deleted /followed/a",
        ]
        watching.signal(signal.SIGINT)
        assert watching.wait() == 130


def test_so_many_and_no_more(znode: Znode, server: str) -> None:
    with Process(server, "--json", "watch", "-n", "2", "/expected") as watching:
        watching.tells("Watching /expected")
        znode.said("create", "/expected")
        znode.said("create", "/expected/child")
        assert [watching.line(), watching.line()] == [
            '{"event": "created", "path": "/expected"}',
            '{"event": "children", "path": "/expected"}',
        ]
        assert watching.wait() == 0


def test_what_may_have_been_missed_is_told(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, SETTINGS)
    daemon.start()
    server = "{}:{}".format(*daemon.address)
    try:
        with Process(server, "--timeout", "30", "watch", "/kept") as watching:
            watching.tells("Watching /kept")
            daemon.restart()
            assert watching.line() == "missed /kept"
            Znode(server).said("create", "/kept")
            assert watching.line() == "created /kept"
    finally:
        daemon.kill()
