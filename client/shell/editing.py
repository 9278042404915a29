"""The command `edit`: a znode's data in an editor."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..errors import BadVersion, NoNode
from . import running, stats
from .arguments import PATH
from .commands import command
from .output import Json, Result

if TYPE_CHECKING:
    from .shell import Shell

_LONGEST: Final = 200
"""Bytes of a file's name."""


@command("edit", "edit /app/config")
@click.argument("path", type=PATH)
async def edit(shell: Shell, path: str) -> Result:
    """Change a znode's data in $VISUAL or $EDITOR (else vi).

    They are only changed if nobody else has done so meanwhile; otherwise, what you typed is kept in a file.
    An end of line that the editor puts behind data without one is left out.
    """
    data, stat = await (await shell.connected()).get(path)
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    running.find(shell, words[0])
    folder = Path(tempfile.mkdtemp(prefix="znode-"))  # nobody else may look into it
    name = path.rpartition("/")[2]
    file = folder / (name if 0 < len(name.encode()) < _LONGEST else "data")
    file.touch(mode=0o600)
    file.write_bytes(data)
    saved = False
    try:
        with shell.patient():
            code, _ = await running.run(shell, [*words, str(file)])
        if code:
            raise click.ClickException(f"{words[0]} has ended with {code}: {path} is as it was")
        typed = _typed(file, data)
        if typed == data:
            return Result({"path": path, "changed": False}, f"{path} is as it was")
        client = await shell.connected()  # the session may have expired meanwhile
        now = await client.exists(path)
        if now is None:
            raise NoNode(path)
        if now.czxid != stat.czxid:  # it was made anew, and its versions begin again
            raise BadVersion(path)
        now = await client.set(path, typed, stat.version)
        saved = True
    finally:
        if saved or _typed(file, data) == data:
            shutil.rmtree(folder)
        else:
            shell.output.tell(f"What you typed is kept in {file}")
    value: dict[str, Json] = {"path": path, "changed": True, "stat": stats.json(now)}
    return Result(value, f"Changed {path} to version {now.version}")


def _typed(file: Path, data: bytes) -> bytes:
    """What is in the file now, without an end of line that only the editor wanted."""
    try:
        found = file.read_bytes()
    except FileNotFoundError:  # as good as if nothing was typed
        return data
    return found.removesuffix(b"\n") if not data.endswith(b"\n") else found
