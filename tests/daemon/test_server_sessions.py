"""Sessions begin, are taken up, move, end and expire; who asks too much is held back."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import pytest

from znoded.storage import ops
from znoded.storage.errors import Code
from znoded.storage.jute import INT, LONG, pack_buffer

from .core import Core, Ear, patch_clock

OVER: Final = ("refused",)


class Make(Protocol):
    def __call__(self, **settings: str) -> Core: ...


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    clock = patch_clock(monkeypatch)
    return lambda **settings: Core(tmp_path, clock, settings)


@pytest.fixture
def core(make: Make) -> Core:
    return make()


def there(core: Core, path: bytes) -> bool:
    return core.state.node(path) is not None


def proof(scheme: bytes, credentials: bytes) -> bytes:
    return INT.pack(0) + pack_buffer(scheme) + pack_buffer(credentials)


def create_for_me(path: bytes) -> bytes:
    """A create whose list is for whoever creates it: refused to those who have proved nothing."""
    acl = INT.pack(1) + INT.pack(31) + pack_buffer(b"auth") + pack_buffer(b"")
    return pack_buffer(path) + pack_buffer(b"") + acl + INT.pack(0)


# beginning


def test_a_session_is_handed_over_once_it_is_committed(core: Core) -> None:
    ear = core.connection()
    core.connect(ear)
    assert ear.said == []
    core.steps.commit()
    assert ear.said == [("welcome", ear.session_id)]
    assert core.state.sessions[ear.session_id].password == ear.password
    assert len(ear.password) == 16


def test_sessions_differ_in_ids_and_passwords(core: Core) -> None:
    clients = [core.client() for _ in range(20)]
    assert len({client.session_id for client in clients}) == 20
    assert len({client.password for client in clients}) == 20


@pytest.mark.parametrize(("asked", "given"), [(1, 2000), (5000, 5000), (10**9, 20_000), (-1, 2000)])
def test_a_timeout_is_between_2_and_20_ticks(core: Core, asked: int, given: int) -> None:
    client = core.client(asked)
    assert client.session_timeout == given == core.state.sessions[client.session_id].timeout


def test_a_client_that_has_seen_more_than_this_server_must_go_on(core: Core) -> None:
    ear = core.connection()
    core.connect(ear, seen=core.state.zxid + 1)
    assert ear.said == []
    assert ear.closed is not None


def test_a_connection_that_went_away_meanwhile_leaves_its_session_to_its_timeout(core: Core) -> None:
    ear = core.connection()
    core.connect(ear)
    ear.vanish()
    core.steps.commit()
    assert ear.said == []
    assert len(core.state.sessions) == 1
    core.pass_time(5)
    assert core.state.sessions == {}


def test_a_session_that_could_not_be_ordered_closes_the_connection(core: Core) -> None:
    dropped, refused = core.connection(), core.connection()
    core.connect(dropped)
    core.steps.drop()
    core.steps.refusal = "no leader"
    core.connect(refused)
    assert (dropped.closed, refused.closed) == ("a reason", "no leader")


def test_a_server_that_does_not_serve_yet_takes_nobody(core: Core) -> None:
    core.server.serving = False
    ear = core.connection()
    core.connect(ear)
    assert ear.closed == "not serving yet"


# taking up, moving


def test_a_session_is_taken_up_with_its_password(core: Core) -> None:
    client = core.client()
    client.create(b"/e", flags=1)
    core.steps.commit()
    client.vanish()
    moved = core.move(client)
    assert moved.said == [("welcome", client.session_id)]
    assert moved.password == client.password
    moved.end()
    core.steps.commit()
    assert not there(core, b"/e")


def test_a_session_from_before_a_restart_is_taken_up_by_who_does_not_lead(core: Core) -> None:
    client = core.client()
    core.restart()
    assert core.move(client).said == [("welcome", client.session_id)]


def test_the_old_connection_is_closed_when_its_session_moves(core: Core) -> None:
    client = core.client()
    moved = core.move(client)
    assert client.closed is not None
    assert "moved" in client.closed
    assert moved.closed is None
    client.vanish()
    core.pass_time(3)
    moved.heard = core.clock()
    core.pass_time(3)
    assert moved.session_id in core.state.sessions


def test_a_wrong_password_harms_nobody(core: Core) -> None:
    client = core.client()
    for password in (bytes(16), b"", client.password[:-1], client.password + b"x"):
        stranger = core.connection()
        core.connect(stranger, session=client.session_id, password=password)
        assert stranger.said == [OVER]
    assert client.closed is None


def test_an_unknown_session_is_over(core: Core) -> None:
    ear = core.connection()
    core.connect(ear, session=99, password=bytes(16))
    assert ear.said == []  # it may have begun on another server: only the order of all writes can tell
    core.steps.commit()
    assert ear.said == [OVER]


def test_what_was_under_way_when_a_session_moved_is_done_and_told_to_nobody(core: Core) -> None:
    client = core.client()
    client.create(b"/a")
    client.get(b"/a", watch=True)
    moved = core.move(client)
    moved.said.clear()
    core.steps.commit()
    client.vanish()
    assert there(core, b"/a")
    assert client.said == []
    assert moved.said == []
    assert core.server.watches.count == 0
    assert core.server.outstanding == 0


def test_a_timeout_is_negotiated_anew_and_counts_at_once(core: Core) -> None:
    client = core.client(20_000)
    moved = core.move(client, 2000)
    core.steps.commit()  # whoever expires sessions must know
    assert moved.session_timeout == 2000
    core.pass_time(3)
    assert moved.session_id not in core.state.sessions


# ending


def test_a_session_that_is_closed_takes_its_ephemerals_and_its_connection_along(core: Core) -> None:
    client = core.client()
    client.create(b"/e", flags=1)
    xid = client.end()
    core.steps.commit()
    assert client.said[-1] == ("reply", xid, 0)
    assert client.closed == ""
    assert not there(core, b"/e")
    assert len(core.server.sessions.leases) == 0


def test_what_comes_after_the_end_of_a_session_is_not_done(core: Core) -> None:
    client = core.client()
    client.end()
    client.create(b"/late")
    core.steps.commit()
    assert not there(core, b"/late")
    assert client.errors() == [0, Code.SESSIONEXPIRED]


def test_a_client_ends_nobodys_session_but_its_own(core: Core) -> None:
    client, other = core.client(), core.client()
    client.ask(ops.CLOSE_SESSION, LONG.pack(9) + LONG.pack(other.session_id))
    core.steps.commit()
    assert core.state.sessions.keys() == {other.session_id}


@pytest.mark.parametrize(
    "op", [ops.CREATE_SESSION, ops.LEAD, ops.DELETE_CONTAINER, ops.ERROR, 999, ops.CHECK]
)
def test_what_no_client_may_ask_closes_the_connection(core: Core, op: int) -> None:
    client = core.client()
    xid = client.ask(op, bytes(30))
    assert client.said == [("reply", xid, Code.UNIMPLEMENTED)]
    assert client.closed is not None
    assert core.steps.pending == []


# expiring


def test_a_silent_session_expires(core: Core) -> None:
    silent, loud = core.client(4000), core.client(4000)
    silent.create(b"/e", flags=1)
    core.steps.commit()
    for _ in range(4):
        core.pass_time(1)
        loud.heard = core.clock()
    assert there(core, b"/e")
    core.pass_time(1)
    assert not there(core, b"/e")
    assert core.state.sessions.keys() == {loud.session_id}
    assert silent.closed == ""
    assert core.server.stats.counters["stale_sessions_expired"] == 1


def test_a_session_without_a_connection_counts_from_when_it_was_last_heard(core: Core) -> None:
    client = core.client(4000)
    core.pass_time(3)
    client.heard = core.clock()
    client.vanish()
    core.pass_time(4)
    assert core.state.sessions.keys() == {client.session_id}
    core.pass_time(1)
    assert core.state.sessions == {}


def test_a_session_that_another_server_heard_lives_whatever_else_that_server_says(core: Core) -> None:
    client = core.client(4000)
    client.vanish()
    for _ in range(3):
        core.pass_time(3)
        core.server.heard(LONG.pack(9) + LONG.pack(client.session_id) + b"...")
    assert core.state.sessions.keys() == {client.session_id}


def test_an_expiry_that_is_dropped_is_tried_again(core: Core) -> None:
    core.client(2000)
    core.clock.now += 10
    core.server.sessions.tick()
    assert len(core.steps.pending) == 1
    core.server.sessions.tick()
    assert len(core.steps.pending) == 1
    core.steps.drop()
    core.pass_time(1)
    assert core.state.sessions == {}


def test_a_session_that_is_expiring_cant_be_taken_up(core: Core) -> None:
    client = core.client(2000)
    core.clock.now += 10
    core.server.sessions.tick()
    assert core.move(client).said == [OVER]


def test_who_does_not_lead_expires_nobody(core: Core) -> None:
    client = core.client(2000)
    core.server.leading(None)
    core.pass_time(10)
    assert client.session_id in core.state.sessions


def test_a_new_leader_waits_a_full_timeout_and_raises_the_generation(core: Core) -> None:
    client = core.client(2000)
    core.server.leading(None)
    core.pass_time(10)
    core.server.leading(3)
    core.steps.commit()
    assert core.state.generation == 3
    core.pass_time(2)
    assert client.session_id in core.state.sessions
    core.pass_time(1)
    assert core.state.sessions == {}


def test_an_expiry_of_a_leadership_that_is_over_is_ignored(core: Core) -> None:
    client = core.client(2000)
    core.clock.now += 10
    core.server.sessions.tick()
    core.server.leading(None)
    core.server.leading(1)
    core.steps.pending.reverse()  # the new leadership is ordered first
    core.steps.commit()
    assert client.session_id in core.state.sessions
    assert core.move(client, 2000).said == [("welcome", client.session_id)]


# identities


def test_an_identity_counts_for_what_is_asked_from_then_on(core: Core) -> None:
    client = core.client()
    before = client.request(ops.CREATE, create_for_me(b"/a"))
    client.request(ops.AUTH, proof(b"digest", b"me:secret"))
    after = client.request(ops.CREATE, create_for_me(b"/a"))
    core.steps.commit()
    answers = dict(zip(client.replies, client.errors(), strict=True))
    assert (answers[before], answers[after]) == (Code.INVALIDACL, 0)


def test_an_identity_proved_by_another_way_than_a_request_counts_likewise(core: Core) -> None:
    client = core.client()
    client.request(ops.CREATE, create_for_me(b"/a"))
    assert core.server.authenticate(client, "digest", b"me:secret")
    client.request(ops.CREATE, create_for_me(b"/a"))
    core.steps.commit()
    assert client.errors() == [Code.INVALIDACL, 0]


def test_an_unknown_scheme_closes_the_connection(core: Core) -> None:
    client = core.client()
    client.request(ops.AUTH, proof(b"magic", b"wand"))
    assert client.errors() == [Code.AUTHFAILED]
    assert client.closed is not None
    assert core.server.stats.auth_failed == 1


def test_every_client_writes_as_itself(core: Core) -> None:
    """What is prepared once for all requests of a read is no other connection's."""
    first, second = core.client(), core.client()
    for client in (first, second, first):
        client.create(b"/e-", flags=3)
    core.steps.commit()
    assert core.state.ephemerals(first.session_id) == [b"/e-0000000000", b"/e-0000000002"]
    assert core.state.ephemerals(second.session_id) == [b"/e-0000000001"]


