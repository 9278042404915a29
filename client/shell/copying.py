"""The command `cp`: a znode or a subtree, also to another service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .archive import Entry
from .arguments import PATH
from .commands import command
from .elsewhere import elsewhere, to_option
from .filling import Existing, Filling, Outcome, Reading, existing_options, told
from .output import Json, Result
from .progress import bar, shows
from .subtree import AT_ONCE

if TYPE_CHECKING:
    from .shell import Shell


@command(
    "cp",
    "cp /app/config /app/config.old",
    "cp -r /app /app-copy",
    "cp -r --to h2:2181 /app /app",
    "cp -r --update --acl --to ws://me:secret@h2:2181 /app /app",
)
@click.option("-r", "recursive", is_flag=True, help="All below it, too.")
@click.option("--acl", "with_acl", is_flag=True, help="With ACLs.")
@existing_options
@to_option
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
async def cp(
    shell: Shell,
    recursive: bool,
    with_acl: bool,
    existing: Existing | None,
    to: str | None,
    source: str,
    target: str,
) -> Result:
    """Copy a znode, or a subtree, to the path TARGET.

    If TARGET exists already, nothing is done, but with --update or --skip. Ephemerals are left out;
    containers and znodes with a TTL become plain ones.
    """
    if to is None and f"{target}/".startswith(f"{source.rstrip('/')}/"):
        raise click.UsageError(f"{target} is {source}, or within it")
    client = await shell.connected()
    async with elsewhere(shell, to) as (other, _):
        reading = Reading(client, source, chroot=shell.address.root, with_acl=with_acl)
        filling = Filling(other, target, existing or Existing.REFUSE)
        if not recursive:
            entry, _ = await reading.read(source)
            if entry is None:
                raise click.ClickException(f"{source} is an ephemeral: they are not copied")
            await filling.begin()
            await filling.take([entry])
        else:
            await client.get(source)  # before anything is made
            await filling.begin()
            total = await client.count(source) + 1 if shows(shell.output) else None
            with bar(shell.output, f"Copying {source}", total) as advanced:
                batch: list[Entry] = []
                async for entry in reading.entries():
                    batch.append(entry)
                    if len(batch) == AT_ONCE:
                        await filling.take(batch)
                        batch = []
                        advanced(reading.count)
                await filling.take(batch)
    said = f"Copied {told(filling.outcomes)}"
    if reading.left_out:
        said += f"; left out {reading.left_out:,} ephemerals"
    value: dict[str, Json] = {"path": source, "to": target}
    value |= {str(each): filling.outcomes[each] for each in Outcome}
    value["ephemerals_left_out"] = reading.left_out
    return Result(value, said)
