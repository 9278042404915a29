"""What docs/http.md shows is what happens: every command of it, one after the other, on a new server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .daemons import Daemon

PAGE = (Path(__file__).parents[1] / "docs" / "http.md").read_text()
VARIES = re.compile(r"[0-9]+")
MARK = "---8<---"


def commands() -> list[tuple[str, str]]:
    """Each command of the page's consoles with what it says."""
    pairs: list[tuple[str, str]] = []
    for console in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for shown in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
            command, _, said = shown.partition("\n")
            while said.startswith("> "):
                line, _, said = said[2:].partition("\n")
                command += f"\n{line}"
            pairs.append((command, said))
    return pairs


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_page_s_commands(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.start()
    address = "{}:{}".format(*daemon.address)
    # Octets end without a new line; the page has one.
    script = "".join(f"{command}\necho; echo '{MARK}'\n" for command, _ in commands())
    try:
        ran = subprocess.run(
            ["bash", "-c", script.replace("127.0.0.1:2181", address)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        daemon.kill()
    assert ran.stderr == ""
    said = ran.stdout.replace(address, "127.0.0.1:2181").split(f"{MARK}\n")[:-1]
    assert len(said) == len(commands())
    for (command, shown), really in zip(commands(), said, strict=True):
        assert VARIES.sub("N", really.strip()) == VARIES.sub("N", shown.strip()), command


def test_every_status_is_told_of() -> None:
    from znoded.api.rest.openapi import DESCRIPTION

    components = DESCRIPTION["components"]
    assert isinstance(components, dict)
    statuses = PAGE.split("## Errors")[1].split("## Sessions")[0]
    assert set(re.findall(r"\b([45]\d\d)\b", statuses)) == components["responses"].keys()
