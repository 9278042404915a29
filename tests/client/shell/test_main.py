"""The command `znode` itself: its help, its servers, how little it needs to start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from znoded.client.shell import commands, exits
from znoded.client.shell.main import main
from znoded.client.shell.output import printable

from .typed import Znode

HEAVY = ("aiohttp", "prompt_toolkit", "rich", "uvloop")


def loaded(*words: str) -> set[str]:
    """Which heavy libraries a use of znode has imported."""
    script = (
        "import sys, click\n"
        "from znoded.client.shell.main import main\n"
        f"try: main({list(words)!r})\n"
        "except SystemExit: print('\\n', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split()) & set(HEAVY)


def test_help_names_every_command_and_exit_code() -> None:
    said = CliRunner().invoke(main, ["--help"]).stdout
    assert all(f"\n  {name} " in said for name in commands.MODULES)
    assert all(f"\n  {code} " in said for code, _, _ in exits.CODES)


def test_help_for_a_command(znode: Znode) -> None:
    said = znode.said("help", "create")
    assert said == znode.said("create", "--help")
    assert "\nExamples:\n  create /app\n" in said
    assert znode.failed("help", "creat") == (2, "Command not found: creat. Did you mean create?")


def test_nothing_is_imported_before_it_is_needed(server: str) -> None:
    assert loaded("help", "get") == set()
    assert loaded("--server", server, "get", "/") == {"aiohttp"}


def test_the_server_may_stand_in_the_environment(server: str) -> None:
    runner = CliRunner(env={"ZNODE_SERVER": server})
    assert runner.invoke(main, ["ls", "/zookeeper"]).stdout == "[config, quota]\n"
    assert runner.invoke(main, ["-server", "127.0.0.1:1", "--timeout", "0.1", "ls", "/"]).exit_code == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--server", "http://h"), "http:// is neither ws:// nor wss://"),
        (("--timeout", "0"), "0.0 is not in the range"),
        (("--what",), "No such option '--what'"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(main, [*options, "ls", "/"])
    assert result.exit_code == 2
    assert says in result.stderr


def test_lines_quote_as_a_posix_shell(znode: Znode, capsys: pytest.CaptureFixture[str]) -> None:
    assert znode.session(
        """create "/quo ted" 'a "b" c'""", "get /quo\\ ted", "get '/quo", "", "set -- '/quo ted' -1"
    ) == [0, 0, 2, 2, 0]
    out, err = capsys.readouterr()
    assert out == 'Created /quo ted\na "b" c\n'
    assert "No closing quotation" in err


def test_history_and_redo(znode: Znode, capsys: pytest.CaptureFixture[str]) -> None:
    codes = znode.session("create -s /redone-", "redo 0", "history", "redo 7", "redo 3")
    assert codes == [0, 0, 0, 2, 2]
    first, second, *history = capsys.readouterr().out.splitlines()
    assert first.startswith("Created /redone-") and second.startswith("Created /redone-") and first < second
    assert history == ["0 - create -s /redone-", "1 - create -s /redone-", "2 - history"]


def test_closing_and_connecting_again(znode: Znode, capsys: pytest.CaptureFixture[str]) -> None:
    codes = znode.session(
        "create -e /first-session",
        "close",
        "get /first-session",
        "connect",
        "get /first-session",
        f"connect {znode.server}/zookeeper",
        "ls /",
        "connect 127.0.0.1:x",
        "ls /",
    )
    assert codes == [0, 0, 8, 0, 3, 0, 0, 2, 0]
    out, err = capsys.readouterr()
    assert out == "Created /first-session\n" + 2 * "[config, quota]\n"
    assert err.startswith("Not connected: `connect` begins a session\nNode does not exist: /first-session\n")


def test_versions_differ_by_a_line(znode: Znode) -> None:
    assert znode.said("version") == f"znode version: {znode.json('version')['version']}\n"


def test_a_terminal_is_not_commanded_by_data() -> None:
    assert printable("\x1b[2Jé\x9b\n\tend\x7f") == "\\x1b[2Jé\\x9b\n\tend\\x7f"
