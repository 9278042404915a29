"""`tree` draws a subtree, and counts what it holds."""

from __future__ import annotations

import json

import pytest

from znoded.client import BlockingClient

from .typed import Znode


def test_a_drawing(znode: Znode, server: str) -> None:
    for path, data in (
        ("/drawn", "0123456789"),
        ("/drawn/a", ""),
        ("/drawn/a/x", "123"),
        ("/drawn/a/x/deep", "x" * 3000),
        ("/drawn/a.b", "1"),
        ("/drawn/b", ""),
        ("/drawn/b/y", ""),
    ):
        znode.said("create", path, data)
    with BlockingClient(server) as client:
        client.create("/drawn/b/z", b"12", ephemeral=True)
        assert znode.said("tree", "/drawn").splitlines() == [
            "/drawn (10 B, 7 below with 2.94 KiB)",
            "├── a (0 B, 2 below with 2.93 KiB)",
            "│   └── x (3 B, 1 below with 2.93 KiB)",
            "│       └── deep (2.93 KiB)",
            "├── a.b (1 B)",
            "└── b (0 B, 2 below with 2 B)",
            "    ├── y (0 B)",
            "    └── z (2 B, ephemeral)",
        ]
        assert znode.said("tree", "-L", "1", "/drawn").splitlines() == [
            "/drawn (10 B, 7 below with 2.94 KiB)",
            "├── a (0 B, 2 below with 2.93 KiB)",
            "├── a.b (1 B)",
            "└── b (0 B, 2 below with 2 B)",
        ]
        lines = znode("tree", "/drawn/b", options=("--json",)).stdout.splitlines()
        shown = [tuple(json.loads(line).values()) for line in lines]
        assert json.loads(lines[0]).keys() == {
            "path",
            "bytes",
            "below",
            "bytes_below",
            "ephemeral",
            "permitted",
        }
        assert shown == [
            ("/drawn/b", 0, 2, 2, False, True),
            ("/drawn/b/y", 0, 0, 0, False, True),
            ("/drawn/b/z", 2, 0, 0, True, True),
        ]


def test_a_wide_one_is_read_whole(znode: Znode, server: str) -> None:
    with BlockingClient(server) as client:
        client.create("/wide")
        with client.transaction() as made:
            for number in range(300):
                made.create(f"/wide/{number:03}", b"12")
                made.create(f"/wide/{number:03}/x", b"3")
    said = znode.said("tree", "/wide").splitlines()
    assert len(said) == 601
    assert said[0] == "/wide (0 B, 600 below with 900 B)"
    assert said[-1] == "    └── x (1 B)"


def test_what_is_closed_is_told(znode: Znode) -> None:
    znode.said("create", "/shut", "x")
    znode.said("create", "/shut/in")
    znode.said("setAcl", "/shut", "world:anyone:a")
    assert znode.said("tree", "/shut") == "/shut (not permitted)\n"
    znode.said("setAcl", "/shut", "world:anyone:cdrwa")


def test_none_at_all(znode: Znode) -> None:
    assert znode.failed("tree", "/nobody") == (3, "Node does not exist: /nobody")
    assert znode.said("tree", "-L", "0").startswith("/ (0 B, ")


@pytest.mark.parametrize("depth", ["-1", "x"])
def test_depths_that_are_none(znode: Znode, depth: str) -> None:
    assert znode.failed("tree", "-L", depth)[0] == 2
