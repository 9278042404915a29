"""A session moves between the servers of an ensemble: one of them at a time may write for it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from znoded.consensus.contract import Entry, Role, Status
from znoded.storage.errors import Code

from .core import Core, Ear, Steps, patch_clock

OVER: Final = ("refused",)


class Led(Steps):
    """As one of several servers has it: what it tells the leader arrives there."""

    def __init__(self, ensemble: Pair) -> None:
        super().__init__()
        self._ensemble = ensemble

    @property
    def status(self) -> Status:
        return Status(Role.FOLLOWER, 1, self._ensemble.leader, (), 0)

    def to_leader(self, message: bytes) -> None:
        assert self._ensemble.leader is not None
        self._ensemble[self._ensemble.leader].server.heard(message)


class Pair:
    """Servers 1 and 2, whose writes are put in one order by hand. Server 1 leads."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.clock = patch_clock(patch)
        self.leader: int | None = 1
        self._cores = [self._core(folder / str(me), me) for me in (1, 2)]
        self.commit()

    def __getitem__(self, number: int) -> Core:
        return self._cores[number - 1]

    def _core(self, folder: Path, me: int) -> Core:
        folder.mkdir()
        (folder / "myid").write_text(str(me))
        servers = {f"server.{n}": f"127.0.0.1:2{n}:3{n}" for n in (1, 2)}
        core = Core(folder, self.clock, servers | {"initLimit": "5", "syncLimit": "2"}, Led(self))
        core.server.leading(1 if me == 1 else None)
        return core

    def order(self) -> list[tuple[Core, Entry]]:
        """What was proposed, server by server, with zxids."""
        taken = [(core, *one) for core in self._cores for one in core.steps.pending]
        for core in self._cores:
            core.steps.pending.clear()
        first = self[1].state.zxid + 1
        return [(core, (first + at, txn, waiter)) for at, (core, txn, waiter) in enumerate(taken)]

    def apply(self, number: int, ordered: list[tuple[Core, Entry]]) -> None:
        """Have one server apply it."""
        core = self[number]
        core.server.apply(
            [(zxid, txn, waiter if by is core else None) for by, (zxid, txn, waiter) in ordered]
        )

    def commit(self) -> None:
        """Have both apply what was proposed, in one batch."""
        ordered = self.order()
        for number in (1, 2):
            self.apply(number, ordered)

    def client(self, number: int, timeout: int = 4000) -> Ear:
        ear = self[number].connection()
        self[number].connect(ear, timeout)
        self.commit()
        ear.said.clear()
        return ear

    def move(self, client: Ear, number: int, timeout: int = 4000) -> Ear:
        """A connection to another server that asks for the session, before anything is ordered."""
        moved = self[number].connection()
        self[number].connect(moved, timeout, session=client.session_id, password=client.password)
        return moved

    def pass_time(self, seconds: int, *heard: Ear) -> None:
        for _ in range(seconds):
            self.clock.now += 1
            for ear in heard:
                ear.heard = self.clock()
            for core in reversed(self._cores):
                core.server.sessions.tick()
            self.commit()


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(tmp_path, monkeypatch)


def test_the_old_server_closes_the_connection_of_a_session_that_moved(servers: Pair) -> None:
    client = servers.client(1)
    moved = servers.move(client, 2)
    assert moved.said == []
    servers.commit()
    assert moved.said == [("welcome", client.session_id)]
    assert client.closed == f"session {client.session_id:#x} moved to server 2"
    assert moved.closed is None


def test_what_was_sent_by_the_old_connection_is_not_done_behind_what_comes_by_the_new(servers: Pair) -> None:
    """ZooKeeper's SessionMovedException."""
    client = servers.client(2)
    moved = servers.move(client, 1)
    servers.commit()
    client.closed = None  # server 2 has not heard of it yet, say
    servers[2].server.submit(client, 7, 1, b"")
    moved.create(b"/new")
    servers.commit()
    assert client.said[-1] == ("reply", 7, Code.SESSIONMOVED)
    assert moved.errors() == [0]


