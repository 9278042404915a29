"""znode's commands that read and change znodes do what zkCli's of those names do."""

from __future__ import annotations

import re

import pytest

from .typed import Znode

STAT = [
    "cZxid = 0x",
    "ctime = ",
    "mZxid = 0x",
    "mtime = ",
    "pZxid = 0x",
    "cversion = 0",
    "dataVersion = 0",
    "aclVersion = 0",
    "ephemeralOwner = 0x0",
    "dataLength = 5",
    "numChildren = 0",
]


def assert_stat(lines: list[str]) -> None:
    assert len(lines) == len(STAT)
    assert all(line.startswith(begin) for line, begin in zip(lines, STAT, strict=True)), lines
    assert re.fullmatch(r"ctime = \w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}", lines[1])


def test_a_znode_s_life(znode: Znode) -> None:
    assert znode.said("create", "/life", "hello") == "Created /life\n"
    assert znode.said("get", "/life") == "hello\n"
    assert znode.said("set", "/life", "world") == ""
    assert znode.said("get", "/life") == "world\n"
    assert znode.said("create", "/life/b") == "Created /life/b\n"
    assert znode.said("create", "/life/a") == "Created /life/a\n"
    assert znode.said("ls", "/life") == "[a, b]\n"
    assert znode.said("delete", "/life/a") == ""
    assert znode.said("deleteall", "/life") == ""
    assert znode.failed("get", "/life") == (3, "Node does not exist: /life")


def test_stats_stand_in_zkcli_s_lines(znode: Znode) -> None:
    znode.said("create", "/told", "hello")
    assert_stat(znode.said("stat", "/told").splitlines())
    data, *lines = znode.said("get", "-s", "/told").splitlines()
    assert data == "hello"
    assert_stat(lines)
    names, *lines = znode.said("ls", "-s", "/told").splitlines()
    assert names == "[]"
    assert_stat(lines)
    lines = znode.said("set", "-s", "/told", "again").splitlines()
    assert lines[6] == "dataVersion = 1"


def test_the_same_as_json(znode: Znode) -> None:
    created = znode.json("create", "/json", "text")
    assert created["path"] == "/json"
    assert created["stat"]["dataLength"] == 4
    assert znode.json("get", "/json") == {"path": "/json", "data": "text"}
    assert znode.json("get", "-s", "/json")["stat"] == created["stat"]
    assert znode.json("set", "/json", "new")["stat"]["version"] == 1
    assert znode.json("ls", "/json") == {"path": "/json", "children": []}
    assert znode.json("ls", "-R", "/json") == {"paths": ["/json"]}
    assert znode.json("getAllChildrenNumber", "/json") == {"path": "/json", "number": 0}


def test_all_below_comes_parents_first(znode: Znode) -> None:
    for path in ("/tree", "/tree/a", "/tree/a/z", "/tree/a.b", "/tree/b"):
        znode.said("create", path)
    assert znode.said("ls", "-R", "/tree").split() == [
        "/tree",
        "/tree/a",
        "/tree/a/z",
        "/tree/a.b",
        "/tree/b",
    ]
    assert znode.said("getAllChildrenNumber", "/tree") == "4\n"


def test_kinds_of_znodes(znode: Znode) -> None:
    znode.said("create", "/kinds")
    first, second = (znode.said("create", "-s", "/kinds/q-").split()[-1] for _ in range(2))
    assert (first, second) == ("/kinds/q-0000000000", "/kinds/q-0000000001")
    znode.said("create", "-c", "/kinds/container")
    znode.said("create", "-t", "60000", "/kinds/ttl", "x")
    assert znode.said("create", "-e", "-s", "/kinds/e-").startswith("Created /kinds/e-")
    assert "e-" not in znode.said("ls", "/kinds")  # it went with its session
    assert znode.said("ls", "/kinds") == "[container, q-0000000000, q-0000000001, ttl]\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("get", "/nobody"), 3, "Node does not exist: /nobody"),
        (("stat", "/nobody"), 3, "Node does not exist: /nobody"),
        (("create", "/nobody/x"), 3, "Node does not exist: /nobody (the parent of /nobody/x)"),
        (("create", "/zookeeper"), 4, "Node already exists: /zookeeper"),
        (("set", "-v", "7", "/zookeeper/config", "x"), 6, "Insufficient permission: /zookeeper/config"),
        (("create", "-e", "-c", "/x"), 2, "only one of -e, -c and -t goes, and -c does not go with -s"),
        (("create", "/x", "", "world"), 2, "does not have the form scheme:id:perms"),
        (("get", "x"), 2, "path must start with /"),
        (("get",), 2, "Missing argument 'PATH'."),
        (("gett", "/"), 2, "Command not found: gett. Did you mean get?"),
    ],
)
def test_what_fails_says_why_and_exits_so(znode: Znode, words: tuple[str, ...], code: int, says: str) -> None:
    status, said = znode.failed(*words)
    assert status == code
    assert says in said


def test_versions_guard_changes(znode: Znode) -> None:
    znode.said("create", "/guarded", "0")
    assert znode.failed("set", "-v", "7", "/guarded", "1") == (5, "Version does not match: /guarded")
    assert znode.failed("delete", "-v", "7", "/guarded") == (5, "Version does not match: /guarded")
    znode.said("set", "-v", "0", "/guarded", "1")
    znode.said("create", "/guarded/child")
    assert znode.failed("delete", "/guarded") == (7, "Node not empty: /guarded")
    znode.said("delete", "/guarded/child")
    znode.said("delete", "-v", "1", "/guarded")


def test_no_server_is_told_apart() -> None:
    result = Znode("127.0.0.1:1")("get", "/", options=("--timeout", "0.2"))
    assert result.exit_code == 8
    assert "no connection to 127.0.0.1:1" in result.stderr


def test_errors_as_json(znode: Znode) -> None:
    result = znode("get", "/nobody", options=("--json",))
    assert (result.stdout, result.exit_code) == ("", 3)
    assert result.stderr.strip() == (
        '{"error": "NoNode", "message": "Node does not exist: /nobody", "exit": 3, "path": "/nobody"}'
    )


def test_ephemerals_of_a_session(znode: Znode, capsys: pytest.CaptureFixture[str]) -> None:
    codes = znode.session("create -e /mine-b", "create -e /mine-a", "getEphemerals", "getEphemerals /mine-a")
    assert codes == [0, 0, 0, 0]
    assert capsys.readouterr().out.splitlines()[2:] == ["[/mine-a, /mine-b]", "[/mine-a]"]


def test_words_that_are_no_text(znode: Znode) -> None:
    znode.said("create", "/no-utf-8", "\udcff")
    assert znode("get", "/no-utf-8").stdout_bytes == b"\xff\n"
    assert znode.failed("get", "/\udcff")[0] == 2
    assert znode.failed("setAcl", "/no-utf-8", "digest:\udcff:x:r")[0] == 2
    assert znode.said("ls", "/no-utf-8") == "[]\n"


def test_bytes_that_are_no_text(znode: Znode, server: str) -> None:
    from znoded.client import BlockingClient

    with BlockingClient(server) as client:
        client.create("/binary", b"\xff\x00\x1b")
    assert znode("get", "/binary").stdout_bytes == b"\xff\x00\x1b\n"
    assert znode.json("get", "/binary") == {"path": "/binary", "data64": "/wAb"}
