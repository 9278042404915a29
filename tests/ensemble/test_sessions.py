"""A session is the ensemble's, not a server's: it outlives the server that a client talks to."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest
from kazoo.client import KazooClient, KazooState

from ..daemons import until
from ..zookeeper.raw import (
    EVENTS,
    SET_WATCHES,
    Closed,
    Connection,
    Event,
    Granted,
    Op,
    Reply,
    blob,
    blobs,
    bool_,
    int_,
    long,
    text,
)
from .ensemble import Ensemble, asked, connected, serving, word
from .load import OPEN

NO_NODE, SESSION_MOVED = -101, -118
WAIT = 20
"""Seconds for what must happen."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    with serving(Ensemble(tmp_path_factory.mktemp("ensemble"), observers=1)) as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(shared: Ensemble) -> Ensemble:
    """Three servers and an observer, all of which serve."""
    shared.heal()
    return shared


Connect = Callable[..., Any]


@pytest.fixture
def connect(ensemble: Ensemble) -> Iterator[Connect]:
    """Makes clients of all servers, or of one."""
    clients: list[Any] = []

    def new(of: int | None = None, timeout: float = 10) -> Any:
        hosts = ensemble.hosts if of is None else "{}:{}".format(*ensemble.servers[of].address)
        client = KazooClient(hosts, timeout=timeout)
        clients.append(client)
        client.start(WAIT)
        return client

    yield new
    ensemble.heal()
    for client in clients:
        client.stop()
        client.close()


def server_of(ensemble: Ensemble, client: Any) -> int:
    """The server that has a client's connection."""
    session = f"sid={client.client_id[0]:#x},"
    (found,) = [sid for sid, server in ensemble.servers.items() if session in word(server.address, "cons")]
    return found


def move_away(ensemble: Ensemble, client: Any) -> int:
    """Kill the server that a client talks to, and wait until it talks to another; which one that was."""
    states: Queue[str] = Queue()
    client.add_listener(states.put)
    killed = server_of(ensemble, client)
    ensemble.servers[killed].kill()
    assert states.get(timeout=WAIT) == KazooState.SUSPENDED
    assert states.get(timeout=WAIT) == KazooState.CONNECTED
    client.remove_listener(states.put)
    return killed


@pytest.mark.parametrize("first", range(1, 5))
def test_it_moves_with_its_ephemerals_wherever_it_began(
    ensemble: Ensemble, connect: Connect, first: int
) -> None:
    client = connect(first)
    client.set_hosts(ensemble.hosts)
    session = client.client_id[0]
    path = client.create("/ephemeral-", b"x", ephemeral=True, sequence=True)
    move_away(ensemble, client)
    assert client.client_id[0] == session
    assert client.get(path)[1].ephemeralOwner == session
    client.set(path, b"y")
    ensemble.heal()
    found = ensemble.assert_same_trees()[path]
    assert (found.data, found.stat.ephemeralOwner) == (b"y", session)


def test_kazoo_s_watches_go_on_after_it_moved(ensemble: Ensemble, connect: Connect) -> None:
    client, other = connect(), connect()
    client.create("/watched")
    children: Queue[list[str]] = Queue()
    client.ChildrenWatch("/watched", children.put)
    assert children.get(timeout=WAIT) == []
    move_away(ensemble, client)
    other.retry(other.create, "/watched/one")
    told = children.get(timeout=WAIT)
    assert (told or children.get(timeout=WAIT)) == ["one"]  # it reads anew when it is connected again


