"""znode's commands about ACLs, identities, quotas and members do what zkCli's of those names do."""

from __future__ import annotations

import pytest

from znoded.client.shell.arguments import ACL, written
from znoded.client.shell.members import addresses
from znoded.storage.acl import Acl

from .typed import Znode

HASH = "me:016djjlksVQS5RgX3M7biBGyYwY="


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("world:anyone:cdrwa", [Acl(31, "world", "anyone")]),
        ("world:anyone:r,digest:user:hash=:rw", [Acl(1, "world", "anyone"), Acl(3, "digest", "user:hash=")]),
        ("auth::a", [Acl(16, "auth", "")]),
        ("ip:::1:r,ip:10.0.0.0/8:c", [Acl(1, "ip", "::1"), Acl(4, "ip", "10.0.0.0/8")]),
        ("x509:CN=a,O=b:d,world:anyone:r", [Acl(8, "x509", "CN=a,O=b"), Acl(1, "world", "anyone")]),
    ],
)
def test_acls_as_they_are_typed(text: str, entries: list[Acl]) -> None:
    assert list(ACL.convert(text, None, None)) == entries
    assert ACL.convert(",".join(map(written, entries)), None, None) == tuple(entries)


def test_an_acl_of_one_s_own(znode: Znode, capsys: pytest.CaptureFixture[str]) -> None:
    assert znode.session(
        "addauth digest me:secret",
        "whoami",
        "create /own mine auth::cdrwa",
        "getAcl /own",
        "setAcl -s /own auth::cdrwa,world:anyone:d",
    ) == [0, 0, 0, 0, 0]
    out = capsys.readouterr().out.splitlines()
    assert out[:5] == [
        "Auth scheme: User",
        "ip: 127.0.0.1",
        "digest: me",
        "Created /own",
        f"digest:{HASH}:cdrwa",
    ]
    assert "aclVersion = 1" in out
    assert znode.failed("get", "/own") == (6, "Insufficient permission: /own")
    assert znode.failed("setAcl", "/own", "world:anyone:r") == (6, "Insufficient permission: /own")
    url = Znode(f"ws://me:secret@{znode.server}")
    assert url.said("get", "/own") == "mine\n"
    assert url.json("getAcl", "/own") == {
        "path": "/own",
        "acl": [f"digest:{HASH}:cdrwa", "world:anyone:d"],
    }
    assert url.said("getAcl", "-s", "/own").splitlines()[2].startswith("cZxid = 0x")


def test_an_acl_of_a_whole_subtree(znode: Znode) -> None:
    for path in ("/whole", "/whole/a", "/whole/a/b"):
        znode.said("create", path)
    assert znode.said("setAcl", "-R", "/whole", "world:anyone:ra") == ""
    assert {znode.said("getAcl", path) for path in ("/whole", "/whole/a", "/whole/a/b")} == {
        "world:anyone:ra\n"
    }
    assert znode.failed("setAcl", "-v", "7", "/whole", "world:anyone:r")[0] == 5


def test_who_one_is(znode: Znode) -> None:
    assert znode.json("whoami") == [{"scheme": "ip", "id": "127.0.0.1"}]


def test_a_quota_s_life(znode: Znode) -> None:
    znode.said("create", "/limited", "12345")
    znode.said("create", "/limited/a")
    assert znode.said("setquota", "-n", "10", "-B", "100", "/limited") == ""
    assert znode.said("listquota", "/limited").splitlines() == [
        "absolute path is /zookeeper/quota/limited/zookeeper_limits",
        "Output quota for /limited count=10,bytes=-1=;byteHardLimit=100;countHardLimit=-1",
        "Output stat for /limited count=2,bytes=5",
    ]
    znode.said("setquota", "-b", "50", "/limited")
    znode.said("delquota", "-n", "/limited")
    assert znode.json("listquota", "/limited") == {
        "path": "/limited",
        "limits": {"count": -1, "bytes": 50, "countHardLimit": -1, "byteHardLimit": 100},
        "usage": {"count": 2, "bytes": 5},
    }
    assert znode.said("delquota", "/limited") == ""
    assert znode.failed("listquota", "/limited") == (3, "/limited: has no quota")
    assert znode.failed("delquota", "/limited") == (3, "/limited: has no quota")
    assert znode.failed("ls", "/zookeeper/quota/limited")[0] == 3


def test_quotas_do_not_nest(znode: Znode) -> None:
    for path in ("/nest", "/nest/middle", "/nest/middle/low"):
        znode.said("create", path)
    znode.said("setquota", "-N", "10", "/nest/middle")
    says = "/nest/middle, {} {}, has a quota: lift that one first"
    assert znode.failed("setquota", "-n", "1", "/nest/middle/low") == (
        1,
        says.format("above", "/nest/middle/low"),
    )
    assert znode.failed("setquota", "-n", "1", "/nest") == (1, says.format("below", "/nest"))
    assert znode("setquota", "-n", "1", "/nest/middle").stderr == (
        "[Warning]: the count quota is less than the existing count: 2\n"
    )


def test_a_quota_counts_below_the_chroot(znode: Znode) -> None:
    znode.said("create", "/chroot")
    below = Znode(f"{znode.server}/chroot")
    below.said("create", "/app")
    below.said("setquota", "-n", "5", "/app")
    assert (
        below.said("listquota", "/app")
        .splitlines()[0]
        .endswith("/zookeeper/quota/chroot/app/zookeeper_limits")
    )
    assert znode.json("listquota", "/chroot/app")["limits"]["count"] == 5
    assert below.failed("setquota", "-n", "5", "/nobody") == (3, "Node does not exist: /nobody")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("setquota", "/"), "give one of -n, -b, -N and -B, or more"),
        (("setquota", "-n", "1", "/zookeeper"), "no quota goes on /zookeeper"),
        (("setquota", "-n", "1", "/"), "no quota goes on /"),
        (("reconfig",), "either -file, or -members, or -add and -remove"),
        (("reconfig", "-members", "server.1=h:1:2;3", "-add", "server.1=h:1:2;3"), "either -file"),
        (("reconfig", "-v", "x", "-remove", "1"), "-v 'x' is no hexadecimal number"),
    ],
)
def test_what_makes_no_sense_is_usage(znode: Znode, words: tuple[str, ...], says: str) -> None:
    code, said = znode.failed(*words)
    assert code == 2
    assert says in said


def test_addresses_of_members() -> None:
    told = (
        "server.1=h1:2888:3888:participant;2181\n"
        "server.2=[::1]:2888:3888:observer;0.0.0.0:2182\n"
        "server.3=h3:2888:3888;10.0.0.3:2183\nversion=100000000"
    )
    assert addresses(told) == ["h1:2181", "[::1]:2182", "10.0.0.3:2183"]


def test_members(znode: Znode) -> None:
    assert "cZxid = 0x0" in znode.said("config", "-s")
    assert znode.json("config") == {"config": ""}
    assert znode.json("config", "-c") == {"servers": ""}
    assert znode.failed("reconfig", "-remove", "3") == (1, "reconfiguration is disabled")
