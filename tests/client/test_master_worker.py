"""The book's master and workers: whoever is killed at whatever step, each task is done, and done once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from znoded.client import BlockingClient
from znoded.client.recipes import Election

from ..daemons import Daemon, until

TASKS = ["one", "two", "three", "four"]
LAUNCHER = """
import json, os, signal, sys
from znoded.client import client
from znoded.client.examples import master_worker

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
CHANGES = {"create", "delete", "set", "multi"}

def die_at(step, answered):
    asked, changes = client.Client._ask, iter(range(1, 1 << 30))
    async def ask(self, name, *args, **kwargs):
        mine = name in CHANGES and next(changes) == step
        if mine and not answered:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await asked(self, name, *args, **kwargs)
        finally:
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
    client.Client._ask = ask

for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if not pid:
        os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        if order["step"]:
            die_at(order["step"], order["answered"])
        master_worker.main(order["arguments"])
    print(pid, flush=True)
"""


class Death(NamedTuple):
    """Before or after the answer to which change, the first is 1; 0: none."""

    step: int = 0
    answered: bool = False


NONE = Death()


class Cast:
    """The processes of a play; forked from one that has imported all they need."""

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._launcher = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.living: set[int] = set()

    def play(self, *arguments: str, death: Death = NONE) -> int:
        """Start one; its process id. What it says is in a file that is called as its role."""
        assert self._launcher.stdin is not None and self._launcher.stdout is not None
        order = {
            "arguments": ["--server", self._server, "--timeout", "0.5", *arguments],
            "log": str(self.said(arguments[0])),
            "step": death.step,
            "answered": death.answered,
        }
        self._launcher.stdin.write(f"{json.dumps(order)}\n")
        self._launcher.stdin.flush()
        pid = int(self._launcher.stdout.readline())
        self.living.add(pid)
        return pid

    def said(self, role: str) -> Path:
        """What all of a role have said."""
        return self._folder / role

    def lives(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            self.living.discard(pid)
            return False
        return True

    def kill(self, pid: int) -> None:
        if self.lives(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: not self.lives(pid), "the end of a process")

    def end(self) -> None:
        for pid in tuple(self.living):
            self.kill(pid)
        self._launcher.kill()
        self._launcher.wait()


@pytest.fixture
def cast(client_daemon: Daemon, server: str, tmp_path: Path) -> Iterator[Cast]:
    playing = Cast(server, tmp_path)
    yield playing
    playing.end()


@pytest.fixture
def client(server: str) -> Iterator[BlockingClient]:
    with BlockingClient(server) as client:
        yield client
        client.delete("/jobs", recursive=True)


def submitted(client: BlockingClient, cast: Cast) -> None:
    """TASKS are asked for, and all done in good time: each once, and nothing is left of them."""
    pid = cast.play("submit", *TASKS)
    until(lambda: not cast.lives(pid), "the results")
    assert cast.said("submit").read_text().split() == [task.upper() for task in TASKS]
    cast.said("submit").unlink()
    assert client.children("/jobs/tasks") == client.children("/jobs/status") == []
    for worker in client.children("/jobs/assign"):
        assert client.children(f"/jobs/assign/{worker}") == []


def stands(client: BlockingClient, name: str) -> bool:
    """Whether that one stands for election."""
    return name in client.wait(Election(client.client, "/jobs/election").contenders())


@pytest.mark.parametrize("answered", [False, True])
def test_a_worker_dies(cast: Cast, client: BlockingClient, answered: bool) -> None:
    cast.play("master", "m")
    cast.play("worker", "steady")
    for step in count(1):
        victim = cast.play("worker", "victim", death=Death(step, answered))
        submitted(client, cast)
        if cast.lives(victim):
            break
    assert step > len(TASKS) // 2
    cast.kill(victim)
    submitted(client, cast)


@pytest.mark.parametrize("answered", [False, True])
def test_the_master_dies_and_the_one_that_stood_by_takes_over(
    cast: Cast, client: BlockingClient, answered: bool
) -> None:
    cast.play("worker", "one")
    cast.play("worker", "two")
    for step in count(1):
        name = f"victim-{step}"
        victim = cast.play("master", name, death=Death(step, answered))
        until(lambda: stands(client, name) or not cast.lives(victim), "a master")  # noqa: B023
        backup = cast.play("master", "backup")
        submitted(client, cast)
        survived = cast.lives(victim)
        cast.kill(backup)
        cast.kill(victim)
        if survived:
            break
    assert step > len(TASKS)


def test_who_asked_dies_and_what_was_asked_is_done(cast: Cast, client: BlockingClient) -> None:
    cast.play("master", "m")
    cast.play("worker", "one")
    pid = cast.play("submit", *TASKS, death=Death(len(TASKS) + 4 + 1))
    until(lambda: not cast.lives(pid), "the death of who asked")
    until(
        lambda: client.children("/jobs/tasks") == client.children("/jobs/status"), "the end of what was asked"
    )
