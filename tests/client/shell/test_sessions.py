"""A session typed for zkCli does the same in znode: at a terminal, and through a pipe."""

from __future__ import annotations

import select
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from znoded.client import BlockingClient

from ...daemons import Daemon, until
from .terminal import COMMAND, Terminal, piped

FIRST = ["ls /", 'create -e /testmaster "127.0.0.1:2223"', "get /testmaster", "quit"]
SECOND = [
    "ls /",
    "get /testmaster",
    'create -e /testmaster "127.0.0.1:2225"',
    "get /testmaster",
    'create -e /testmaster "127.0.0.1:2225"',
    "quit",
]


def test_a_failing_master_through_a_pipe(server: str) -> None:
    with piped(server) as shell:
        out, err = shell.communicate("\n".join(FIRST) + "\n")
    names, *rest = out.splitlines()
    assert names.startswith("[") and names.endswith("zookeeper]") and "testmaster" not in names
    assert rest == ["Created /testmaster", "127.0.0.1:2223"]
    assert (err, shell.returncode) == ("", 0)
    with piped(server) as shell:
        out, err = shell.communicate("\n".join(SECOND) + "\n")
    names, *rest = out.splitlines()
    assert "testmaster" not in names  # it went when the first shell quit
    assert rest == ["Created /testmaster", "127.0.0.1:2225"]
    assert err.splitlines() == ["Node does not exist: /testmaster", "Node already exists: /testmaster"]
    assert shell.returncode == 4  # of the last command before `quit`


def test_a_failing_master_at_a_terminal(server: str, tmp_path: Path) -> None:
    with Terminal(tmp_path, "--server", server) as shell:
        shell.sees("Connected to ")
        for line, answer in zip(
            FIRST[:-1], (r"zookeeper\]", "\nCreated /testmaster", "\n127.0.0.1:2223"), strict=True
        ):
            shell.line(line)
            shell.sees(answer)
        with BlockingClient(server) as other:
            assert other.get("/testmaster").data == b"127.0.0.1:2223"
            shell.line("quit")
            assert shell.ends() == 0
            assert other.exists("/testmaster") is None
    with Terminal(tmp_path, "--server", server) as shell:
        answers = (
            r"zookeeper\]",
            "\nNode does not exist: /testmaster",
            "\nCreated /testmaster",
            "\n127.0.0.1:2225",
            "\nNode already exists: /testmaster",
        )
        for line, answer in zip(SECOND[:-1], answers, strict=True):
            shell.line(line)
            shell.sees(answer)
        shell.line("quit")
        assert shell.ends() == 4


def test_the_end_of_a_pipe_ends_the_session(server: str) -> None:
    with piped(server) as shell, BlockingClient(server) as other:
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write("create -e /piped\n")
        assert shell.stdout.readline() == "Created /piped\n"
        assert other.exists("/piped") is not None
        shell.stdin.close()
        assert shell.wait(20) == 0
        assert other.exists("/piped") is None


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)]
)
def test_who_ends_it_ends_the_session_too(server: str, number: signal.Signals, code: int) -> None:
    with piped(server) as shell, BlockingClient(server) as other:
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write("create -e /terminated\n")
        assert shell.stdout.readline() == "Created /terminated\n"
        shell.send_signal(number)
        assert shell.wait(20) == code
        assert other.exists("/terminated") is None


def test_a_file_of_commands(server: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("create /from-file 'two words'\n\nget /from-file")
    with script.open() as lines:
        done = subprocess.run(
            [*COMMAND, "--server", server], stdin=lines, capture_output=True, text=True, timeout=20
        )
    assert (done.stdout, done.stderr) == ("Created /from-file\ntwo words\n", "")


def test_who_has_read_enough_stops_it(server: str) -> None:
    with piped(server, "getAcl", "/") as shell:
        assert shell.stdout is not None and shell.stderr is not None
        shell.stdout.close()
        assert shell.wait(20) == 1
        assert "Traceback" not in shell.stderr.read()


def test_who_has_seen_enough_stops_a_watch(server: str) -> None:
    with piped(server, "addWatch", "/seen-enough") as shell, BlockingClient(server) as other:
        assert shell.stdout is not None and shell.stderr is not None
        seen = shell.stdout
        other.create("/seen-enough")
        until(lambda: other.set("/seen-enough", b"") and select.select([seen], [], [], 0.05)[0])
        seen.close()
        until(lambda: other.set("/seen-enough", b"") and shell.poll() is not None)
        assert (shell.returncode, shell.stderr.read()) == (1, "")


def test_tab_completes_commands_and_paths(server: str, tmp_path: Path) -> None:
    with BlockingClient(server) as other:
        other.create("/completed-by-tab", b"found")
        with Terminal(tmp_path, "--server", server) as shell:
            shell.sees(r"\(CONNECTED\) 0\]")
            shell.type("getA\t")
            shell.sees("getA")
            shell.type("\x03")
            shell.sees(r"\(CONNECTED\) 0\] ?$")
            shell.type("get /completed-b\t")
            shell.sees("y-tab")
            shell.type("\r")
            shell.sees("\nfound")
            shell.line("quit")
            assert shell.ends() == 0


def test_history_is_the_user_s_alone_and_holds_no_passwords(server: str, tmp_path: Path) -> None:
    with Terminal(tmp_path, "--server", server) as shell:
        shell.line("addauth digest me:secret")
        shell.line("whoami")
        shell.sees("digest: me")
        shell.line("quit")
        assert shell.ends() == 0
    history = tmp_path / "znode" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "+whoami" in history.read_text()
    assert "secret" not in history.read_text()


def test_a_command_waits_for_a_connection_only_so_long(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.start()
    try:
        with piped("{}:{}".format(*daemon.address), "--timeout", "1") as shell:
            assert shell.stdin is not None and shell.stdout is not None
            shell.stdin.write("create /waits\n")
            assert shell.stdout.readline() == "Created /waits\n"
            daemon.kill()
            out, err = shell.communicate("get /waits\n")
    finally:
        daemon.kill()
    assert out == ""
    assert err.splitlines()[-1] == f"no connection to {daemon.address[0]}:{daemon.address[1]} for 1 s"
    assert shell.returncode == 8


def test_an_expired_session_is_told_and_followed_by_another(server: str) -> None:
    with piped(server, "--timeout", "2") as shell, BlockingClient(server) as other:
        assert shell.stdin is not None and shell.stdout is not None and shell.stderr is not None
        shell.stdin.write("create -e /expires\n")
        assert shell.stdout.readline() == "Created /expires\n"
        shell.send_signal(signal.SIGSTOP)
        until(lambda: other.exists("/expires") is None)
        shell.send_signal(signal.SIGCONT)
        assert any("The session has expired" in line for line in shell.stderr)
        out, _ = shell.communicate("create -e /expires\nget /expires\n")
    assert (out, shell.returncode) == ("Created /expires\n\n", 0)


def test_neither_a_lost_connection_nor_ctrl_c_ends_it(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.start()
    try:
        server = "{}:{}".format(*daemon.address)
        with Terminal(tmp_path, "--server", server, "--timeout", "30") as shell:
            shell.line("create /kept here")
            shell.sees("\nCreated /kept")
            daemon.kill()
            shell.sees("The connection to .* is lost")
            shell.line("get /kept")
            shell.sees("get /kept\r")
            shell.interrupt()
            shell.line("")
            daemon.start()
            shell.sees("Connected to")
            shell.line("get /kept")
            shell.sees("\nhere")
            shell.type("\x03")
            shell.line("quit")
            assert shell.ends() == 0
    finally:
        daemon.kill()
