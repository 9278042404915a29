"""The command `watch`: what happens to a znode, an event a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..values import Event, Kind
from .arguments import PATH
from .commands import command
from .output import Result, printable

if TYPE_CHECKING:
    from rich.text import Text

    from .shell import Shell

_COLOURS = {Kind.CREATED: "green", Kind.DELETED: "red", Kind.MISSED: "bold yellow"}


@command("watch", "watch /app/config", "watch -r /app", "watch -n 1 /app/leader", "--json watch -r /app")
@click.option("-r", "recursive", is_flag=True, help="Of all below it, too.")
@click.option("-n", "count", type=click.IntRange(1), metavar="COUNT", help="End after so many.")
@click.argument("path", type=PATH)
async def watch(shell: Shell, recursive: bool, count: int | None, path: str) -> None:
    """Print what happens to a znode, an event a line, until Ctrl-C.

    Events are created, deleted, changed (its data), and children (one came or went; with -r, the child's own
    event tells it). `missed` says that the connection was lost for a while, and that there may have been
    others: read again what matters. The znode need not exist.
    """
    client = await shell.connected()
    async with client.watch(path, recursive=recursive) as events:
        shell.output.tell(f"Watching {path}")
        left = count
        async for event in events:
            value = {"event": str(event.kind), "path": event.path}
            shell.output.show(Result(value, f"{event.kind} {event.path}", lambda: _styled(event)))  # noqa: B023
            if left is not None:
                left -= 1
                if not left:
                    break


def _styled(event: Event) -> Text:
    from rich.text import Text

    kind, path = event
    return Text.assemble((f"{kind:<8} ", _COLOURS.get(kind, "")), printable(path))
