"""The command `import`: a subtree from a file, also after an interruption."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from .archive import Entry, Reader
from .arguments import PATH
from .commands import command
from .filling import Existing, Filling, Outcome, existing_options, told
from .folders import state_folder
from .output import Json, Result
from .progress import bar
from .subtree import AT_ONCE

if TYPE_CHECKING:
    from .shell import Shell

_ENOUGH: Final = 4 << 20
"""Bytes of data after which no more znodes are made at once."""


@command(
    "import",
    "import app.jsonl",
    "import app.cbor /app-copy",
    "import --update app.jsonl",
    "import --skip app.jsonl",
)
@existing_options
@click.option("--no-acl", is_flag=True, help="Let all do all, whatever ACLs the file has.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("path", type=PATH, required=False)
async def import_(
    shell: Shell, existing: Existing | None, no_acl: bool, file: str, path: str | None
) -> Result:
    """Make again what a file of `export` has.

    It goes below PATH, or where it was. If PATH exists already, nothing is done, but with --update or --skip.
    An import that was interrupted goes on where it stopped when it is begun again.
    """
    with Path(file).open("rb") as stream:  # noqa: ASYNC230
        reader = await asyncio.to_thread(Reader, stream, file)
        root = path or reader.root
        entries = iter(reader)
        client = await shell.connected()
        filling = Filling(client, root, existing or Existing.REFUSE)
        record = _Record(stream, f"{shell.place} {root}")
        done = record.read()
        again = done is not None and await client.exists(root) is not None
        if not again or done is None:  # never begun, or all that was made is gone
            done = 0
            await filling.begin()
        elif done:
            shell.output.tell(f"Going on behind {done:,} znodes, where this import was interrupted")
        await asyncio.to_thread(deque, islice(entries, done), 0)
        before = done
        record.write(done)
        with bar(shell.output, f"Importing {file}", record.size) as advanced:
            while batch := await asyncio.to_thread(_batch, entries, no_acl):
                await filling.take(batch, again=again)
                again = False
                done += len(batch)
                record.write(done)
                if record.size:
                    advanced(stream.tell())
        record.drop()
    counted = {str(each): filling.outcomes[each] for each in Outcome}
    value: dict[str, Json] = {"path": root, "file": file, **counted, "before": before}
    return Result(value, f"Imported {told(filling.outcomes)} to {root}")


def _batch(entries: Iterator[Entry], no_acl: bool) -> list[Entry]:
    """As many as are made at once."""
    found: list[Entry] = []
    size = 0
    for entry in islice(entries, AT_ONCE):
        found.append(replace(entry, acl=None) if no_acl else entry)
        size += len(entry.data)
        if size > _ENOUGH:
            break
    return found


class _Record:
    """How far the import of a file has come, kept until it is complete; of what is no file nothing is.

    size: of the file in bytes, or None.
    """

    def __init__(self, stream: IO[bytes], target: str) -> None:
        """target: which servers and path it goes to."""
        found = os.fstat(stream.fileno())
        self.size = found.st_size if stat.S_ISREG(found.st_mode) else None
        about = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, target]
        name = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        self._path = state_folder() / "imports" / name

    def read(self) -> int | None:
        """How many znodes are made; None if it was never begun."""
        with suppress(OSError, ValueError):
            return int(self._path.read_text())
        return None

    def write(self, done: int) -> None:
        """So many are."""
        if self.size is None:
            return
        part = self._path.with_suffix(".part")
        with suppress(OSError):  # without a place to keep it, there is still --skip
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_text(str(done))
            part.replace(self._path)

    def drop(self) -> None:
        """All are."""
        with suppress(OSError):
            self._path.unlink()
