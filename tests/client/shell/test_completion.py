"""What Tab offers, wherever the cursor stands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from znoded.client import Client
from znoded.client.shell.completion import candidates
from znoded.client.shell.output import Output
from znoded.client.shell.shell import Shell


def offered(server: str, typed: str, connected: bool = True) -> list[str]:
    """The lines that `typed` may become."""

    async def ask() -> list[str]:
        shell = Shell(server, 10, Output())
        try:
            if connected:
                await shell.connected()
            length, found = await candidates(shell, typed)
        finally:
            await shell.close()
        return [typed[: len(typed) - length] + each.text for each in found]

    return asyncio.run(ask())


@pytest.fixture(scope="module", autouse=True)
def znodes(client_daemon: object) -> None:
    """What is there to complete."""
    from ...daemons import Daemon

    assert isinstance(client_daemon, Daemon)

    async def make() -> None:
        async with Client("{}:{}".format(*client_daemon.address)) as client:
            for path in ("/tab", "/tab/alpha", "/tab/alps", "/tab/two words", "/tab/alpha/deep"):
                await client.create(path)

    asyncio.run(make())


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("dele", ["delete", "deleteall"]),
        ("GETA", ["getAllChildrenNumber", "getAcl"]),
        ("help who", ["help whoami"]),
        ("get /tab/al", ["get /tab/alpha", "get /tab/alps"]),
        ("get -s /tab/alpha/", ["get -s /tab/alpha/deep"]),
        ("get /tab/tw", ["get '/tab/two words'"]),
        ("get '/tab/tw", ["get '/tab/two words'"]),
        ("get /tab/two\\ w", ["get '/tab/two words'"]),
        ("get ", ["get /"]),
        ("set -v ", []),
        ("set -v 3 /tab/alph", ["set -v 3 /tab/alpha"]),
        ("set /tab/alpha /tab/al", []),
        ("get /tab/alpha /tab", []),
        ("ls -", ["ls -s", "ls -w", "ls -R"]),
        ("addWatch -m PERSISTENT_", ["addWatch -m PERSISTENT_RECURSIVE"]),
        ("printwatches o", ["printwatches on", "printwatches off"]),
        ("nothing /tab/al", []),
        ("get /nobody/x", []),
        ("get tab", []),
    ],
)
def test_what_tab_offers(server: str, typed: str, lines: list[str]) -> None:
    assert offered(server, typed) == lines


def test_files(server: str, tmp_path: Path) -> None:
    (tmp_path / "members.cfg").touch()
    (tmp_path / "more").mkdir()
    begun = f"reconfig -file {tmp_path}/m"
    assert offered(server, begun) == [f"{begun}embers.cfg", f"{begun}ore/"]


def test_without_a_connection_nobody_waits(server: str) -> None:
    assert offered(server, "get /tab/al", connected=False) == []
