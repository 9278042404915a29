"""`top` tells what servers do, as much as their whitelists permit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.client import BlockingClient
from znoded.client.shell.load import loads
from znoded.client.shell.words import Connection, Told

from ...daemons import Daemon
from .terminal import Terminal
from .typed import Znode

ONCE = ("top", "--once", "-d", "0.1")


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that tells everything."""
    daemon = Daemon(tmp_path_factory.mktemp("open"), "4lw.commands.whitelist=mntr,cons")
    daemon.start()
    yield "{}:{}".format(*daemon.address)
    daemon.kill()


def told(when: float, received: int, reads: int, spent: int, connections: tuple[Connection, ...]) -> Told:
    figures = {
        "packets_received": f"{received}",
        "cnt_readlatency": f"{reads}",
        "sum_readlatency": f"{spent}",
        "cnt_updatelatency": "5",
        "sum_updatelatency": "50",
        "avg_latency": "0.9",
        "server_state": "leader",
    }
    return Told("s", when, "mntr", figures, connections)


def test_rates_are_of_what_came_between_two_looks() -> None:
    calm, busy = Connection("1:1", "0x1", 10, 0.0, "PING"), Connection("2:2", "0x2", 500, 0.5, "GETD")
    before = told(10.0, 1000, 100, 200, (calm, Connection("2:2", "0x2", 100, 0.5, "GETD")))
    (load,) = loads({"s": before}, {"s": told(12.0, 2000, 300, 600, (calm, busy))})
    assert (load.mode, load.requests, load.reads, load.writes) == ("leader", 500, 100, 0)
    assert load.latency == 2
    assert load.clients is not None
    assert [(client.connection, client.rate) for client in load.clients] == [(busy, 200), (calm, 0)]


def test_a_server_that_went_tells_why() -> None:
    before = told(10.0, 1000, 100, 200, ())
    gone = OSError("refused")
    assert [load.json() for load in loads({"s": before}, {"s": gone})] == [
        {"server": "s", "error": "refused"}
    ]
    (back,) = loads({"s": gone}, {"s": before})
    assert (back.requests, back.latency) == (None, 0.9)


def test_all_that_is_permitted(open_server: str) -> None:
    with BlockingClient(open_server) as client:
        client.create("/t")
        found = Znode(open_server).json(*ONCE)
        session = hex(client.session[0])
    assert (found["server"], found["mode"], found["word"]) == (open_server, "standalone", "mntr")
    assert found["requests_per_second"] >= 0
    assert found["global_sessions"] == 1.0
    assert found["znode_count"] >= 5
    assert [each["session"] for each in found["clients"]] == [session]


def test_lines_for_a_person(open_server: str) -> None:
    with BlockingClient(open_server):
        heads, row, _, client_heads, client = Znode(open_server).said(*ONCE).splitlines()
    assert heads.split()[:3] == ["server", "mode", "req/s"]
    assert row.split()[:2] == [open_server, "standalone"]
    assert client_heads.split()[0] == "client"
    assert client.startswith("127.0.0.1:")


def test_less_if_only_srvr_is_permitted(znode: Znode) -> None:
    found = znode.json(*ONCE)
    assert (found["word"], found["clients"], found["watch_count"]) == ("srvr", None, None)
    assert found["requests_per_second"] > 0  # its own words
    assert "cons is not in 4lw.commands.whitelist" in znode.said(*ONCE)


def test_servers_that_are_not_there(znode: Znode, open_server: str) -> None:
    code, said = Znode("127.0.0.1:1").failed(*ONCE)
    assert code == 8
    assert said.startswith("no connection to 127.0.0.1:1: ")
    both = Znode(f"{open_server},127.0.0.1:1")(*ONCE, options=("--json",))
    first, second = map(json.loads, both.stdout.splitlines())
    assert first["mode"] == "standalone"
    assert second.keys() == {"server", "error"}
    lines = Znode(f"{open_server},127.0.0.1:1").said(*ONCE).splitlines()
    assert lines[2].split()[:3] == ["127.0.0.1:1", "tells", "nothing"]
    assert lines[-1].startswith("127.0.0.1:1: ")


def test_a_terminal_until_q(open_server: str, tmp_path: Path) -> None:
    with Terminal(tmp_path, "--server", open_server, "top", "-d", "0.1") as terminal:
        terminal.sees("req/s")
        terminal.sees("standalone")
        terminal.sees("standalone")
        terminal.type("q")
        assert terminal.ends() == 0
