"""`cp` copies subtrees within a service and between two, and `diff` tells what is not the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.client import BlockingClient, NoConnection
from znoded.client.shell.elsewhere import elsewhere
from znoded.client.shell.output import Output
from znoded.client.shell.shell import Shell

from ...daemons import Daemon
from ..conftest import SETTINGS
from .typed import Znode


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another service."""
    daemon = Daemon(tmp_path_factory.mktemp("other"), SETTINGS)
    daemon.start()
    yield "{}:{}".format(*daemon.address)
    daemon.kill()


@pytest.fixture
def source(znode: Znode, server: str) -> str:
    """A subtree that is as new for each test."""
    with BlockingClient(server) as client:
        if client.exists("/source"):
            client.delete("/source", recursive=True)
        client.create("/source", b"top")
        client.create("/source/a", b"\xff")
        with client.transaction() as made:
            for number in range(200):
                made.create(f"/source/a/{number}", b"%d" % number)
        client.create("/source/b")
    return "/source"


def test_a_subtree_within_a_service(znode: Znode, source: str) -> None:
    assert znode.said("cp", "-r", source, "/copies/one") == "Copied 203 znodes\n"
    assert znode.said("diff", source, "/copies/one") == ""
    assert znode.said("get", "/copies/one/a/199") == "199\n"


def test_a_subtree_to_another_service(znode: Znode, source: str, other: str) -> None:
    assert znode.said("cp", "-r", "--to", f"{other}/below", source, source) == "Copied 203 znodes\n"
    assert znode.said("diff", "--to", f"{other}/below", source) == ""
    assert znode.said("diff", "--to", other, source, "/below/source") == ""
    assert Znode(other).said("get", "/below/source/a/7") == "7\n"


def test_a_whole_service(other: str, znode: Znode) -> None:
    there = Znode(other)
    there.said("create", "/everything", "all")
    znode.said("create", "/hoard")
    assert there.said("cp", "-r", "--to", f"{znode.server}/hoard", "/", "/copy").startswith("Copied ")
    assert "everything" in znode.said("ls", "/hoard/copy")
    assert "zookeeper" not in znode.said("ls", "/hoard/copy")


def test_one_znode(znode: Znode, source: str) -> None:
    assert znode.said("cp", source, "/single") == "Copied 1 znodes\n"
    assert znode.said("ls", "/single") == "[]\n"
    assert znode.failed("cp", source, "/single") == (4, "Node already exists: /single")
    znode.said("set", "/single", "mine")
    assert znode.said("cp", "--skip", source, "/single") == "Copied 0 znodes, skipped 1\n"
    assert znode.said("get", "/single") == "mine\n"
    assert znode.json("cp", "--update", source, "/single")["updated"] == 1
    assert znode.said("get", "/single") == "top\n"


def test_ephemerals_stay_with_their_sessions(znode: Znode, server: str) -> None:
    with BlockingClient(server) as client:
        client.create("/left-behind")
        client.create("/left-behind/e", ephemeral=True)
        assert (
            znode.said("cp", "-r", "/left-behind", "/left-behind2")
            == "Copied 1 znodes; left out 1 ephemerals\n"
        )
        assert znode.said("diff", "/left-behind", "/left-behind2") == ""
        assert znode.failed("cp", "/left-behind/e", "/left-behind3") == (
            1,
            "/left-behind/e is an ephemeral: they are not copied",
        )


@pytest.mark.parametrize("target", ["/source", "/source/a/new"])
def test_nothing_is_copied_into_itself(znode: Znode, source: str, target: str) -> None:
    assert znode.failed("cp", "-r", source, target) == (2, f"{target} is {source}, or within it")


def test_none_at_all(znode: Znode, other: str) -> None:
    assert znode.failed("cp", "-r", "/nobody", "/new") == (3, "Node does not exist: /nobody")
    assert znode.failed("get", "/new")[0] == 3
    assert znode.failed("diff", "/nobody", "/") == (3, "Node does not exist: /nobody")
    assert znode.failed("diff", "/", "/nobody") == (3, "Node does not exist: /nobody")
    assert znode.failed("diff", "/") == (2, "give a second path, or --to")
    assert znode("cp", "--to", "127.0.0.1:1", "/", "/x", options=("--timeout", "0.2")).exit_code == 8


def test_what_differs(znode: Znode, source: str) -> None:
    znode.said("cp", "-r", "--acl", source, "/differs")
    assert znode.said("diff", "--acl", source, "/differs") == ""
    znode.said("set", "/differs/b", "now with data")
    znode.said("delete", "/differs/a/5")
    znode.said("create", "/differs/new")
    znode.said("create", "/differs/new/below")
    znode.said("setAcl", "/differs/a", "world:anyone:cdra")
    result = znode("diff", source, "/differs")
    assert (result.exit_code, result.stderr) == (1, "")
    assert sorted(result.stdout.splitlines()) == [
        "+ /differs/new",
        "- /source/a/5",
        "~ /source/b: data (0 B, 13 B)",
    ]
    result = znode("diff", "--acl", source, "/differs", options=("--json",))
    assert result.exit_code == 1
    assert sorted(result.stdout.splitlines()) == [
        '{"differs": ["acl"], "path": "/source/a"}',
        '{"differs": ["data"], "path": "/source/b"}',
        '{"only": "first", "path": "/source/a/5"}',
        '{"only": "second", "path": "/differs/new"}',
    ]


def test_another_service_that_dies_is_not_waited_for(server: str, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, SETTINGS)
    daemon.start()

    async def scenario() -> None:
        shell = Shell(server, 1, Output())
        try:
            async with elsewhere(shell, "{}:{}".format(*daemon.address)) as (other, chroot):
                assert (await other.children("/"), chroot) == (["zookeeper"], "")
                daemon.kill()
                await other.children("/")
        finally:
            await shell.close()

    with pytest.raises(NoConnection, match="for 1 s"):
        asyncio.run(scenario())
