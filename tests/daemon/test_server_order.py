"""A client is answered in the order in which it asked, and sees its own writes, whatever happens."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.storage import ops
from znoded.storage.errors import Code

from .core import Clock, Core, Ear, patch_clock

CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    return Core(tmp_path, patch_clock(monkeypatch), {})


@pytest.fixture
def client(core: Core) -> Ear:
    client = core.client()
    client.create(b"/a")
    core.steps.commit()
    client.said.clear()
    return client


def test_a_read_is_answered_at_once(client: Ear) -> None:
    xid = client.get(b"/a")
    assert client.said == [("reply", xid, 0)]
    assert client.sent_until == 1


def test_a_read_waits_for_the_same_clients_writes_and_sees_them(core: Core, client: Ear) -> None:
    written, read = client.set(b"/a", b"new"), client.get(b"/a")
    assert client.said == []
    core.steps.commit()
    assert client.replies == [written, read]
    assert client.data(read) == b"new"


def test_a_read_between_writes_sees_those_before_it_only(core: Core, client: Ear) -> None:
    xids = [client.set(b"/a", b"1"), client.get(b"/a"), client.set(b"/a", b"2"), client.get(b"/a")]
    core.steps.commit()
    assert client.replies == xids
    assert [client.data(xids[1]), client.data(xids[3])] == [b"1", b"2"]


def test_nobody_waits_for_the_writes_of_others(core: Core, client: Ear) -> None:
    other = core.client()
    client.set(b"/a", b"new")
    read = other.get(b"/a")
    assert other.replies == [read]
    assert other.data(read) == b""


def test_a_sync_waits_for_writes_before_it_and_holds_up_what_comes_after_it(core: Core, client: Ear) -> None:
    xids = [
        client.set(b"/a", b"1"),
        client.sync(),
        client.get(b"/a"),
        client.set(b"/a", b"2"),
        client.get(b"/a"),
    ]
    assert core.steps.barriers == []
    core.steps.commit()
    assert client.replies == xids[:1]
    assert len(core.steps.barriers) == 1
    core.steps.confirm()
    assert client.replies == xids[:3]
    core.steps.commit()
    assert client.replies == xids
    assert [client.data(xids[2]), client.data(xids[4])] == [b"1", b"2"]


def test_a_write_does_not_overtake_those_that_a_sync_held_up(core: Core, client: Ear) -> None:
    xids = [client.sync(), client.set(b"/a", b"1"), client.set(b"/a", b"2")]
    core.steps.confirm()
    xids.append(client.set(b"/a", b"3"))
    core.steps.settle()
    xids.append(client.get(b"/a"))
    assert client.replies == xids
    assert client.data(xids[-1]) == b"3"


def test_a_sync_is_answered_with_its_path(core: Core, client: Ear) -> None:
    xid = client.sync()
    core.steps.confirm()
    assert client.bodies[xid] == b"\0\0\0\1/"


def test_pings_wait_for_nothing(client: Ear) -> None:
    client.set(b"/a", b"new")
    client._server.submit(client, -2, ops.PING, b"")
    assert client.said == [("reply", -2, 0)]


# refusals


def test_what_is_refused_was_not_done_and_its_line_goes_on(core: Core, client: Ear) -> None:
    xids = [client.set(b"/a", b"1"), client.get(b"/a"), client.set(b"/a", b"2"), client.get(b"/a")]
    core.steps.drop()
    assert client.replies == xids
    assert client.errors() == [Code.SYSTEMERROR, 0, Code.SYSTEMERROR, 0]
    assert [client.data(xids[1]), client.data(xids[3])] == [b"", b""]
    assert client.closed is None
    assert core.server.outstanding == 0


def test_where_nobody_knows_the_connection_is_closed(core: Core, client: Ear) -> None:
    other = core.client()
    client.set(b"/a", b"1")
    client.get(b"/a")
    core.steps.drop(unknown=True)
    assert client.said == []
    assert client.closed == "a reason"
    assert other.closed is None
    assert core.server.outstanding == 0


def test_a_refused_proposal_is_answered_in_its_turn(core: Core, client: Ear) -> None:
    first = client.set(b"/a", b"1")
    core.steps.refusal = "no leader"
    xids = [first, client.set(b"/a", b"2"), client.get(b"/a"), client.sync()]
    assert client.replies == []
    core.steps.commit()
    assert client.replies == xids
    assert client.errors() == [0, Code.SYSTEMERROR, 0, Code.SYSTEMERROR]
    assert client.data(xids[2]) == b"1"


def test_a_refused_proposal_with_nothing_before_it_is_answered_at_once(core: Core, client: Ear) -> None:
    core.steps.refusal = "no leader"
    xids = [client.set(b"/a", b"1"), client.sync(), client.get(b"/a")]
    assert client.replies == xids
    assert client.errors() == [Code.SYSTEMERROR, Code.SYSTEMERROR, 0]
    core.steps.refusal = None
    xids.append(client.set(b"/a", b"2"))
    core.steps.settle()
    assert client.replies == xids


# any order of things

STEP = st.one_of(
    st.tuples(st.sampled_from(["set", "set", "get", "get", "sync"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["commit", "drop"]), st.integers(1, 4)),
    st.tuples(st.sampled_from(["confirm", "refuse", "serve"]), st.just(0)),
)


@settings(max_examples=400)
@given(st.lists(STEP, max_size=40))
def test_answers_come_in_order_and_every_read_sees_what_its_client_wrote(
    steps: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        core = Core(Path(folder), Clock(), {})
        clients = [core.client(), core.client()]
        paths = [b"/a", b"/b"]
        for client, path in zip(clients, paths, strict=True):
            client.create(path)
            core.steps.commit()
            client.said.clear()
        asked: list[list[tuple[str, int]]] = [[], []]
        for step, number in [*steps, ("serve", 0)]:
            if step in ("set", "get", "sync"):
                client, path = clients[number], paths[number]
                if step == "set":
                    xid = client.set(path, b"%d" % (client.xid + 1))
                else:
                    xid = client.get(path) if step == "get" else client.sync()
                asked[number].append((step, xid))
            elif step == "commit":
                core.steps.commit(number)
            elif step == "drop":
                core.steps.drop(number)
            elif step == "confirm":
                core.steps.confirm()
            else:
                core.steps.refusal = "no leader" if step == "refuse" else None
        core.steps.settle()
        for client, requests in zip(clients, asked, strict=True):
            assert client.replies == [xid for _, xid in requests]
            outcome = dict(zip(client.replies, client.errors(), strict=True))
            written = b""
            for kind, xid in requests:
                if kind == "set" and outcome[xid] == 0:
                    written = b"%d" % xid
                elif kind == "get":
                    assert client.data(xid) == written
            assert (len(client.waiting), client.stalled) == (0, 0)
        assert core.server.outstanding == 0


# events


def test_an_event_comes_before_the_answer_that_shows_the_change(core: Core, client: Ear) -> None:
    client.get(b"/a", watch=True)
    client.said.clear()
    written, read = client.set(b"/a", b"new"), client.get(b"/a")
    core.steps.commit()
    assert client.said == [("event", CHANGED, b"/a"), ("reply", written, 0), ("reply", read, 0)]


def test_others_hear_of_a_change_in_the_same_order(core: Core, client: Ear) -> None:
    other = core.client()
    other.get(b"/a", watch=True)
    waited = other.set(b"/a", b"mine")
    client.set(b"/a", b"2")
    read = other.get(b"/a")
    other.said.clear()
    core.steps.commit()
    assert other.said == [("event", CHANGED, b"/a"), ("reply", waited, 0), ("reply", read, 0)]
    assert other.sent_until == 3


def test_a_watch_fires_once(core: Core, client: Ear) -> None:
    client.get(b"/a", watch=True)
    for _ in range(2):
        client.set(b"/a", b"")
    core.steps.commit()
    assert [said for said in client.said if said[0] == "event"] == [("event", CHANGED, b"/a")]


def test_events_come_in_the_order_of_the_changes(core: Core, client: Ear) -> None:
    other = core.client()
    body = b"\0\0\0\1/\0\0\0\1"
    other.ask(ops.ADD_WATCH, body)
    other.said.clear()
    client.create(b"/b")
    client.set(b"/b", b"")
    client.create(b"/b/c")
    core.steps.commit()
    assert other.said == [("event", CREATED, b"/b"), ("event", CHANGED, b"/b"), ("event", CREATED, b"/b/c")]


def test_an_event_is_for_those_who_may_read(core: Core, client: Ear) -> None:
    closed = b"\0\0\0\1" + b"\0\0\0\x1f" + b"\0\0\0\2ip" + b"\0\0\0\x0810.0.0.1"
    mine, yours = core.client(host="10.0.0.1"), core.client(host="10.0.0.2")
    for ear in (mine, yours):
        ear.ask(ops.ADD_WATCH, b"\0\0\0\1/\0\0\0\1")
        ear.ask(ops.GET_CHILDREN, b"\0\0\0\1/\1")
        ear.said.clear()
    client.create(b"/secret", acl=closed)
    core.steps.commit()
    assert mine.said == [("event", CREATED, b"/secret"), ("event", CHILDREN, b"/")]
    assert yours.said == [("event", CHILDREN, b"/")]


def test_a_closed_connection_hears_nothing_more(core: Core, client: Ear) -> None:
    other = core.client()
    other.get(b"/a", watch=True)
    other.vanish()
    assert core.server.watches.count == 0
    client.set(b"/a", b"")
    core.steps.commit()
    assert [said[0] for said in other.said] == ["reply"]


def test_a_failed_multi_tells_nobody(core: Core, client: Ear) -> None:
    client.get(b"/a", watch=True)
    client.said.clear()
    # setData /a, check /none
    part = b"\0\0\0\5\0\xff\xff\xff\xff\0\0\0\2/a\0\0\0\0\xff\xff\xff\xff"
    check = b"\0\0\0\x0d\0\xff\xff\xff\xff\0\0\0\5/none\xff\xff\xff\xff"
    xid = client.ask(ops.MULTI, part + check + b"\xff\xff\xff\xff\1\xff\xff\xff\xff")
    core.steps.commit()
    assert client.said == [("reply", xid, 0)]
