"""kazoo, a client that knows nothing of this project: its ordinary use and its recipes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import EventType
from kazoo.security import OPEN_ACL_UNSAFE, make_acl, make_digest_acl

from .conftest import Server
from .script import sweep

WAIT = 10
"""Seconds for what must happen."""

Connect = Callable[[], Any]


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    """Makes clients with a session each, and ends those sessions."""
    clients: list[Any] = []

    def new() -> Any:
        client = KazooClient(hosts="{}:{}".format(*server.address), timeout=10)
        client.start(WAIT)
        clients.append(client)
        return client

    yield new
    for client in clients:
        client.stop()
        client.close()
    sweep(server.address)


@pytest.fixture
def client(connect: Connect) -> Any:
    return connect()


def test_a_session_has_an_id_and_a_timeout_and_ends_with_its_ephemerals(connect: Connect) -> None:
    one, other = connect(), connect()
    session, password = one.client_id
    assert session and len(password) == 16
    assert one.client_id != other.client_id
    one.create("/e", b"x", ephemeral=True)
    assert other.get("/e")[1].ephemeralOwner == session
    one.stop()
    assert other.exists("/e") is None


@pytest.mark.parametrize("ephemeral", [False, True])
def test_create_modes(client: Any, ephemeral: bool) -> None:
    client.create("/p")
    assert client.create("/p/n", b"x", ephemeral=ephemeral) == "/p/n"
    assert client.create("/p/n-", b"x", ephemeral=ephemeral, sequence=True) == "/p/n-0000000001"
    path, stat = client.create("/p/n-", b"xyz", ephemeral=ephemeral, sequence=True, include_data=True)
    assert (path, stat.dataLength, stat.version) == ("/p/n-0000000002", 3, 0)
    assert (stat.ephemeralOwner != 0) is ephemeral
    with pytest.raises(NodeExistsError):
        client.create("/p/n", ephemeral=ephemeral)
    if ephemeral:
        with pytest.raises(NoChildrenForEphemeralsError):
            client.create("/p/n/c")


def test_data_is_kept_with_its_version(client: Any) -> None:
    client.create("/d", b"one")
    stat = client.set("/d", b"two")
    assert client.get("/d") == (b"two", stat)
    with pytest.raises(BadVersionError):
        client.set("/d", b"three", version=0)
    with pytest.raises(BadVersionError):
        client.delete("/d", version=0)
    client.delete("/d", version=1)
    with pytest.raises(NoNodeError):
        client.get("/d")
    assert client.exists("/d") is None


def test_a_tree_is_made_listed_and_removed(client: Any) -> None:
    client.ensure_path("/a/b/c")
    client.create("/a/b/d", b"x" * 100_000)
    assert client.sync("/a") == "/a"
    assert sorted(client.get_children("/a/b")) == ["c", "d"]
    children, stat = client.get_children("/a/b", include_data=True)
    assert (len(children), stat.numChildren) == (2, 2)
    with pytest.raises(NotEmptyError):
        client.delete("/a")
    client.delete("/a", recursive=True)
    assert client.get_children("/") == ["zookeeper"]


def test_names_and_data_of_any_kind(client: Any) -> None:
    client.create("/\u00fc \u4e2d", bytes(range(256)))
    assert client.get("/\u00fc \u4e2d")[0] == bytes(range(256))
    client.create("/empty", b"")
    assert client.get("/empty")[0] == b""


def test_many_requests_in_flight(client: Any) -> None:
    client.create("/many")
    created = [client.create_async(f"/many/{n}", str(n).encode()) for n in range(500)]
    read = [client.get_async(f"/many/{n}") for n in range(500)]
    assert [c.get(timeout=WAIT) for c in created] == [f"/many/{n}" for n in range(500)]
    assert [r.get(timeout=WAIT)[0] for r in read] == [str(n).encode() for n in range(500)]


def test_a_watch_fires_once(connect: Connect) -> None:
    client, other = connect(), connect()
    events: Queue[Any] = Queue()
    assert client.exists("/w", watch=events.put) is None
    other.create("/w")
    assert events.get(timeout=WAIT)[::2] == (EventType.CREATED, "/w")
    client.get("/w", watch=events.put)
    other.set("/w", b"1")
    assert events.get(timeout=WAIT).type == EventType.CHANGED
    other.set("/w", b"2")
    client.get_children("/w", watch=events.put)
    other.create("/w/c")
    assert events.get(timeout=WAIT).type == EventType.CHILD
    other.delete("/w/c")
    client.get("/w", watch=events.put)
    other.delete("/w")
    assert events.get(timeout=WAIT).type == EventType.DELETED
    assert events.empty()


def test_a_data_watch_follows_every_change(connect: Connect) -> None:
    client, other = connect(), connect()
    seen: Queue[Any] = Queue()
    client.DataWatch("/w", lambda data, stat: seen.put(data))
    assert seen.get(timeout=WAIT) is None
    other.create("/w", b"0")
    assert seen.get(timeout=WAIT) == b"0"
    for n in range(1, 5):
        other.set("/w", str(n).encode())
        assert seen.get(timeout=WAIT) == str(n).encode()
    other.delete("/w")
    assert seen.get(timeout=WAIT) is None


def test_a_children_watch_follows_every_change(connect: Connect) -> None:
    client, other = connect(), connect()
    client.create("/w")
    seen: Queue[list[str]] = Queue()
    client.ChildrenWatch("/w", lambda children: seen.put(sorted(children)))
    assert seen.get(timeout=WAIT) == []
    other.create("/w/a")
    assert seen.get(timeout=WAIT) == ["a"]
    other.create("/w/b", ephemeral=True)
    assert seen.get(timeout=WAIT) == ["a", "b"]
    other.stop()
    assert seen.get(timeout=WAIT) == ["a"]


def test_a_transaction_is_all_or_nothing(client: Any) -> None:
    client.create("/t", b"0")
    transaction = client.transaction()
    transaction.check("/t", 0)
    transaction.create("/t/a", b"1")
    transaction.create("/t/s-", b"1", ephemeral=True, sequence=True)
    transaction.set_data("/t", b"2", version=0)
    transaction.delete("/t/a")
    checked, created, numbered, stat, deleted = transaction.commit()
    assert (checked, created, numbered, deleted) == (True, "/t/a", "/t/s-0000000001", True)
    assert stat.version == 1
    transaction = client.transaction()
    transaction.create("/t/b", b"1")
    transaction.check("/t", 0)
    transaction.create("/t/c", b"1")
    kinds = [type(result) for result in transaction.commit()]
    assert kinds == [RolledBackError, BadVersionError, RuntimeInconsistency]
    assert client.get_children("/t") == ["s-0000000001"]


def test_digest_auth_opens_what_its_list_closes(connect: Connect) -> None:
    client, other = connect(), connect()
    mine = make_digest_acl("bob", "secret", all=True)
    client.create("/mine", b"x", acl=[mine])
    with pytest.raises(NoAuthError):
        other.get("/mine")
    with pytest.raises(NoAuthError):
        other.set_acls("/mine", OPEN_ACL_UNSAFE)
    other.add_auth("digest", "bob:secret")
    assert other.get("/mine")[0] == b"x"
    assert other.get_acls("/mine")[0] == [mine]
    stat = other.set_acls("/mine", [make_acl("world", "anyone", read=True), mine])
    assert stat.aversion == 1
    assert client.get("/mine")[0] == b"x"
    with pytest.raises(NoAuthError):
        client.set("/mine", b"y")
    with pytest.raises(InvalidACLError):
        client.set_acls("/mine", [make_acl("nobody", "knows", read=True)])


def test_a_lock_has_one_holder_and_passes_on_in_turn(connect: Connect) -> None:
    one, other = connect(), connect()
    first, second = one.Lock("/lock", "first"), other.Lock("/lock", "second")
    assert first.acquire(timeout=WAIT)
    assert not second.acquire(blocking=False)
    taken = threading.Event()

    def take() -> None:
        if second.acquire(timeout=WAIT):
            taken.set()

    waiter = threading.Thread(target=take)
    waiter.start()
    appeared = threading.Event()
    one.ChildrenWatch("/lock", lambda children: appeared.set() if len(children) == 2 else None)
    assert appeared.wait(WAIT)
    assert first.contenders() == ["first", "second"]
    assert not taken.is_set()
    first.release()
    assert taken.wait(WAIT)
    waiter.join()
    second.release()


def test_a_lock_is_free_when_its_holders_session_ends(connect: Connect) -> None:
    one, other = connect(), connect()
    assert one.Lock("/lock").acquire(timeout=WAIT)
    one.stop()
    assert other.Lock("/lock").acquire(timeout=WAIT)


def test_readers_share_and_writers_do_not(connect: Connect) -> None:
    one, other = connect(), connect()
    reader, second_reader = one.ReadLock("/rw"), other.ReadLock("/rw")
    writer = other.WriteLock("/rw")
    assert reader.acquire(timeout=WAIT) and second_reader.acquire(timeout=WAIT)
    assert not writer.acquire(blocking=False)
    reader.release()
    second_reader.release()
    assert writer.acquire(timeout=WAIT)
    assert not one.ReadLock("/rw").acquire(blocking=False)


def test_a_semaphore_has_so_many_leases(connect: Connect) -> None:
    one, other = connect(), connect()
    semaphores = [c.Semaphore("/semaphore", max_leases=2) for c in (one, other, other)]
    assert semaphores[0].acquire(timeout=WAIT) and semaphores[1].acquire(timeout=WAIT)
    assert not semaphores[2].acquire(blocking=False)
    semaphores[0].release()
    assert semaphores[2].acquire(timeout=WAIT)


def test_an_election_has_one_leader_at_a_time(connect: Connect) -> None:
    order: Queue[str] = Queue()
    done = threading.Event()

    def lead(name: str) -> None:
        order.put(name)
        done.wait(WAIT)

    elections = [connect().Election("/election", name) for name in ("first", "second")]
    threads = [threading.Thread(target=e.run, args=(lead, e.lock.data.decode())) for e in elections]
    threads[0].start()
    assert order.get(timeout=WAIT) == "first"
    threads[1].start()
    done.set()
    assert order.get(timeout=WAIT) == "second"
    for thread in threads:
        thread.join()


def test_a_barrier_holds_until_it_is_removed(connect: Connect) -> None:
    one, other = connect(), connect()
    barrier = one.Barrier("/barrier")
    barrier.create()
    assert not other.Barrier("/barrier").wait(0)
    passed = threading.Event()

    def wait() -> None:
        if other.Barrier("/barrier").wait(WAIT):
            passed.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    barrier.remove()
    assert passed.wait(WAIT)
    waiter.join()


def test_a_double_barrier_lets_all_in_and_out_together(connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    inside: Queue[int] = Queue()

    def visit(client: Any, number: int) -> None:
        barrier = client.DoubleBarrier("/double", 3)
        barrier.enter()
        inside.put(number)
        barrier.leave()

    threads = [threading.Thread(target=visit, args=(c, n)) for n, c in enumerate(clients)]
    for thread in threads:
        thread.start()
    assert {inside.get(timeout=WAIT) for _ in threads} == {0, 1, 2}
    for thread in threads:
        thread.join()


def test_a_queue_gives_what_was_put_by_priority_then_order(connect: Connect) -> None:
    one, other = connect(), connect()
    queue = one.Queue("/queue")
    queue.put(b"late", priority=200)
    queue.put(b"a")
    queue.put(b"b")
    assert len(queue) == 3
    assert [other.Queue("/queue").get() for _ in range(4)] == [b"a", b"b", b"late", None]


def test_a_locking_queue_keeps_what_is_not_consumed(connect: Connect) -> None:
    one, other = connect(), connect()
    queue = one.LockingQueue("/queue")
    queue.put_all([b"a", b"b"])
    assert queue.get(WAIT) == b"a"
    assert other.LockingQueue("/queue").get(WAIT) == b"b"
    assert queue.consume()
    other.stop()
    assert queue.get(WAIT) == b"b"


def test_a_counter_counts_for_everyone(connect: Connect) -> None:
    clients = [connect() for _ in range(3)]

    def count(client: Any) -> None:
        counter = client.Counter("/counter")
        for _ in range(20):
            counter += 1

    threads = [threading.Thread(target=count, args=(c,)) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clients[0].Counter("/counter").value == 60


def test_a_party_knows_its_members(connect: Connect) -> None:
    one, other = connect(), connect()
    party = one.Party("/party", "one")
    party.join()
    other.Party("/party", "other").join()
    assert sorted(party) == ["one", "other"]
    other.stop()
    assert list(party) == ["one"]


def test_sessions_watches_and_data_outlive_the_servers_restart(server: Server, connect: Connect) -> None:
    client = connect()
    client.create("/kept", b"x")
    client.create("/kept/e", b"", ephemeral=True)
    numbered = client.create("/kept/n-", b"", sequence=True)
    session = client.client_id
    seen: Queue[Any] = Queue()
    client.DataWatch("/kept", lambda data, stat: seen.put(data))
    assert seen.get(timeout=WAIT) == b"x"
    states: Queue[str] = Queue()
    client.add_listener(states.put)
    server.restart()
    assert states.get(timeout=WAIT) == KazooState.SUSPENDED
    assert states.get(timeout=WAIT) == KazooState.CONNECTED
    assert client.client_id == session
    assert sorted(client.get_children("/kept")) == ["e", numbered.removeprefix("/kept/")]
    assert client.create("/kept/n-", b"", sequence=True) > numbered
    other = connect()
    other.set("/kept", b"y")
    while seen.get(timeout=WAIT) != b"y":
        pass
    client.stop()
    assert other.exists("/kept/e") is None
