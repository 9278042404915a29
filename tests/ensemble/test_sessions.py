"""Sessions of an ensemble, by real processes: they move, are kept alive by any server, and expire once."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from itertools import cycle
from json import loads

import pytest
from kazoo.client import KazooClient, KeeperState
from kazoo.exceptions import NotReadOnlyCallError

from ..daemons import until
from ..zookeeper.raw import (
    SET_WATCHES,
    Closed,
    Connection,
    Event,
    Granted,
    Op,
    Reader,
    Reply,
    blob,
    bool_,
    int_,
    long,
    text,
)
from .ensemble import Ensemble, asked, connected, over, word
from .load import OPEN

EPHEMERAL = int_(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Iterator[Ensemble]:
    settings = f"{over(backend)}readonlymode.enabled=true\n"
    ensemble = Ensemble(tmp_path_factory.mktemp("sessions"), settings=settings)
    try:
        ensemble.start()
        yield ensemble
    finally:
        ensemble.kill()


@pytest.fixture
def ensemble(shared: Ensemble) -> Ensemble:
    shared.heal()
    return shared


def begun(ensemble: Ensemble, sid: int, timeout: int = 10_000) -> tuple[Connection, Granted]:
    connection = Connection.open(ensemble.servers[sid].address)
    granted = connection.connect(timeout, 0, bytes(16), 0)
    assert isinstance(granted, Granted) and granted.timeout
    return connection, granted


def moved(ensemble: Ensemble, sid: int, session: Granted, timeout: int = 10_000) -> Connection:
    connection = Connection.open(ensemble.servers[sid].address)
    granted = connection.connect(timeout, session.session, session.password, 0)
    assert isinstance(granted, Granted) and granted.session == session.session
    return connection


def create(path: str, flags: bytes = int_(0)) -> bytes:
    return text(path) + blob(b"") + OPEN + flags


def owner(ensemble: Ensemble, sid: int, path: str) -> int | None:
    """Whose ephemeral a znode is, as a server tells after a sync; None if it is gone."""
    connection = connected(ensemble.servers[sid].address)
    try:
        asked(connection, Op.sync, text("/"))
        reply = asked(connection, Op.exists, text(path) + bool_(False))
        return None if reply.err else Reader(reply.body).stat().ephemeralOwner
    finally:
        connection.drop()


def by_http(ensemble: Ensemble, sid: int, method: str, path: str) -> bytes:
    """What a server answers; raises HTTPError where it refuses."""
    host, port = ensemble.servers[sid].address
    request = urllib.request.Request(f"http://{host}:{port}{path}", method=method)
    if method == "POST":
        request.data = b""
        request.add_header("Content-Type", "application/octet-stream")
    with urllib.request.urlopen(request, timeout=20) as answer:
        body: bytes = answer.read()
        return body


def test_a_session_moves_with_its_ephemerals_and_its_old_connection_is_closed(ensemble: Ensemble) -> None:
    old, session = begun(ensemble, 1)
    assert asked(old, Op.create, create("/moves", EPHEMERAL)).err == 0
    for sid in (2, 3, 1):
        new = moved(ensemble, sid, session)
        assert old.read() == Closed()
        assert owner(ensemble, sid % 3 + 1, "/moves") == session.session
        old = new
    assert asked(old, Op.close).err == 0
    assert owner(ensemble, 2, "/moves") is None


def test_requests_in_one_packet_see_what_came_before_them_on_a_follower(ensemble: Ensemble) -> None:
    connection, _ = begun(ensemble, ensemble.followers()[0])
    for number in range(50):
        path = text(f"/piped-{number}")
        connection.send(Op.create, create(f"/piped-{number}"))
        connection.send(Op.getData, path + bool_(False))
        connection.send(Op.setData, path + blob(b"2") + int_(0))
        connection.send(Op.sync, path)
        connection.send(Op.getData, path + bool_(False))
    replies = [connection.read() for _ in range(250)]
    assert all(isinstance(reply, Reply) and reply.err == 0 for reply in replies)
    data = [Reader(reply.body).blob() for reply in replies if isinstance(reply, Reply)]
    assert data[1::5] == [b""] * 50
    assert data[4::5] == [b"2"] * 50
    connection.drop()


def test_sessions_live_by_signs_of_life_to_any_server_and_expire_without(ensemble: Ensemble) -> None:
    follower = ensemble.followers()[0]
    (pinged, session), (left, _) = begun(ensemble, follower, 3000), begun(ensemble, follower, 3000)
    uuid = loads(by_http(ensemble, 1, "POST", "/sessions/v1?op=create&expire=3"))["id"]
    for connection, path in ((pinged, "/pinged"), (left, "/left")):
        assert asked(connection, Op.create, create(path, EPHEMERAL)).err == 0
    made = f"/znodes/v1/?op=create&name=by-http&ephemeral=true&session={uuid}"
    by_http(ensemble, 2, "POST", made)
    left.sock.settimeout(0.1)
    servers = cycle(ensemble.servers)

    def left_is_over() -> bool:
        asked(pinged, Op.ping)
        by_http(ensemble, next(servers), "PUT", f"/sessions/v1/{uuid}")
        return left.read() == Closed()

    until(left_is_over, "the expiry")
    assert owner(ensemble, 1, "/left") is None
    assert owner(ensemble, ensemble.leader(), "/pinged") == session.session
    assert owner(ensemble, 2, "/by-http") is not None
    by_http(ensemble, 3, "DELETE", f"/sessions/v1/{uuid}")
    assert owner(ensemble, 1, "/by-http") is None
    pinged.drop()


def test_sessions_outlive_their_leader(ensemble: Ensemble) -> None:
    leader = ensemble.leader()
    connection, session = begun(ensemble, leader, 4000)
    assert asked(connection, Op.create, create("/outlives", EPHEMERAL)).err == 0
    ensemble.servers[leader].kill()
    other = ensemble.leader()
    assert asked(moved(ensemble, other, session, 4000), Op.close).err == 0
    assert owner(ensemble, other, "/outlives") is None


def test_watches_are_set_again_where_a_session_comes_to(ensemble: Ensemble) -> None:
    """By the client; and what happened in between is told at once."""
    leader = ensemble.leader()
    client, session = begun(ensemble, leader)
    for path in ("/meanwhile", "/later"):
        assert asked(client, Op.create, create(path)).err == 0
        watched = asked(client, Op.exists, text(path) + bool_(True))
    ensemble.servers[leader].kill()
    assert client.read() == Closed()
    other = ensemble.leader()
    writer = connected(ensemble.servers[other].address)
    assert asked(writer, Op.delete, text("/meanwhile") + int_(-1)).err == 0
    client = moved(ensemble, other, session)
    paths = int_(2) + text("/meanwhile") + text("/later")
    client.send(Op.setWatches, long(watched.zxid) + paths + int_(0) + int_(0), SET_WATCHES)
    told = client.read()
    assert isinstance(told, Event) and told.path == "/meanwhile"
    assert isinstance(client.read(), Reply)
    assert asked(writer, Op.delete, text("/later") + int_(-1)).err == 0
    told = client.read()
    assert isinstance(told, Event) and told.path == "/later"
    writer.drop()
    client.drop()


def test_a_server_without_a_majority_serves_reads_to_who_asks_for_that(ensemble: Ensemble) -> None:
    client = KazooClient("{}:{}".format(*ensemble.servers[1].address), read_only=True, timeout=20)
    client.start()
    client.create("/kept", b"data", ephemeral=True)
    session = client.client_id
    for sid in (2, 3):
        ensemble.servers[sid].kill()
    until(lambda: client.client_state == KeeperState.CONNECTED_RO, "reads without a majority")
    assert client.get("/kept")[0] == b"data"
    with pytest.raises(NotReadOnlyCallError):
        client.create("/refused")
    assert word(ensemble.servers[1].address, "isro") == "ro"
    ensemble.heal()
    until(lambda: client.client_state == KeeperState.CONNECTED, "writes again")
    assert client.client_id == session
    assert client.create("/taken")
    assert client.get("/kept")[0] == b"data"
    client.stop()
    client.close()
