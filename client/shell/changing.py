"""The commands that change znodes: create, set, delete, deleteall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import NoNode
from . import stats
from .arguments import ACL, PATH, to_bytes
from .commands import command
from .output import Result

if TYPE_CHECKING:
    from ...storage.acl import Acl
    from .shell import Shell


class NoParent(NoNode):
    """There is nothing that a new znode could be below."""

    def __init__(self, path: str, above: str) -> None:
        super().__init__(path)
        self.above = above

    def __str__(self) -> str:
        return f"Node does not exist: {self.above} (the parent of {self.path})"


_version = click.option(
    "-v", "version", type=int, default=-1, metavar="VERSION", help="Only if its data have this version."
)


@command(
    "create",
    "create /app",
    "create /app/config 'retries = 3'",
    "create -e /app/leader host1:2223",
    "create -s /app/task- ''",
    "create -t 60000 /app/hint soon",
    "create /app/secret x world:anyone:r,digest:me:hash:cdrwa",
)
@click.option("-s", "sequential", is_flag=True, help="With ten digits behind its name that only rise.")
@click.option("-e", "ephemeral", is_flag=True, help="It ends with this session.")
@click.option("-c", "container", is_flag=True, help="It is deleted some time after its last child.")
@click.option("-t", "ttl", type=click.IntRange(1), metavar="MS", help="It is deleted when unused so long.")
@click.argument("path", type=PATH)
@click.argument("data", default="")
@click.argument("acl", type=ACL, required=False)
async def create(
    shell: Shell,
    sequential: bool,
    ephemeral: bool,
    container: bool,
    ttl: int | None,
    path: str,
    data: str,
    acl: tuple[Acl, ...] | None,
) -> Result:
    """Make a znode.

    Without an ACL, all is permitted to all.
    """
    if ephemeral + container + (ttl is not None) > 1 or (container and sequential):
        raise click.UsageError("only one of -e, -c and -t goes, and -c does not go with -s")
    client = await shell.connected()
    try:
        created = await client.create(
            path,
            to_bytes(data),
            acl=acl,
            sequential=sequential,
            ephemeral=ephemeral,
            container=container,
            ttl=ttl / 1000 if ttl is not None else None,
        )
    except NoNode:
        above = path.rpartition("/")[0] or "/"
        raise NoParent(path, above) from None
    return Result({"path": created.path, "stat": stats.json(created.stat)}, f"Created {created.path}")


@command("set", "set /app/config 'retries = 4'", "set -v 2 /app/config 'retries = 5'", "set -- /app -1")
@click.option("-s", "with_stat", is_flag=True, help="Print its stat.")
@_version
@click.argument("path", type=PATH)
@click.argument("data")
async def set_data(shell: Shell, with_stat: bool, version: int, path: str, data: str) -> Result | None:
    """Change a znode's data."""
    client = await shell.connected()
    stat = await client.set(path, to_bytes(data), version)
    if not (with_stat or shell.output.as_json):
        return None
    return Result({"path": path, "stat": stats.json(stat)}, stats.lines(stat), lambda: stats.styled(stat))


@command("delete", "delete /app/config", "delete -v 3 /app/config")
@_version
@click.argument("path", type=PATH)
async def delete(shell: Shell, version: int, path: str) -> None:
    """Delete a znode that has no children."""
    await (await shell.connected()).delete(path, version)


@command("deleteall", "deleteall /app")
@click.argument("path", type=PATH)
async def deleteall(shell: Shell, path: str) -> None:
    """Delete a znode and all below it."""
    await (await shell.connected()).delete(path, recursive=True)
