"""The network between servers breaks, under load: who has no majority serves nobody, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from kazoo.client import KazooClient, KeeperState
from kazoo.exceptions import NotReadOnlyCallError

from ..daemons import until
from ..zookeeper.raw import Closed, Op, blob, int_, text
from .ensemble import Ensemble, asked, connected, over, word
from .load import OPEN, Load
from .network import Network, to_and_from

CLIENTS = 4

Break: TypeAlias = Callable[[Network, int, list[int]], None]


@pytest.fixture(scope="module")
def network(backend: str) -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, network: Network, backend: str) -> Iterator[Ensemble]:
    folder = tmp_path_factory.mktemp("partitions")
    settings = f"{over(backend)}readonlymode.enabled=true\n"
    ensemble = Ensemble(folder, settings=settings, network=network)
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.kill()


@pytest.fixture
def ensemble(shared: Ensemble, network: Network) -> Ensemble:
    network.heal()
    shared.heal()
    return shared


@pytest.fixture
def under_load(ensemble: Ensemble, network: Network, request: pytest.FixtureRequest) -> Iterator[Load]:
    """Clients of all servers; when the network is whole again, all that they were told must hold."""
    load = Load(f"/{request.node.name}", ensemble, CLIENTS)
    try:
        load.progress()
        yield load
        network.heal()
        ensemble.until_all_serve()
        load.progress()
    finally:
        load.stop()
    load.assert_kept(ensemble.assert_same_trees())


def silence(network: Network, leader: int, others: list[int]) -> None:
    network.hold(to_and_from(leader, others))


def an_end(network: Network, leader: int, others: list[int]) -> None:
    network.cut(to_and_from(leader, others))


def deafness(network: Network, leader: int, others: list[int]) -> None:
    network.hold((other, leader) for other in others)


def dumbness(network: Network, leader: int, others: list[int]) -> None:
    network.hold((leader, other) for other in others)


@pytest.mark.parametrize("breaks", [silence, an_end, deafness, dumbness])
def test_the_leader_is_cut_off(
    ensemble: Ensemble, network: Network, under_load: Load, breaks: Break, request: pytest.FixtureRequest
) -> None:
    leader, others = ensemble.leader(), ensemble.followers()
    client = connected(ensemble.servers[leader].address)
    breaks(network, leader, others)
    client.send(Op.create, text("/on-one-side") + blob(b"") + OPEN + int_(0))
    assert client.read() == Closed()
    ensemble.until_it_serves_no_more(leader)
    until(lambda: "leader" in map(ensemble.mode, others), "the election of another leader")
    under_load.progress()
    assert "not currently serving" in word(ensemble.servers[leader].address, "srvr")


def test_a_follower_and_the_leader_lose_each_other(
    ensemble: Ensemble, network: Network, under_load: Load
) -> None:
    """The one between them hears both, and that there is a leader."""
    leader, (lost, other) = ensemble.leader(), ensemble.followers()
    epoch = ensemble.epoch(leader)
    network.hold(to_and_from(leader, [lost]))
    ensemble.until_it_serves_no_more(lost)
    under_load.progress()
    assert (ensemble.mode(leader), ensemble.mode(other)) == ("leader", "follower")
    assert ensemble.epoch(leader) == epoch


def test_who_asks_for_it_may_read_without_a_majority(ensemble: Ensemble, network: Network) -> None:
    leader, others = ensemble.leader(), ensemble.followers()
    client = KazooClient("{}:{}".format(*ensemble.servers[leader].address), read_only=True, timeout=20)
    client.start()
    client.create("/read", b"before")
    session = client.client_id
    silence(network, leader, others)
    until(lambda: client.client_state == KeeperState.CONNECTED_RO, "reads without a majority")
    ensemble.until_all_serve(others)
    writer = connected(ensemble.servers[others[0]].address)
    assert asked(writer, Op.setData, text("/read") + blob(b"after") + int_(-1)).err == 0
    writer.drop()
    assert client.get("/read")[0] == b"before"
    with pytest.raises(NotReadOnlyCallError):
        client.set("/read", b"refused")
    network.heal()
    until(lambda: client.client_state == KeeperState.CONNECTED, "writes again")
    assert client.client_id == session
    client.sync("/read")
    assert client.get("/read")[0] == b"after"
    client.stop()
    client.close()
