"""docs/shell.md has every command and every exit code, and its examples do as it says."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from znoded.client.shell import commands, exits
from znoded.client.shell.main import main

from ...daemons import Daemon

PAGE = (Path(__file__).parents[3] / "docs" / "shell.md").read_text()
PROMPT = re.compile(r"^\[zk: .*?\] ", re.MULTILINE)
SCRIPT = "from znoded.client.shell.main import main; main()"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """With `znode` on the path, and a new server of its own."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "znode").write_text(f"#!{sys.executable}\n{SCRIPT}\n")
    (folder / "znode").chmod(0o700)
    daemon = Daemon(folder)
    daemon.start()
    yield os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ZNODE_SERVER": "{}:{}".format(*daemon.address),
        "XDG_STATE_HOME": str(folder),
    }
    daemon.kill()


def said(command: str, environment: dict[str, str]) -> str:
    """What a command prints, results and errors; in this process, where it is znode's alone."""
    if command.startswith("znode ") and not re.search("[|<]", command):
        return CliRunner(env=environment).invoke(main, shlex.split(command)[1:]).output
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_every_example_does_as_it_says(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    checker = doctest.OutputChecker()
    examples = 0
    for kind, block in re.findall(r"```(console|text)\n(.*?)```", PAGE, re.DOTALL):
        if kind == "text":  # typed at a prompt
            lines = "\n".join(
                line[found.end() :] for line in block.splitlines() if (found := PROMPT.match(line))
            )
            runs = [(f"znode <<'END'\n{lines}\nEND", re.sub(r"(?m)^\[zk: .*\n", "", block))]
        else:
            parts = re.split(r"(?m)^\$ (.*)\n", block)
            runs = list(zip(parts[1::2], parts[2::2], strict=True))
        for command, expected in runs:
            got = said(command, environment)
            assert checker.check_output(expected, got, doctest.ELLIPSIS), f"{command}\n{got}"
            examples += 1
    assert examples > 20


def test_every_command_is_described() -> None:
    table = PAGE.split("\n## Commands\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \| ", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)", cell)} == set(commands.MODULES)


def test_every_exit_code_is_described() -> None:
    table = PAGE.split("\n### Exit codes\n")[1].split("```")[0]
    told = [
        (int(code), meaning) for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", table, re.MULTILINE)
    ]
    assert told == [(0, "done"), *((code, meaning) for code, meaning, _ in exits.CODES)]


def test_every_example_in_help_is_one_of_that_command() -> None:
    for name in commands.MODULES:
        command = commands.find(name)
        assert command.examples and command.help, name
        for example in command.examples:
            assert name in example.removeprefix("--json ").split()[0], example
