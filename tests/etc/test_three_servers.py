"""The example's files, by the README's commands: three servers, whose leader is killed under a client."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from znoded.daemon.config import load

from ..daemons import until
from ..ensemble.ensemble import word

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("etc", "examples", "three-servers")
SECTION = (ROOT / "README.md").read_text().split("\n## Three servers\n")[1].split("\n## ")[0]
MARK = "---8<---"
COUNT = 3


def commands() -> list[tuple[str, str]]:
    """Each command of the README's section with what it says."""
    consoles = "".join(re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL))
    shown = [one.partition("\n") for one in re.split(r"^\$ ", consoles, flags=re.MULTILINE)[1:]]
    return [(command, said) for command, _, said in shown]


def free_ports() -> tuple[str, list[str]]:
    """(what the three client ports begin with, in the place of 218; six others): as they stand, they may be
    in use here."""
    for first in range(20_000, 32_000, 20):
        with suppress(OSError):
            ports = range(first + 1, first + 10)
            for held in [socket.create_server(("127.0.0.1", port)) for port in ports]:
                held.close()
            return str(first // 10), [str(port) for port in ports[COUNT:]]
    pytest.skip("there are not enough free ports")


@pytest.fixture
def example(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """(a checkout with the example on ports of its own, what its client ports begin with)."""
    folder = tmp_path / EXAMPLE
    written = shutil.ignore_patterns("lmdb", "log", "zab", "*.lock", "*.log")
    shutil.copytree(ROOT / EXAMPLE, folder, ignore=written)
    prefix, others = free_ports()
    replaced = dict(zip(["2222", "2223", "3333", "3334", "4444", "4445"], others, strict=True))
    for file in (*folder.glob("z?/z?.cfg"), folder / "count.py"):
        changed = re.sub(r"\b218(?=\d\b)", prefix, file.read_text())
        for there, instead in replaced.items():
            changed = changed.replace(f":{there}", f":{instead}")
        file.write_text(changed)
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    main = "-c 'from znoded.daemon.cli import main; main()'"
    for name, arguments in (("znoded", main), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec timeout 120 {sys.executable} {arguments} "$@"\n')
        (tools / name).chmod(0o755)
    yield tmp_path, prefix
    for lock in folder.glob("z?/data/znoded.lock"):
        with suppress(OSError):
            os.kill(int(lock.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("sid", range(1, COUNT + 1))
def test_a_configuration_is_that_of_the_book(sid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ROOT / EXAMPLE / f"z{sid}"
    monkeypatch.chdir(home)
    loaded = load(home / f"z{sid}.cfg", {})
    assert (loaded.faults, loaded.warnings) == ((), ())
    assert loaded.config is not None
    assert (loaded.config.server_id, loaded.config.client_port) == (sid, 2180 + sid)
    assert (loaded.config.tick_time, loaded.config.init_limit, loaded.config.sync_limit) == (2000, 10, 5)
    servers = [(server.quorum_port, server.election_port) for server in loaded.config.servers]
    assert servers == [(2222, 2223), (3333, 3334), (4444, 4445)]


def run(bash: subprocess.Popen[str], command: str) -> str:
    """What a command says."""
    assert bash.stdin is not None and bash.stdout is not None
    bash.stdin.write(f"{command}\necho '{MARK}'\n")
    bash.stdin.flush()
    return "".join(iter(bash.stdout.readline, f"{MARK}\n"))


@pytest.mark.skipif(shutil.which("nc") is None, reason="there is no nc")
def test_the_readme_s_commands(example: tuple[Path, str]) -> None:
    root, prefix = example

    def serving() -> int:
        ports = (int(f"{prefix}{sid}") for sid in range(1, COUNT + 1))
        return sum("Mode: " in word(("127.0.0.1", port), "srvr") for port in ports)

    alive = COUNT
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["bash"], cwd=root, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as bash:
        for command, shown in commands():
            if "Mode" in shown:
                until(lambda: serving() == alive, "service")  # noqa: B023
            said = run(bash, re.sub(r"\b218(?=\$)", prefix, command))
            assert sorted(said.splitlines()) == sorted(shown.splitlines()), command
            alive -= "kill -9" in command
