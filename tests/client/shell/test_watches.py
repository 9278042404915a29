"""znode's watches print what they see, in zkCli's words, while other commands run."""

from __future__ import annotations

import asyncio
import json

import pytest

from znoded.client import BlockingClient, Client
from znoded.client.shell.output import Output
from znoded.client.shell.shell import Shell

from .terminal import piped
from .typed import Znode


def told(*events: str) -> list[str]:
    """As watches print them: type and path each."""
    return [
        "WATCHER:: WatchedEvent state:SyncConnected type:{} path:{}".format(*event.split())
        for event in events
    ]


def typed(server: str, *lines: str, then: list[str] | None = None) -> None:
    """Type these, have another client delete `then`, and wait until no watch is left."""

    async def run() -> None:
        shell = Shell(server, 10, Output())
        try:
            for line in lines:
                assert await shell.line(line) == 0, line
            async with Client(server) as other:
                for path in then or []:
                    await other.delete(path)
            await asyncio.wait_for(shell.watched.drained(), 20)
        finally:
            await shell.close()

    asyncio.run(run())


def test_watches_of_data_fire_once(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(
        server,
        "create /once-data 1",
        "get -w /once-data",
        "create /once-data/child",  # no change of its data
        "set /once-data 2",
        "set /once-data 3",
    )
    found = capsys.readouterr().out.splitlines()
    assert [line for line in found if "WATCHER" in line] == told("NodeDataChanged /once-data")


def test_watches_of_children_fire_once(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(
        server,
        "create /once-children",
        "ls -w /once-children",
        "set /once-children new",
        "create /once-children/a",
        "create /once-children/b",
    )
    found = capsys.readouterr().out.splitlines()
    assert [line for line in found if "WATCHER" in line] == told("NodeChildrenChanged /once-children")


def test_a_watch_sees_its_znode_go(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(server, "create /goes", "ls -w /goes", "stat -w /goes", then=["/goes"])
    found = capsys.readouterr().out.splitlines()
    assert [line for line in found if "WATCHER" in line] == told("NodeDeleted /goes", "NodeDeleted /goes")


def test_a_watch_waits_for_a_znode(znode: Znode) -> None:
    with piped(znode.server) as shell:
        assert shell.stdin is not None and shell.stdout is not None and shell.stderr is not None
        shell.stdin.write("stat -w /awaited\n")
        assert shell.stderr.readline() == "Node does not exist: /awaited\n"
        znode.said("create", "/awaited")
        assert shell.stdout.readline().splitlines() == told("NodeCreated /awaited")
        shell.communicate("quit\n")


def test_watches_that_stay(znode: Znode) -> None:
    znode.said("create", "/stays")
    with piped(znode.server, "--json") as shell, BlockingClient(znode.server) as other:
        assert shell.stdin is not None and shell.stdout is not None and shell.stderr is not None
        shell.stdin.write("addWatch /stays\nget /stays\n")
        assert json.loads(shell.stdout.readline()) == {"path": "/stays", "data": ""}
        other.create("/stays/below", b"")
        other.set("/stays/below", b"1")
        events = [json.loads(shell.stdout.readline()) for _ in range(2)]
        assert events == [
            {"event": "created", "path": "/stays/below"},
            {"event": "changed", "path": "/stays/below"},
        ]
        shell.stdin.write("removewatches -d /stays\nremovewatches /stays\nget /stays\n")
        assert json.loads(shell.stderr.readline())["error"] == "NoWatcher"
        shell.stdout.readline()
        other.delete("/stays/below")
        out, err = shell.communicate("printwatches off\nprintwatches\n")
        assert (json.loads(out), err) == ({"printwatches": "off"}, "")


def test_one_command_waits_for_its_watch(znode: Znode) -> None:
    znode.said("create", "/one-watch", "before")
    with piped(znode.server, "get", "-w", "/one-watch") as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "before\n"
        znode.said("set", "/one-watch", "after")
        assert shell.stdout.read().splitlines() == told("NodeDataChanged /one-watch")
        assert shell.wait(20) == 0