# limits


def test_an_address_has_so_many_connections(make: Make) -> None:
    core = make(maxClientCnxns="2")
    first = core.connection("10.0.0.1")
    core.connection("10.0.0.1")
    refusal = core.server.accept(Ear(core, "10.0.0.1"))
    assert refusal is not None
    assert "maxClientCnxns" in refusal
    core.connection("10.0.0.2")
    first.vanish()
    core.connection("10.0.0.1")


def test_who_asks_while_too_much_is_under_way_is_held_back_until_it_is_done(make: Make) -> None:
    core = make(globalOutstandingLimit="3")
    client, other = core.client(), core.client()
    for _ in range(3):
        client.create(b"/a-", flags=2)
    assert not client.is_held()
    client.create(b"/a-", flags=2)
    assert client.is_held()
    other.create(b"/b-", flags=2)
    assert other.is_held()
    core.steps.commit(1)
    assert (client.is_held(), other.is_held()) == (True, True)
    core.steps.commit(1)
    assert (client.is_held(), other.is_held()) == (False, False)
    core.steps.commit()
    assert core.server.outstanding == 0


def test_a_long_line_is_held_back_until_it_is_shorter(core: Core) -> None:
    client = core.client()
    client.create(b"/a")
    for _ in range(1000):
        client.get(b"/a")
    assert client.is_held()
    core.steps.commit()
    assert not client.is_held()
    assert len(client.replies) == 1001


def test_a_refusal_makes_room_too(make: Make) -> None:
    core = make(globalOutstandingLimit="1")
    client = core.client()
    for _ in range(2):
        client.create(b"/a-", flags=2)
    assert client.is_held()
    core.steps.drop()
    assert not client.is_held()


def test_a_connection_that_goes_away_while_held_back_is_let_go(make: Make) -> None:
    core = make(globalOutstandingLimit="1")
    client = core.client()
    for _ in range(3):
        client.create(b"/a-", flags=2)
    assert client.is_held()
    client.vanish()
    core.steps.commit()
    assert client.is_held()
    assert core.server.outstanding == 0
    assert core.server.connections == set()
