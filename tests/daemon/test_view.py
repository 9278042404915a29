"""What the admin port sees of a znode."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.consensus.contract import Peer, Role, Status
from znoded.daemon.view import View
from znoded.storage import ops
from znoded.storage.acl import READ, WRITE, Acl, encode
from znoded.storage.jute import INT, LONG, pack_buffer
from znoded.storage.state import OPEN_ACL_WIRE

from .core import Clock, Core, Ear, Steps


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(tmp_path, Clock(), {"extendedTypesEnabled": "true"})


@pytest.fixture
def view(core: Core, tmp_path: Path) -> View:
    return View(core.server, tmp_path, ())


@pytest.fixture
def ear(core: Core) -> Ear:
    return core.client()


def made(path: bytes, flags: int) -> bytes:
    return pack_buffer(path) + pack_buffer(b"data") + OPEN_ACL_WIRE + INT.pack(flags)


class Fifth(Steps):
    """A backend that follows server 2 in epoch 5, until it has lost it."""

    led = True

    @property
    def status(self) -> Status:
        if not self.led:
            return Status(Role.LOOKING, 0, 2, (), 0, "election")
        return Status(Role.FOLLOWER, 5, 2, (Peer(2, False, True, 10),), 3, "broadcast")


class TestEnsemble:
    @pytest.fixture
    def steps(self) -> Fifth:
        return Fifth()

    @pytest.fixture
    def member(self, tmp_path: Path, steps: Fifth) -> View:
        (tmp_path / "myid").write_text("1")
        members = {"server.1": "127.0.0.1:11:12", "server.2": "[::1]:21:22:observer;2181"}
        core = Core(tmp_path, Clock(), members | {"initLimit": "5", "syncLimit": "2"}, steps)
        return View(core.server, tmp_path, ())

    def test_a_standalone_server_has_none(self, view: View) -> None:
        assert view.ensemble is None
        assert view.standing == "standalone"
        assert not [name for name in view.config if name.startswith("server.")]

    def test_what_a_member_is(self, member: View) -> None:
        assert member.standing == "follower of server 2 in epoch 5"
        ensemble = member.ensemble
        assert ensemble is not None
        assert (ensemble.me, ensemble.leader, ensemble.leads, ensemble.lag) == (1, 2, False, 3)
        assert [peer.id for peer in ensemble.peers] == [2]

    def test_who_was_tried_last_leads_nobody(self, member: View, steps: Fifth) -> None:
        steps.led = False
        assert member.standing == "looking for a leader"
        assert member.ensemble is not None
        assert member.ensemble.leader is None

    def test_the_members_as_configured(self, member: View) -> None:
        assert member.config["server.1"] == "127.0.0.1:11:12:participant"
        assert member.config["server.2"] == "[::1]:21:22:observer;0.0.0.0:2181"
        assert (member.config["init_limit"], member.config["sync_limit"]) == (5, 2)


def test_what_is_not_there(view: View) -> None:
    assert view.znode(b"/nowhere") is None


def test_a_lasting_znode(core: Core, view: View, ear: Ear) -> None:
    ear.ask(ops.CREATE, made(b"/a", 0))
    core.steps.settle()
    znode = view.znode(b"/a")
    assert znode is not None
    assert (znode.data, znode.container, znode.ttl, znode.public) == (b"data", False, 0, True)
    assert (znode.stat.data_length, znode.stat.ephemeral_owner) == (4, 0)


def test_a_container(core: Core, view: View, ear: Ear) -> None:
    ear.ask(ops.CREATE_CONTAINER, made(b"/c", 4))
    core.steps.settle()
    znode = view.znode(b"/c")
    assert znode is not None
    assert (znode.container, znode.ttl) == (True, 0)


def test_a_ttl(core: Core, view: View, ear: Ear) -> None:
    ear.ask(ops.CREATE_TTL, made(b"/t", 5) + LONG.pack(60_000))
    core.steps.settle()
    znode = view.znode(b"/t")
    assert znode is not None
    assert (znode.container, znode.ttl) == (False, 60_000)


@pytest.mark.parametrize(
    ("acl", "public"),
    [
        (Acl(READ, "world", "anyone"), True),
        (Acl(WRITE, "world", "anyone"), False),
        (Acl(READ, "ip", "127.0.0.1"), False),
        (Acl(READ, "digest", "me:hash"), False),
    ],
)
def test_public_is_what_anyone_may_read(core: Core, view: View, ear: Ear, acl: Acl, public: bool) -> None:
    ear.create(b"/a", acl=encode([acl]))
    core.steps.settle()
    znode = view.znode(b"/a")
    assert znode is not None
    assert (znode.acl, znode.public) == ([acl], public)


def test_children_and_ephemerals_come_by_name(core: Core, view: View, ear: Ear) -> None:
    for name in (b"/b", b"/a", b"/c"):
        ear.create(name, flags=1)
    core.steps.settle()
    assert view.children_after(b"/", b"", 9) == [b"a", b"b", b"c", b"zookeeper"]
    assert view.children_after(b"/", b"a", 1) == [b"b"]
    assert view.ephemerals_after(ear.session_id, b"/a", 9) == [b"/b", b"/c"]
    assert view.ephemerals_after(ear.session_id, b"", 1) == [b"/a"]


def test_a_session_s_timeout_and_watches(view: View, ear: Ear) -> None:
    ear.get(b"/", watch=True)
    assert view.session_timeout(ear.session_id) == 4000
    assert view.session_timeout(5) is None
    assert [path for path, _ in view.watched(ear.session_id)] == [b"/"]
    assert list(view.watched(5)) == []
