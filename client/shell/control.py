"""The commands for the shell itself: help, quit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import commands
from .arguments import COMMAND
from .commands import command
from .output import Result

if TYPE_CHECKING:
    from .shell import Shell


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


async def _quit(shell: Shell) -> None:
    """End the session, and the shell."""
    shell.over = True


quit_shell = command("quit", "quit")(_quit)
exit_shell = command("exit", "exit")(_quit)
