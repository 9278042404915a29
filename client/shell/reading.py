"""The commands that read znodes: ls, get, stat, sync, getAllChildrenNumber, getEphemerals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import NoNode
from . import stats
from .arguments import PATH
from .commands import command
from .output import Json, Result, data_json, printable

if TYPE_CHECKING:
    from rich.text import Text

    from ..values import Stat
    from .shell import Shell

_watch = click.option("-w", "watch", is_flag=True, help="Print the next change, once.")
_stat = click.option("-s", "with_stat", is_flag=True, help="Its stat, too.")


@command("ls", "ls /", "ls -s /app", "ls -R /app")
@_stat
@_watch
@click.option("-R", "recursive", is_flag=True, help="All below it, one path a line.")
@click.argument("path", type=PATH)
async def ls(shell: Shell, with_stat: bool, watch: bool, recursive: bool, path: str) -> Result:
    """List the children of a znode.

    -w tells when one comes or goes; with -R, of every change below.
    """
    client = await shell.connected()
    if recursive:
        if watch:
            await shell.watched.follow(client, path, recursive=True)
        found = sorted([each async for each in client.walk(path)], key=lambda each: each.split("/"))
        return Result({"paths": found}, "\n".join(found))
    once = await shell.watched.once(client, path, "children") if watch else None
    names = await client.children(path)
    stat = await client.exists(path) if with_stat or once else None
    if once is not None:
        once.begin(stat)
    value: dict[str, Json] = {"path": path, "children": names}
    if not with_stat or stat is None:
        stat = None
    else:
        value["stat"] = stats.json(stat)
    listed = f"[{', '.join(names)}]"
    return Result(value, _with(listed, stat), lambda: _styled(listed, stat))


@command("get", "get /app/config", "get -s /app/config", "get -w /app/config", "--json get /app/config")
@_stat
@_watch
@click.argument("path", type=PATH)
async def get(shell: Shell, with_stat: bool, watch: bool, path: str) -> Result:
    """Print a znode's data.

    To a file or a program they go as they are, with an end of line behind them; on a terminal, what is no
    text is shown as \\xNN.
    """
    client = await shell.connected()
    once = await shell.watched.once(client, path, "data") if watch else None
    data, stat = await client.get(path)
    if once is not None:
        once.begin(stat)
    value = {"path": path, **data_json(data)}
    if not with_stat:
        return Result(value, data)
    value["stat"] = stats.json(stat)
    text = data + b"\n" + stats.lines(stat).encode()
    return Result(value, text, lambda: _styled(printable(data.decode(errors="replace")), stat))


@command("stat", "stat /app", "stat -w /app/leader")
@_watch
@click.argument("path", type=PATH)
async def stat(shell: Shell, watch: bool, path: str) -> Result:
    """Print a znode's stat.

    -w also waits for a znode that is not there yet.
    """
    client = await shell.connected()
    once = await shell.watched.once(client, path, "data") if watch else None
    found = await client.exists(path)
    if once is not None:
        once.begin(found)
    if found is None:
        raise NoNode(path)
    return Result({"path": path, "stat": stats.json(found)}, stats.lines(found), lambda: stats.styled(found))


@command("sync", "sync /")
@click.argument("path", type=PATH)
async def sync(shell: Shell, path: str) -> Result:
    """Have the next reads show all that was done before, by anybody, on any server."""
    await (await shell.connected()).sync(path)
    return Result({"path": path, "synced": True}, "Sync is OK")


@command("getAllChildrenNumber", "getAllChildrenNumber /app")
@click.argument("path", type=PATH)
async def get_all_children_number(shell: Shell, path: str) -> Result:
    """Count the znodes below one, children's children too."""
    number = await (await shell.connected()).count(path)
    return Result({"path": path, "number": number}, str(number))


@command("getEphemerals", "getEphemerals", "getEphemerals /app/workers")
@click.argument("path", type=PATH, default="/")
async def get_ephemerals(shell: Shell, path: str) -> Result:
    """List this session's ephemerals, or those of them whose paths begin so."""
    found = await (await shell.connected()).ephemerals(path)
    return Result({"paths": found}, f"[{', '.join(found)}]")


def _with(text: str, stat: Stat | None) -> str:
    return text if stat is None else f"{text}\n{stats.lines(stat)}"


def _styled(text: str, stat: Stat | None) -> Text:
    from rich.text import Text

    return Text(text) if stat is None else Text("\n").join([Text(text), stats.styled(stat)])
