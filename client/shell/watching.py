"""The commands about watches that stay: addWatch, removewatches, printwatches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from .arguments import PATH
from .commands import command
from .output import Result

if TYPE_CHECKING:
    from .shell import Shell
    from .watched import Sort

_RECURSIVE = "PERSISTENT_RECURSIVE"


@command("addWatch", "addWatch /app", "addWatch -m PERSISTENT /app/config")
@click.option(
    "-m",
    "mode",
    type=click.Choice(["PERSISTENT", _RECURSIVE], case_sensitive=False),
    default=_RECURSIVE,
    help=f"One znode and its children's names, or all below it (default: {_RECURSIVE}).",
)
@click.argument("path", type=PATH)
async def add_watch(shell: Shell, mode: str, path: str) -> None:
    """Print every change from now on, until removewatches.

    Without a shell (`znode addWatch /app`), until Ctrl-C.
    """
    client = await shell.connected()
    await shell.watched.follow(client, path, recursive=mode == _RECURSIVE)


@command("removewatches", "removewatches /app", "removewatches -d /app/config")
@click.option("-c", "sort", flag_value="children", help="Those of `ls -w`.")
@click.option("-d", "sort", flag_value="data", help="Those of `get -w` and `stat -w`.")
@click.option("-p", "sort", flag_value="persistent", help="Those of `addWatch -m PERSISTENT`.")
@click.option("-r", "sort", flag_value="recursive", help="Those of `addWatch`.")
@click.option("-a", "sort", flag_value="", help="All of them, as without an option.")
@click.argument("path", type=PATH)
async def removewatches(shell: Shell, sort: Sort | Literal[""] | None, path: str) -> None:
    """Watch a path no more."""
    shell.watched.remove(path, sort or None)


@command("printwatches", "printwatches", "printwatches off")
@click.argument("wanted", metavar="[on|off]", type=click.Choice(["on", "off"]), required=False)
async def printwatches(shell: Shell, wanted: str | None) -> Result | None:
    """Print what watches see, or do not; say whether."""
    if wanted is not None:
        shell.watched.printing = wanted == "on"
        return None
    now = "on" if shell.watched.printing else "off"
    return Result({"printwatches": now}, f"printwatches is {now}")
