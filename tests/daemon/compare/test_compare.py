"""`znoded compare` as a person runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from znoded.daemon.cli import main
from znoded.daemon.compare import command, plan
from znoded.daemon.compare.results import Turn

from ...daemons import until
from .turns import LOST, turn

COMMAND = [sys.executable, "-c", "from znoded.daemon.cli import main; main()", "compare"]


def alive(pid: int) -> bool:
    """Not only waiting for somebody to take note of its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


def servers(folder: Path) -> list[int]:
    """The processes of an ensemble that starts there."""

    def locks() -> list[str]:
        return [lock.read_text() for lock in folder.glob("*/*/data/znoded.lock")]

    until(lambda: len(locks()) == 3 and all(locks()), "the start of three servers")
    return [int(lock) for lock in locks()]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Turn]:
    """What a run is to have found."""
    turns: list[Turn] = []
    monkeypatch.setattr(command, "compare", lambda *_: turns)
    return turns


def test_one_ensemble_under_every_load_and_fault(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    page = tmp_path / "report.html"
    arguments = ["--quick", "--duration", "0.1", "--backends", "zab", "--json"]
    done = subprocess.run(
        [*COMMAND, *arguments, "--data", data, "--report", page], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    medians = {figure["key"]: figure["medians"]["zab"] for figure in told["figures"]}
    for load in plan.FEW:
        assert medians[f"rate:{load.key}"] > 0
    for fault in plan.FAULTS:
        assert medians[f"gap:{fault.key}"] > 0
    assert medians["acknowledged"] > medians["lost"] == 0
    assert 1 < medians["messages:write-lone"] < 20
    assert 100 < medians["log:write-lone"] < 10_000
    assert medians["cpu:write-many"] > 0
    assert page.read_text().endswith("</html>\n")
    assert not list(data.iterdir())


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_and_removes_all_files(tmp_path: Path, which: signal.Signals) -> None:
    running = subprocess.Popen([*COMMAND, "--quick", "--backends", "zab", "--data", tmp_path], text=True)
    try:
        pids = servers(tmp_path)
        running.send_signal(which)
        running.send_signal(which)  # who is impatient
        assert running.wait(30) == 130
    finally:
        running.kill()
        running.wait()
    assert not any(map(alive, pids))
    assert not list(tmp_path.iterdir())


def test_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    running = subprocess.Popen([*COMMAND, "--quick", "--backends", "zab", "--data", tmp_path])
    try:
        pids = servers(tmp_path)
    finally:
        running.kill()
        running.wait()
    until(lambda: not any(map(alive, pids)), "the servers' end")


def test_a_lost_write_is_exit_status_3(measured: list[Turn]) -> None:
    measured += [turn("zab"), turn("raft", verdict=LOST)]
    done = CliRunner().invoke(main, ["compare", "--quick"])
    assert done.exit_code == 3
    assert "raft, round 1: WRONG" in done.stdout


def test_a_sound_run_is_exit_status_0(measured: list[Turn]) -> None:
    measured += [turn("zab"), turn("raft")]
    done = CliRunner().invoke(main, ["compare", "--quick", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ok"] is True


def test_a_page_that_could_not_be_written_takes_no_figure_along(measured: list[Turn], tmp_path: Path) -> None:
    measured.append(turn("zab"))
    page = tmp_path / "report.html"
    page.symlink_to("/dev/full")
    done = CliRunner().invoke(main, ["compare", "--quick", "--json", "--report", str(page)])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["ok"] is True
    assert "no report: [Errno 28]" in done.stderr


def test_data_in_memory_make_the_figures_doubtful(
    measured: list[Turn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("znoded.daemon.compare.machine.file_system", lambda _: "tmpfs")
    measured.append(turn("zab"))
    done = CliRunner().invoke(main, ["compare", "--quick"])
    assert "The data are in memory (tmpfs)" in done.stdout
    assert "The data are in memory (tmpfs)" in done.stderr


def test_a_server_that_does_not_start_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("znoded.daemon.compare.kinds._SHARED", "tickTime=never\n")
    done = CliRunner().invoke(main, ["compare", "--quick", "--backends", "zab", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "no comparison: server 1 of zab has ended:" in done.stderr
    assert "tickTime" in done.stderr
    assert not list(tmp_path.iterdir())


def test_zookeeper_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("znoded.daemon.compare.kinds._JAR", tmp_path / "zookeeper.jar")
    done = CliRunner().invoke(main, ["compare", "--against", "zookeeper"])
    assert done.exit_code == 2
    assert "ZooKeeper is not installed" in done.stderr
    assert "apt-get install zookeeper" in done.stderr


def test_every_option_is_documented_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs" / "compare.md").read_text()
    flags = {flag for option in main.commands["compare"].params for flag in option.opts}
    assert {cell.split()[0] for cell in re.findall(r"^\| `(--.*?)` \|", text, re.MULTILINE)} == flags


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--backends", "zab, paxos"], "there is no backend 'paxos', but zab and raft"),
        (["--backends", "zab,zab,raft,raft"], "4 backends are too many"),
        (["--servers", "2"], "2 is not in the range 3<=x<=9"),
        (["--duration", "0"], "0.0 is not in the range x>=0.1"),
    ],
)
def test_what_can_t_be_asked_for(arguments: list[str], what: str) -> None:
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code == 2
    assert what in done.stderr


def test_a_page_that_can_t_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    page = tmp_path / "nowhere" / "report.html"
    done = CliRunner().invoke(main, ["compare", "--quick", "--report", str(page), "--json"])
    assert done.exit_code == 1
    assert "where the report is to be" in json.loads(done.stdout)["error"]
