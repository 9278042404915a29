"""`lock` and `elect` run a program while it holds, and not a moment longer than they can help."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from znoded.client import BlockingClient
from znoded.client.recipes import Lock

from ...daemons import Daemon
from ..conftest import SETTINGS
from .processes import Process
from .typed import Znode

SAYS = "import sys, time; print('runs', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SAYS}"
TOLD = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('told', flush=True))"
HEEDS = f"import signal; signal.signal(signal.SIGINT, lambda *_: sys.exit(5)); {SAYS}"
TOKEN = "import os; print(os.environ['ZNODE_LOCK_TOKEN'])"


@pytest.mark.parametrize("command", ["lock", "elect"])
def test_it_exits_as_its_program_does(server: str, command: str) -> None:
    with Process(server, command, "exits", "--", sys.executable, "-c", "exit(7)") as holding:
        assert holding.wait() == 7
    kills = "import os; os.kill(os.getpid(), 9)"
    with Process(server, command, "exits", "--", sys.executable, "-c", kills) as holding:
        assert holding.wait() == 128 + 9


@pytest.mark.parametrize("command", ["lock", "elect"])
def test_a_program_that_is_none(znode: Znode, command: str) -> None:
    assert znode.failed(command, "x", "--", "/no/such") == (127, "/no/such: no such program")
    assert znode.failed(command, "x")[0] == 2


def test_tokens_rise(server: str) -> None:
    tokens = []
    for _ in range(2):
        with Process(server, "lock", "/tokens", "--", sys.executable, "-c", TOKEN) as holding:
            tokens.append(int(holding.line()))
            assert holding.wait() == 0
    assert tokens[0] < tokens[1]


def test_what_somebody_else_holds(znode: Znode, server: str) -> None:
    with BlockingClient(server) as client, client.entered(Lock(client.client, "/locks/taken", "me")):
        for wait in ("0", "0.05"):
            words = ("lock", "--wait", wait, "taken", "--", "true")
            assert znode.failed(*words) == (1, "/locks/taken is held by me")
    assert znode.said("lock", "--wait", "0", "taken", "--", "true") == ""


def test_ctrl_c_ends_who_waits(server: str) -> None:
    with BlockingClient(server) as client, client.entered(Lock(client.client, "/locks/wanted", "me")):
        with Process(server, "lock", "wanted", "--", "true") as holding:
            with client.watch("/locks/wanted") as events:
                if len(client.children("/locks/wanted")) < 2:
                    next(events)
            holding.signal(signal.SIGINT)
            assert holding.wait() == 130
        assert len(client.children("/locks/wanted")) == 1


@pytest.mark.parametrize("program", [SAYS, DEAF])
def test_a_lock_that_is_lost_ends_the_program(server: str, program: str) -> None:
    words = ("lock", "--grace", "0.1", "/locks/lost", "--", sys.executable, "-c", program)
    with Process(server, *words) as holding, BlockingClient(server) as client:
        assert holding.line() == "runs"
        (name,) = client.children("/locks/lost")
        client.delete(f"/locks/lost/{name}")
        holding.tells(f"/locks/lost was lost, and {sys.executable} was ended")
        assert holding.line() == ""  # the program, which had it too, has closed its output
        assert holding.wait() == 8


def test_a_server_that_dies_ends_the_program(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, SETTINGS)
    daemon.start()
    server = "{}:{}".format(*daemon.address)
    try:
        words = ("lock", "x", "--", sys.executable, "-c", SAYS)
        with Process(server, "--timeout", "2", *words) as holding:
            assert holding.line() == "runs"
            daemon.kill()
            assert holding.line() == ""
            assert holding.wait() == 8
    finally:
        daemon.kill()


def test_term_ends_both(znode: Znode, server: str) -> None:
    with Process(server, "lock", "/locks/term", "--", sys.executable, "-c", SAYS) as holding:
        assert holding.line() == "runs"
        holding.signal(signal.SIGTERM)
        assert holding.line() == ""
        assert holding.wait() == 143
    assert znode.said("ls", "/locks/term") == "[]\n"


def test_term_twice_does_not_wait_for_the_deaf(server: str) -> None:
    words = ("lock", "--grace", "60", "/locks/deaf", "--", sys.executable, "-c", f"{TOLD}; {SAYS}")
    with Process(server, *words) as holding:
        assert holding.line() == "runs"
        holding.signal(signal.SIGTERM)
        assert holding.line() == "told"
        holding.signal(signal.SIGTERM)
        assert holding.line() == ""
        assert holding.wait() == 143


def test_ctrl_c_is_the_program_s(server: str) -> None:
    with Process(server, "lock", "keys", "--", sys.executable, "-c", HEEDS) as holding:
        assert holding.line() == "runs"
        holding.press_ctrl_c()
        assert holding.wait() == 5


def test_one_leads_after_the_other_and_again(server: str) -> None:
    words = ("elect", "--again", "office", "--", sys.executable, "-c", TOKEN)
    with Process(server, *words) as standing:
        tokens = [int(standing.line()) for _ in range(2)]
        assert tokens[0] < tokens[1]
        standing.tells("has ended (0)")
        standing.signal(signal.SIGTERM)
        assert standing.wait() == 143


def test_ctrl_c_ends_the_program_and_standing(server: str) -> None:
    with Process(server, "elect", "--again", "chair", "--", sys.executable, "-c", HEEDS) as standing:
        assert standing.line() == "runs"
        standing.press_ctrl_c()
        assert standing.wait() == 5


def test_a_lead_that_is_lost_is_sought_again(server: str) -> None:
    program = f"{TOKEN}; import time; sys = __import__('sys'); sys.stdout.flush(); time.sleep(60)"
    words = ("elect", "--again", "/seat", "--", sys.executable, "-c", program)
    with Process(server, *words) as standing, BlockingClient(server) as client:
        first = int(standing.line())
        (name,) = client.children("/seat")
        client.delete(f"/seat/{name}")
        standing.tells("/seat was lost")
        assert int(standing.line()) > first
