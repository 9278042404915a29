"""The clients that docs/websocket.md shows run as they stand, and its tables are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from znoded.api.connection import EVENTS
from znoded.api.websocket import messages
from znoded.storage.znode import STAT_NAMES

from ...browser import Tab
from ...daemons import Daemon

PAGE = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    server = Daemon(tmp_path)
    server.start()
    yield server
    server.kill()


def client(language: str, daemon: Daemon) -> tuple[str, str]:
    """The script of that language for that server, and what it says it prints."""
    found = re.search(rf"```{language}\n(.+?)```.+?```text\n(.+?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1].replace("127.0.0.1:2181", "{}:{}".format(*daemon.address)), found[2]


def test_the_client_in_python(daemon: Daemon) -> None:
    script, said = client("python", daemon)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    first, _, rest = ran.stdout.partition("\n")
    assert (rest, ran.stderr) == (said, "")
    assert first.startswith("{'data': b'one', 'stat': {'czxid': 2,")


def test_the_client_in_javascript_in_a_browser(daemon: Daemon, tmp_path: Path) -> None:
    script, said = client("javascript", daemon)
    tab = Tab(tmp_path / "browser")
    try:
        # Any page of the same address will do: another may not connect.
        tab.open("http://{}:{}/".format(*daemon.address))
        tab.until("location.port")
        printed = tab.value(
            "(async () => { let said = '';"
            " const console = {log: (...words) => said += words.join(' ') + '\\n'};"
            f"{script}; return said; }})()"
        )
    finally:
        tab.close()
    assert printed == said


def test_every_request_and_event_is_told_of() -> None:
    requests = set(
        re.findall(r"^\| `(\w+)` \|", PAGE.split("## Requests")[1].split("## Watches")[0], re.MULTILINE)
    )
    assert requests | {"connect"} == set(messages._REQUESTS)
    watches = PAGE.split("## Watches")[1].split("## Errors")[0]
    assert set(re.findall(r"^\| `(\w+)`", watches, re.MULTILINE)) == set(EVENTS.values())
    assert all(f"`{name}`" in watches for name in messages.WATCHES)
    assert all(f"`{name}`" in PAGE for name in STAT_NAMES)
