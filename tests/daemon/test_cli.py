"""The command `znoded`, as a user meets it, and the lines that it logs."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from znoded.daemon import logs, release, server
from znoded.daemon.cli import main
from znoded.daemon.config import Config


def znoded(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a zoo.cfg goes."""
    return tmp_path / "zoo.cfg"


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Leaves logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Stands in for the server: collects what it is asked to serve, and ends with status 7."""
    configs: list[Config] = []

    def serve(config: Config) -> int:
        configs.append(config)
        return 7

    process = types.ModuleType("znoded.daemon.process")
    process.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "znoded.daemon.process", process)
    return configs


class TestCheck:
    def test_says_ok(self, file: Path) -> None:
        file.write_text(f"dataDir={file.parent}")
        result = znoded("check", "--config", file)
        assert (result.exit_code, result.output) == (0, f"{file}: ok\n")

    def test_says_every_fault_with_its_line(self, file: Path) -> None:
        file.write_text("tickTime=x\n\nclientPort=-1\nnio.numWorkerThreads=4")
        result = znoded("check", "--config", file)
        assert result.exit_code == 2
        told = result.output.splitlines()
        assert [line.split(" ")[:2] for line in told] == [
            [f"{file}:", "dataDir"],
            [f"{file}:1:", "tickTime"],
            [f"{file}:3:", "clientPort"],
            [f"{file}:4:", "nio.numWorkerThreads"],
        ]
        assert told[3].endswith("(warning)")

    def test_says_it_in_json(self, file: Path) -> None:
        file.write_text(f"dataDir={file.parent}\nclientPort=x\nforceSync=no")
        result = znoded("check", "--json", "--config", file)
        assert result.exit_code == 2
        report = json.loads(result.output)
        assert report["ok"] is False
        assert [(fault["line"], fault["key"]) for fault in report["faults"]] == [(2, "clientPort")]
        assert [(warning["line"], warning["key"]) for warning in report["warnings"]] == [(3, "forceSync")]

    def test_a_file_that_is_missing(self, file: Path) -> None:
        result = znoded("check", "--config", file)
        assert (result.exit_code, result.output) == (2, f"{file}: can't be read: No such file or directory\n")


class TestStart:
    def test_serves_and_ends_with_the_servers_status(self, file: Path, served: list[Config]) -> None:
        file.write_text(f"dataDir={file.parent}\nclientPort=2281")
        assert znoded("start", "--config", file).exit_code == 7
        assert [config.client_port for config in served] == [2281]

    def test_flags_override_the_file(self, file: Path, served: list[Config]) -> None:
        file.write_text("dataDir=/nowhere\nclientPort=2281\nadmin.serverPort=8888")
        ports = "--client-port 1 --admin-port 2 --bind ::1"
        others = f"--data-dir {file.parent} --storage memory --log-level error"
        assert znoded("start", "--config", file, *ports.split(), *others.split()).exit_code == 7
        (config,) = served
        assert config.data_dir == file.parent
        assert (config.client_address, config.client_port, config.admin_port) == ("::1", 1, 2)
        assert (config.storage, config.log_level) == ("memory", "error")

    def test_needs_no_file(self, tmp_path: Path, served: list[Config]) -> None:
        assert znoded("start", "--data-dir", tmp_path).exit_code == 7
        assert [config.data_dir for config in served] == [tmp_path]

    def test_tells_all_faults_of_file_and_flags(self, file: Path, served: list[Config]) -> None:
        file.write_text(f"dataDir={file.parent}\ntickTime=x\nclientPort=1")
        result = znoded("start", "--config", file, "--client-port", "many")
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            "--client-port must be a whole number, not 'many'",
            f"{file}:2: tickTime must be a whole number, not 'x'",
        ]
        assert served == []

    def test_logs_warnings(self, file: Path, served: list[Config]) -> None:
        file.write_text(f"dataDir={file.parent}\nforceSync=no")
        result = znoded("start", "--config", file)
        assert len(served) == 1
        (line,) = result.stderr.splitlines()
        assert f" WARNING daemon.cli: {file}:2: forceSync has no effect: " in line


def test_version() -> None:
    told = re.fullmatch(r"znoded (\S+), ((?:not )?compiled), CPython \S+\n", znoded("--version").output)
    assert told
    assert told[1] == release.release()
    assert (told[2] == "compiled") == (not server.__file__.endswith(".py"))


class TestLogs:
    def logged(self, *values: object, level: str = "info") -> str:
        stream = io.StringIO()
        logs.set_up(level, stream)
        logging.getLogger("znoded.api.port").info(*values)
        return stream.getvalue()

    def test_a_line_has_time_with_zone_level_and_place(self) -> None:
        line = self.logged("a client from %s", "127.0.0.1")
        pattern = (
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d INFO api.port: a client from 127.0.0.1\n"
        )
        assert re.fullmatch(pattern, line)

    def test_the_level_is_the_least_that_is_logged(self) -> None:
        assert self.logged("hello", level="warning") == ""

    @pytest.mark.parametrize("garbage", ["\n", "\r", "\x00", "\x1b[2J", "\x85", "\u2028", "\x7f", "\udc80"])
    def test_garbage_forges_no_line(self, garbage: str) -> None:
        line = self.logged("a path: %s", f"/a{garbage}2026 INFO forged")
        assert line.endswith("2026 INFO forged\n")
        assert len(line.splitlines()) == 1
        assert garbage not in line[:-1]
        assert line.isprintable() or line[:-1].isprintable()

    def test_a_traceback_stays_in_its_line(self) -> None:
        stream = io.StringIO()
        logs.set_up("info", stream)
        try:
            raise ValueError("broken\npieces")
        except ValueError:
            logging.getLogger("znoded.daemon").exception("it failed")
        (line,) = stream.getvalue().splitlines()
        assert "it failed\\nTraceback" in line
        assert line.endswith("ValueError: broken\\npieces")

    def test_the_journal_gets_a_priority_and_no_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (tmp_path / "journal").open("w+") as stream:
            stat = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
            logs.set_up("debug", stream)
            logger = logging.getLogger("znoded.storage.log")
            for say in (logger.debug, logger.info, logger.warning, logger.error, logger.critical):
                say("a > b")
            stream.seek(0)
            lines = stream.read().splitlines()
        assert lines == [f"<{priority}>storage.log: a > b" for priority in (7, 6, 4, 3, 3)]

    def test_a_stream_that_is_not_the_journals_gets_the_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JOURNAL_STREAM", "1:2")
        assert not self.logged("hello").startswith("<")
