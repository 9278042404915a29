"""The commands about who may do what: getAcl, setAcl, addauth, whoami."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import NoNode
from . import stats
from .arguments import ACL, PATH, to_bytes, written
from .commands import command
from .output import Json, Result

if TYPE_CHECKING:
    from ...storage.acl import Acl
    from .shell import Shell


@command("getAcl", "getAcl /app", "getAcl -s /app")
@click.option("-s", "with_stat", is_flag=True, help="Its stat, too.")
@click.argument("path", type=PATH)
async def get_acl(shell: Shell, with_stat: bool, path: str) -> Result:
    """Print a znode's ACL, an entry a line, as setAcl takes them."""
    entries, stat = await (await shell.connected()).acl(path)
    lines = [written(entry) for entry in entries]
    value: dict[str, Json] = {"path": path, "acl": lines}
    if with_stat:
        value["stat"] = stats.json(stat)
        lines.append(stats.lines(stat))
    return Result(value, "\n".join(lines))


@command(
    "setAcl",
    "setAcl /app world:anyone:r",
    "setAcl -R /app auth::cdrwa",
    "setAcl -v 0 /app world:anyone:r,ip:10.0.0.0/8:cdrwa",
)
@click.option("-s", "with_stat", is_flag=True, help="Print its stat.")
@click.option(
    "-v", "version", type=int, default=-1, metavar="VERSION", help="Only if its ACL has this version."
)
@click.option("-R", "recursive", is_flag=True, help="Of all below it, too.")
@click.argument("path", type=PATH)
@click.argument("acl", type=ACL)
async def set_acl(
    shell: Shell, with_stat: bool, version: int, recursive: bool, path: str, acl: tuple[Acl, ...]
) -> Result | None:
    """Change a znode's ACL: SCHEME:ID:PERMS, with commas between entries.

    Schemes are world (id anyone), auth (whoever you are, no id), digest (user:hash), ip, and x509.
    Permissions are c, d, r, w and a: create and delete children, read, write, change the ACL.
    """
    client = await shell.connected()
    below = [each async for each in client.walk(path)][1:] if recursive else []
    stat = await client.set_acl(path, acl, version)
    for each in below:
        try:
            await client.set_acl(each, acl, version)
        except NoNode:  # deleted meanwhile
            continue
    if not (with_stat or shell.output.as_json):
        return None
    return Result({"path": path, "stat": stats.json(stat)}, stats.lines(stat), lambda: stats.styled(stat))


@command("addauth", "addauth digest me:secret")
@click.argument("scheme")
@click.argument("credentials", default="")
async def add_auth(shell: Shell, scheme: str, credentials: str) -> None:
    """Show an identity: a user and a password.

    They last as long as the shell, and are not kept in its history.
    """
    await shell.add_auth(scheme, to_bytes(credentials))


@command("whoami", "whoami")
async def whoami(shell: Shell) -> Result:
    """Tell what the server knows this client by."""
    found = await (await shell.connected()).whoami()
    lines = ["Auth scheme: User", *(f"{scheme}: {user}" for scheme, user in found)]
    return Result([{"scheme": scheme, "id": user} for scheme, user in found], "\n".join(lines))
