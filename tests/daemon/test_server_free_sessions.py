"""Sessions that belong to no connection: begun for one, alive by being heard of, bounded for an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from .core import Core, Ear, patch_clock


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    return Core(tmp_path, patch_clock(monkeypatch), {"maxClientCnxns": "2"})


def begin(core: Core, timeout: int = 4000, host: str = "127.0.0.1") -> Ear:
    """A connection that was told of a new session, which is not its own."""
    ear = core.connection(host)
    assert core.server.begin(ear, timeout) is None
    core.steps.commit()
    assert ear.said == [("welcome", ear.session_id)]
    ear.vanish()
    return ear


def test_it_is_told_once_it_is_committed(core: Core) -> None:
    ear = core.connection()
    assert core.server.begin(ear, 4000) is None
    assert ear.said == []
    core.steps.commit()
    session = core.server.living(ear.session_id)
    assert session is not None
    assert (session.timeout, session.password) == (4000, ear.password)


@pytest.mark.parametrize(("asked", "given"), [(1, 2000), (5000, 5000), (10**9, 20_000)])
def test_its_timeout_is_between_2_and_20_ticks(core: Core, asked: int, given: int) -> None:
    assert begin(core, asked).session_timeout == given


def test_it_expires_when_nothing_is_heard_of_it(core: Core) -> None:
    session = begin(core).session_id
    core.pass_time(6)
    assert core.server.living(session) is None
    assert core.state.sessions == {}


def test_it_lives_as_long_as_it_is_heard_of(core: Core) -> None:
    session = begin(core).session_id
    for _ in range(5):
        core.pass_time(3)
        core.server.touch(session)
    assert core.server.living(session) is not None
    core.pass_time(6)
    assert core.server.living(session) is None


def test_one_that_is_expiring_lives_no_more(core: Core) -> None:
    session = begin(core).session_id
    core.clock.now += 6
    core.server.sessions.tick()
    assert core.server.living(session) is None
    assert session in core.state.sessions


def test_what_never_was_does_not_live(core: Core) -> None:
    core.server.touch(1)
    assert core.server.living(1) is None


def test_a_connection_that_goes_takes_no_session_along(core: Core) -> None:
    ear = core.connection()
    assert core.server.begin(ear, 4000) is None
    ear.vanish()
    core.steps.commit()
    assert ear.said == []
    assert len(core.state.sessions) == 1


def test_an_address_has_as_many_as_connections(core: Core) -> None:
    begin(core)
    begin(core)
    third = core.connection()
    refusal = core.server.begin(third, 4000)
    assert refusal is not None
    assert "127.0.0.1" in refusal
    assert "maxClientCnxns" in refusal
    begin(core, host="127.0.0.2")


def test_one_that_ends_makes_room(core: Core) -> None:
    begin(core)
    begin(core)
    core.pass_time(6)
    begin(core)


def test_one_that_was_dropped_takes_no_room(core: Core) -> None:
    ears = [core.connection() for _ in range(2)]
    for ear in ears:
        assert core.server.begin(ear, 4000) is None
    core.steps.drop()
    assert [ear.closed for ear in ears] == ["a reason"] * 2
    for ear in ears:
        ear.vanish()
    begin(core)
    begin(core)


def test_a_server_that_does_not_serve_yet_begins_none(core: Core) -> None:
    core.server.serving = False
    assert core.server.begin(core.connection(), 4000) == "not serving yet"