def test_what_was_ordered_before_the_move_is_done(servers: Pair) -> None:
    client = servers.client(1)
    client.create(b"/before")
    moved = servers.move(client, 2)
    servers.commit()
    get = moved.get(b"/before")
    assert moved.said[-1] == ("reply", get, 0)


def test_a_session_goes_to_and_fro(servers: Pair) -> None:
    client = servers.client(1)
    for number in (2, 1, 2, 2, 1):
        before, client = client, servers.move(client, number)
        servers.commit()
        assert before.closed is not None
        client.create(f"/{number}-".encode() + client.session_id.to_bytes(8).hex().encode())
        servers.commit()
        assert client.errors()[0] in (0, Code.NODEEXISTS)


def test_on_its_own_server_a_session_is_handed_over_at_once(servers: Pair) -> None:
    client = servers.client(2)
    moved = servers.move(client, 2)
    assert moved.said == [("welcome", client.session_id)]
    assert servers.order() == []


def test_a_session_that_began_elsewhere_a_moment_ago_is_found(servers: Pair) -> None:
    ear = servers[1].connection()
    servers[1].connect(ear)
    ordered = servers.order()
    servers.apply(1, ordered)
    moved = servers.move(ear, 2)
    assert moved.said == []
    servers.apply(2, ordered)
    servers.commit()
    assert moved.said == [("welcome", ear.session_id)]


def test_a_session_that_has_ended_elsewhere_is_over(servers: Pair) -> None:
    client = servers.client(1)
    client.end()
    moved = servers.move(client, 2)
    servers.commit()
    assert moved.said == [OVER]


@pytest.mark.parametrize("length", [0, 8, 15, 17, 64])
def test_a_password_of_another_length_moves_nothing(servers: Pair, length: int) -> None:
    client = servers.client(1)
    client.password = (client.password * 4)[:length]
    assert servers.move(client, 2).said == [OVER]


def test_a_wrong_password_for_a_session_not_known_here_yet_moves_nothing(servers: Pair) -> None:
    ear = servers[1].connection()
    servers[1].connect(ear)
    ordered = servers.order()
    servers.apply(1, ordered)
    ear.password = bytes(16)
    moved = servers.move(ear, 2)
    servers.apply(2, ordered)
    servers.commit()
    assert moved.said == [OVER]
    assert ear.closed is None


def test_the_leader_learns_of_another_timeout(servers: Pair) -> None:
    client = servers.client(1, 20_000)
    client.vanish()
    moved = servers.move(client, 2, 4000)
    servers.commit()
    servers.pass_time(5)
    assert client.session_id in servers[1].state.sessions
    servers.pass_time(1)  # one later: server 2 told of it by its first tick
    assert servers[1].state.sessions == {}
    assert servers[2].state.sessions == {}
    assert moved.closed == ""


def test_a_client_of_another_server_lives_by_what_that_tells(servers: Pair) -> None:
    client, silent = servers.client(2), servers.client(2)
    servers.pass_time(12, client)
    assert servers[1].state.sessions.keys() == {client.session_id}
    assert silent.closed == ""


def test_a_client_that_is_heard_while_nobody_leads_is_told_of_later(servers: Pair) -> None:
    client = servers.client(2)
    servers.leader = None
    servers.pass_time(2, client)
    servers.leader = 1
    servers.pass_time(3)
    assert client.session_id in servers[1].state.sessions


def test_a_session_without_a_connection_is_any_server_s(servers: Pair) -> None:
    """As clients by HTTP have them."""
    begun = servers[1].connection()
    assert servers[1].server.begin(begun, 4000) is None
    servers.commit()
    for number in (2, 1):
        ear = servers[number].connection()
        ear.session_id = begun.session_id
        ear.create(f"/{number}".encode(), flags=1)
        servers.commit()
        assert ear.errors() == [0]
    for _ in range(6):
        servers[2].server.touch(begun.session_id)
        servers.pass_time(1)
    assert begun.session_id in servers[1].state.sessions
