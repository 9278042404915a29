"""A server without a majority: it serves nobody, or reads to those who take that."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from znoded.daemon.view import View
from znoded.storage import ops
from znoded.storage.errors import Code

from .core import Clock, Core, Ear, patch_clock

OVER: Final = ("refused",)


class CutOff(Core):
    """A server of an ensemble that holds /a, and has lost its majority, and lost, its client."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        (folder / "myid").write_text("1")
        servers = {f"server.{n}": f"127.0.0.1:2{n}:3{n}" for n in (1, 2, 3)}
        settings = {"initLimit": "5", "syncLimit": "2", "readonlymode.enabled": "true"}
        super().__init__(folder, clock, servers | settings)
        self.lost = self.client()
        self.lost.create(b"/a")
        self.steps.commit()
        cut_off(self)


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CutOff:
    return CutOff(tmp_path, patch_clock(monkeypatch))


def cut_off(core: Core) -> None:
    core.steps.refusal = "no leader"
    core.server.leading(None)
    core.server.serve(False)


def visit(core: Core, of: Ear | None = None, *, seen: int = 0) -> Ear:
    """A client that takes a read-only server."""
    ear = core.connection()
    ear.takes_read_only = True
    if of is None:
        core.connect(ear, seen=seen)
    else:
        core.connect(ear, seen=seen, session=of.session_id, password=of.password)
    return ear


def test_whoever_is_there_is_sent_away(core: CutOff) -> None:
    assert core.lost.closed == "no leader with a majority"


def test_an_election_is_waited_for(core: CutOff) -> None:
    core.clock.now += 1.9
    assert visit(core).closed == "not serving yet"
    core.clock.now += 0.1
    assert visit(core).closed is None


def test_who_did_not_ask_for_it_is_not_served(core: CutOff) -> None:
    core.clock.now += 5
    ear = core.connection()
    core.connect(ear)
    assert ear.closed == "not serving yet"


def test_reads_are_served_and_nothing_else(core: CutOff) -> None:
    core.clock.now += 5
    ear = visit(core)
    assert ear.read_only
    read = ear.get(b"/a", watch=True)
    refused = [ear.create(b"/b"), ear.sync(), ear.set(b"/a", b"x")]
    after = ear.get(b"/b")
    assert ear.said[1:] == [
        ("reply", read, 0),
        *(("reply", xid, Code.NOTREADONLY) for xid in refused),
        ("reply", after, Code.NONODE),
    ]
    assert core.steps.pending == []
    assert core.server.outstanding == 0


def test_a_session_of_the_ensemble_is_left_as_it_is(core: CutOff) -> None:
    core.clock.now += 5
    client = core.lost
    ear = visit(core, client)
    assert ear.said == [("welcome", client.session_id)]
    xid = ear.end()
    assert ear.said[-1] == ("reply", xid, 0)
    assert ear.closed == ""
    assert client.session_id in core.state.sessions


def test_a_wrong_password_is_one_here_too(core: CutOff) -> None:
    core.clock.now += 5
    client = core.lost
    client.password = bytes(16)
    assert visit(core, client).said == [OVER]


def test_a_session_that_is_not_known_here_is_over(core: CutOff) -> None:
    core.clock.now += 5
    other = core.connection()
    other.session_id, other.password = 99, bytes(16)
    assert visit(core, other).said == [OVER]


def test_who_has_seen_more_is_sent_on(core: CutOff) -> None:
    core.clock.now += 5
    assert "has seen" in str(visit(core, seen=core.state.zxid + 1).closed)


def test_visitors_go_when_there_is_a_majority_again(core: CutOff) -> None:
    core.clock.now += 5
    ear = visit(core)
    core.steps.refusal = None
    core.server.serve(True)
    assert ear.closed == "a majority is back: writes are taken again"
    client = core.client()
    assert not client.read_only
    assert ear.session_id not in core.state.sessions


def test_what_the_administrator_is_told(core: Core, tmp_path: Path) -> None:
    view = View(core.server, tmp_path, ())
    assert not view.serving
    core.clock.now += 5
    assert (view.mode, view.serving) == ("read-only", True)
    core.server.serve(True)
    assert (view.mode, view.serving) == ("standalone", True)


def test_a_server_that_was_not_told_to_serves_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(tmp_path, patch_clock(monkeypatch), {"readonlymode.enabled": "true"})
    cut_off(core)
    core.clock.now += 60
    assert visit(core).closed == "not serving yet"


def test_the_end_of_a_write_s_line_is_told_too(core: Core) -> None:
    """Requests that come together."""
    core.clock.now += 5
    ear = visit(core)
    xids = [ear.request(ops.SET_DATA, b""), ear.request(ops.CLOSE_SESSION, b"")]
    core.server.settle(ear, 2, 20)
    assert ear.said[1:] == [("reply", xids[0], Code.NOTREADONLY), ("reply", xids[1], 0)]