def test_watches_are_set_again_on_another_server(ensemble: Ensemble) -> None:
    """They tell at once of what happened meanwhile, and of the rest when it happens."""
    old, new = ensemble.followers()
    client, other = (connected(ensemble.servers[sid].address) for sid in (old, new))
    for path in ("/changed", "/later"):
        assert asked(other, Op.create, text(path) + blob(b"") + OPEN + int_(0)).err == 0
        asked(client, Op.sync, text(path))
        seen = asked(client, Op.getData, text(path) + bool_(True)).zxid
    asked(client, Op.exists, text("/made") + bool_(True))
    ensemble.servers[old].kill()
    assert asked(other, Op.setData, text("/changed") + blob(b"x") + int_(-1)).err == 0
    moved = Connection.open(ensemble.servers[new].address)
    granted = moved.connect(10_000, client.session, client.password, seen)
    assert isinstance(granted, Granted) and granted.session == client.session
    watches = blobs([b"/changed", b"/later"]) + blobs([b"/made"]) + blobs([])
    moved.send(Op.setWatches, long(seen) + watches, xid=SET_WATCHES)
    event, reply = moved.read(), moved.read()
    assert isinstance(event, Event) and (EVENTS[event.type], event.path) == ("NodeDataChanged", "/changed")
    assert isinstance(reply, Reply) and (reply.xid, reply.err) == (SET_WATCHES, 0)
    assert asked(other, Op.setData, text("/later") + blob(b"x") + int_(-1)).err == 0
    assert asked(other, Op.create, text("/made") + blob(b"") + OPEN + int_(0)).err == 0
    told = [moved.read(), moved.read()]
    assert [(EVENTS[one.type], one.path) for one in told if isinstance(one, Event)] == [
        ("NodeDataChanged", "/later"),
        ("NodeCreated", "/made"),
    ]


def test_pings_alone_keep_it_alive_through_any_server(ensemble: Ensemble, connect: Connect) -> None:
    """Only the leader expires sessions; the others tell it whom they heard."""
    states: list[str] = []
    clients = [connect(sid, timeout=1) for sid in ensemble.servers]
    for client in clients:
        client.create("/pinging-", ephemeral=True, sequence=True)
        client.add_listener(states.append)
    time.sleep(2.5)
    assert states == []
    owners = {
        node.stat.ephemeralOwner for path, node in ensemble.assert_same_trees().items() if "pinging" in path
    }
    assert owners == {client.client_id[0] for client in clients}


def test_what_a_frozen_server_was_sent_is_not_done_after_what_came_later(ensemble: Ensemble) -> None:
    old, new = ensemble.followers()
    client = connected(ensemble.servers[old].address)
    assert asked(client, Op.create, text("/ordered") + blob(b"") + OPEN + int_(0)).err == 0
    ensemble.servers[old].signal(signal.SIGSTOP)
    client.send(Op.setData, text("/ordered") + blob(b"sooner") + int_(-1))
    moved = Connection.open(ensemble.servers[new].address)
    granted = moved.connect(10_000, client.session, client.password, 0)
    assert isinstance(granted, Granted) and granted.session == client.session
    assert asked(moved, Op.setData, text("/ordered") + blob(b"later") + int_(-1)).err == 0
    ensemble.servers[old].signal(signal.SIGCONT)
    while (answer := client.read()) != Closed():
        assert isinstance(answer, Reply) and answer.err == SESSION_MOVED
    node = ensemble.assert_same_trees()["/ordered"]
    assert (node.data, node.stat.version) == (b"later", 1)


def test_one_that_is_silent_expires_though_its_server_is_dead(ensemble: Ensemble) -> None:
    client = connected(ensemble.servers[ensemble.leader()].address, timeout=1000)
    assert asked(client, Op.create, text("/silent") + blob(b"") + OPEN + int_(1)).err == 0
    ensemble.servers[ensemble.leader()].kill()
    other = next(server for server in ensemble.servers.values() if server.running)
    until(lambda: "Mode" in word(other.address, "srvr"), "another leader")
    watching = connected(other.address)
    there = text("/silent") + bool_(False)
    until(lambda: asked(watching, Op.exists, there).err == NO_NODE, "the end of the session")
    ensemble.heal()
    assert "/silent" not in ensemble.assert_same_trees()
