"""What systemd hears of the server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from znoded.daemon.supervisor import Supervisor

from ..daemons import Daemon

UNITS = sorted((Path(__file__).parents[2] / "etc" / "systemd").glob("*.service"))


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)
        self.environment = {"NOTIFY_SOCKET": address}

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be longer than a socket's name
        manager = Manager(f"{folder}/notify")
        yield manager
        manager.close()


async def attend(supervisor: Supervisor, *statuses: str) -> None:
    """Attend until the statuses are used up."""
    left = iter(statuses)
    with suppress(RuntimeError):  # what StopIteration becomes in a coroutine
        await supervisor.attend(lambda: next(left))


def test_it_hears_of_being_ready_once_and_of_the_status_when_it_changes(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("znoded.daemon.supervisor._STEP", 0.0)
    supervisor = Supervisor(manager.environment)
    asyncio.run(attend(supervisor, "looking", "looking", "leader", "leader"))
    supervisor.stopping()
    assert [manager.hear() for _ in range(3)] == ["READY=1\nSTATUS=looking", "STATUS=leader", "STOPPING=1"]


def test_it_hears_of_what_is_read_anew(manager: Manager) -> None:
    supervisor = Supervisor(manager.environment)
    supervisor.reloading()
    supervisor.reloaded()
    begun, _, when = manager.hear().partition("\nMONOTONIC_USEC=")
    assert (begun, manager.hear()) == ("RELOADING=1", "READY=1")
    assert 0 < int(when) <= time.monotonic_ns() // 1000


def test_the_watchdog_hears_of_it_at_least_twice_as_often_as_it_must(manager: Manager) -> None:
    supervisor = Supervisor({**manager.environment, "WATCHDOG_USEC": "2000"})
    asyncio.run(attend(supervisor, "leader", "leader", "leader"))
    assert [manager.hear() for _ in range(4)] == ["READY=1\nSTATUS=leader", *["WATCHDOG=1"] * 3]


@pytest.mark.parametrize("about", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}])
def test_a_watchdog_for_somebody_else_hears_nothing(
    manager: Manager, about: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("znoded.daemon.supervisor._STEP", 0.0)
    supervisor = Supervisor({**manager.environment, "WATCHDOG_USEC": "2000", **about})
    asyncio.run(attend(supervisor, "leader", "leader"))
    supervisor.stopping()
    assert [manager.hear(), manager.hear()] == ["READY=1\nSTATUS=leader", "STOPPING=1"]


def test_the_socket_may_have_an_abstract_name(tmp_path: Path) -> None:
    manager = Manager(f"@{tmp_path.name}-{id(tmp_path)}")
    Supervisor(manager.environment).stopping()
    assert manager.hear() == "STOPPING=1"
    manager.close()


def test_a_socket_that_is_gone_is_logged_once_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "2000"})
    asyncio.run(attend(supervisor, "leader", "leader", "leader"))
    assert [message.split(": ")[0] for message in caplog.messages] == ["NOTIFY_SOCKET does not take READY=1"]


def test_without_a_socket_there_is_nobody_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor({})
    asyncio.run(supervisor.attend(lambda: "leader"))
    supervisor.stopping()
    assert not caplog.text


def test_a_daemon_is_ready_when_it_serves_then_alive_then_stopping(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.environment["NOTIFY_SOCKET"])
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    daemon = Daemon(tmp_path)
    daemon.start()
    host, port = daemon.address
    assert manager.hear() == f"READY=1\nSTATUS=standalone, serving clients on {host}:{port}"
    assert [manager.hear(), manager.hear()] == ["WATCHDOG=1", "WATCHDOG=1"]
    daemon.stop()
    while (heard := manager.hear()) == "WATCHDOG=1":
        pass
    assert heard == "STOPPING=1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
class TestUnits:
    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_systemd_has_nothing_to_say_against_them(self, unit: Path, tmp_path: Path) -> None:
        # It looks whether the program is there.
        copy = tmp_path / unit.name.replace("@", "@one")
        copy.write_text(unit.read_text().replace("/opt/znoded/bin/znoded", sys.executable))
        told = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
        assert (told.returncode, told.stdout + told.stderr) == (0, "")

    @pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
    def test_they_are_closed_in(self, unit: Path) -> None:
        """systemd-analyze's exposure level: 0 is the least, 10 the most."""
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(unit)]
        told = subprocess.run(command, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout.splitlines()[-1]
