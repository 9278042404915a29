"""The commands for the shell itself: help, connect, close, history, redo, version, quit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from . import commands
from .arguments import COMMAND, SERVERS
from .commands import command
from .output import Result

if TYPE_CHECKING:
    from .shell import Shell

_SHOWN: Final = 11
"""Lines of history: zkCli's number."""


@command("help", "help", "help create")
@click.argument("name", metavar="[COMMAND]", type=COMMAND, required=False)
async def tell_help(shell: Shell, name: str | None) -> Result:
    """Tell which commands there are, or all about one."""
    if name is not None:
        found = commands.find(name)
        text = found.get_help(click.Context(found, info_name=name))
    else:
        formatter = click.HelpFormatter(width=100)
        commands.write_all(formatter)
        text = formatter.getvalue().strip("\n")
    return Result({"help": text}, text)


@command("connect", "connect", "connect h1:2181,h2:2181/app")
@click.argument("servers", metavar="[SERVERS]", type=SERVERS, required=False)
async def connect(shell: Shell, servers: str | None) -> None:
    """End the session, and begin another, with these servers or the same."""
    await shell.connect(servers or "")


@command("close", "close")
async def close(shell: Shell) -> None:
    """End the session, and its ephemerals with it; `connect` begins another."""
    await shell.close()


@command("history", "history")
async def history(shell: Shell) -> Result:
    """List the last lines, each with its number."""
    first = max(len(shell.lines) - _SHOWN, 0)
    numbered = list(enumerate(shell.lines))[first:]
    return Result(
        [{"number": number, "line": line} for number, line in numbered],
        "\n".join(f"{number} - {line}" for number, line in numbered),
    )


@command("redo", "redo 3")
@click.argument("number", type=int)
async def redo(shell: Shell, number: int) -> None:
    """Do a line again, by its number in the history."""
    if not 0 <= number < len(shell.lines) - 1:
        raise click.UsageError(f"no line has the number {number}")
    if shell.lines[number].split()[0] == "redo":
        raise click.UsageError(f"line {number} is a redo itself")
    shell.again = shell.lines[number]


@command("version", "version")
async def version(shell: Shell) -> Result:
    """Tell this shell's version."""
    from importlib.metadata import version  # slow to import

    found = version("znoded")
    return Result({"version": found}, f"znode version: {found}")


async def _quit(shell: Shell) -> None:
    """End the session, and the shell."""
    shell.over = True


quit_shell = command("quit", "quit")(_quit)
exit_shell = command("exit", "exit")(_quit)
