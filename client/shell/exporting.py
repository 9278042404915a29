"""The command `export`: a subtree to a file or a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from .archive import Format, Writer
from .arguments import PATH
from .commands import command
from .filling import Reading
from .output import Json, Result, size
from .progress import bar, shows

if TYPE_CHECKING:
    from .shell import Shell

_CHUNK: Final = 256 << 10
"""Bytes that are written at once."""


@command(
    "export",
    "export /app app.jsonl",
    "export /app app.cbor",
    "export --acl /app app.jsonl",
    "export /app > app.jsonl",
)
@click.option("--acl", "with_acl", is_flag=True, help="With ACLs.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([str(each) for each in Format]),
    help="Lines of JSON, or CBOR (default: by FILE's name, .cbor is CBOR).",
)
@click.argument("path", type=PATH)
@click.argument("file", type=click.Path(dir_okay=False), required=False)
async def export(
    shell: Shell, with_acl: bool, form: str | None, path: str, file: str | None
) -> Result | None:
    """Write a znode and all below it to a file, or to standard output.

    The file has its name once it is complete; only its owner may read it. Ephemerals are left out. Containers
    and znodes with a TTL come out as plain ones, as servers do not tell them apart.
    """
    writer = Writer(Format(form) if form else Format.CBOR if str(file).endswith(".cbor") else Format.JSON)
    client = await shell.connected()
    reading = Reading(client, path, chroot=shell.address.root, with_acl=with_acl)
    total = await client.count(path) + 1 if shows(shell.output) else None
    with _opened(file) as stream, bar(shell.output, f"Exporting {path}", total) as advanced:
        written = bytearray(writer.begin(path))
        async for entry in reading.entries():
            written += writer.entry(entry)
            if len(written) >= _CHUNK:
                await asyncio.to_thread(stream.write, bytes(written))
                written.clear()
                advanced(reading.count)
        written += writer.end()
        await asyncio.to_thread(stream.write, bytes(written))
        await asyncio.to_thread(stream.flush)
    said = f"Exported {reading.count:,} znodes with {size(reading.bytes)}"
    if file is not None:
        said += f" to {file}"
    if reading.left_out:
        said += f"; left out {reading.left_out:,} ephemerals"
    if file is None:
        shell.output.tell(said)
        return None
    value: dict[str, Json] = {
        "path": path,
        "file": file,
        "znodes": reading.count,
        "bytes": reading.bytes,
        "ephemerals_left_out": reading.left_out,
    }
    return Result(value, said)


@contextmanager
def _opened(file: str | None) -> Iterator[IO[bytes]]:
    """Where it is written to; a file that is there already is replaced when all is written."""
    if file is None:
        yield sys.stdout.buffer
        return
    path = Path(file).resolve()
    if path.exists() and not path.is_file():  # a pipe or a device
        with path.open("wb") as stream:
            yield stream
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
