"""The command `diff`: what differs between two subtrees, of one service or of two."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ..errors import NoNode
from .archive import Entry
from .arguments import PATH
from .commands import command
from .elsewhere import elsewhere, to_option
from .filling import Reading
from .output import Json, Result, printable, size
from .subtree import each

if TYPE_CHECKING:
    from rich.text import Text

    from .shell import Shell

DIFFERENT = 1
"""The exit code if they do."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two: what is read of it, and where."""

    reading: Reading
    root: str

    def path(self, below: str) -> str:
        """below: as `/a/b`, or `/` for the root."""
        return self.root.rstrip("/") + below if below != "/" else self.root

    async def read(self, below: str) -> tuple[Entry | None, list[str]]:
        """None if it is not there, or an ephemeral."""
        with suppress(NoNode):
            return await self.reading.read(self.path(below))
        return None, []


@command(
    "diff",
    "diff /app /app-copy",
    "diff --to h2:2181 /app",
    "diff --acl --to h2:2181/backup /app /app",
)
@click.option("--acl", "with_acl", is_flag=True, help="Compare ACLs, too.")
@to_option
@click.argument("path", type=PATH)
@click.argument("other", type=PATH, required=False)
async def diff(shell: Shell, with_acl: bool, to: str | None, path: str, other: str | None) -> None:
    """Tell what differs between two subtrees; exit code 1 if anything does.

    `-` is only in the first, `+` only in the second (all below it, too), `~` differs in its data, or its ACL.
    Ephemerals are left out. With --to, OTHER is a path of the other service, and may be the same.
    """
    if other is None:
        if to is None:
            raise click.UsageError("give a second path, or --to")
        other = path
    client = await shell.connected()
    async with elsewhere(shell, to) as (second, chroot):
        left = _Side(Reading(client, path, chroot=shell.address.root, with_acl=with_acl), path)
        right = _Side(Reading(second, other, chroot=chroot, with_acl=with_acl), other)
        for side, asked in ((left, client), (right, second)):
            if await asked.exists(side.root) is None:
                raise NoNode(side.root)

        async def compare(below: str) -> tuple[Result | None, list[str]]:
            (mine, names), (theirs, others) = await asyncio.gather(left.read(below), right.read(below))
            if mine is None or theirs is None:
                if theirs is not None:
                    return _only("+", "second", right.path(below)), []
                return _only("-", "first", left.path(below)) if mine is not None else None, []
            return _changed(left.path(below), mine, theirs), sorted({*names, *others})

        differ = False
        async for _, found in each("/", compare):
            if found is not None:
                differ = True
                shell.output.show(found)
    if differ:
        raise click.exceptions.Exit(DIFFERENT)


def _only(sign: str, side: str, path: str) -> Result:
    return Result({"only": side, "path": path}, f"{sign} {path}", lambda: _styled(sign, path))


def _changed(path: str, mine: Entry, theirs: Entry) -> Result | None:
    what: list[str] = []
    said: list[str] = []
    if mine.data != theirs.data:
        what.append("data")
        said.append(f"data ({size(len(mine.data))}, {size(len(theirs.data))})")
    if mine.acl != theirs.acl:
        what.append("acl")
        said.append("ACL")
    if not what:
        return None
    value: dict[str, Json] = {"differs": what, "path": path}
    text = f"{path}: {', '.join(said)}"
    return Result(value, f"~ {text}", lambda: _styled("~", text))


def _styled(sign: str, text: str) -> Text:
    from rich.text import Text

    return Text(f"{sign} {printable(text)}", {"+": "green", "-": "red"}.get(sign, "yellow"))
