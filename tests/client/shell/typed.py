"""A shell that tests type into: commands, one and out, or several in one session."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner, Result

from znoded.client.shell.main import main
from znoded.client.shell.output import Output
from znoded.client.shell.shell import Shell


@dataclass(frozen=True, slots=True)
class Znode:
    """The command, for one server."""

    server: str

    def __call__(self, *words: str, options: tuple[str, ...] = ()) -> Result:
        """`znode --server ... WORDS`, in this process."""
        return CliRunner().invoke(main, ["--server", self.server, *options, *words], prog_name="znode")

    def said(self, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self(*words)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def json(self, *words: str) -> Any:
        """What a command that succeeds prints with --json, one line."""
        result = self(*words, options=("--json",))
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    def failed(self, *words: str) -> tuple[int, str]:
        """Exit code and last line of a command that fails, and prints no result."""
        result = self(*words)
        assert result.stdout == ""
        return result.exit_code, result.stderr.splitlines()[-1]

    def session(self, *lines: str) -> list[int]:
        """Type these into one shell; their exit codes."""

        async def typed() -> list[int]:
            shell = Shell(self.server, 10, Output())
            try:
                return [await shell.line(line) for line in lines]
            finally:
                await shell.close()

        return asyncio.run(typed())
