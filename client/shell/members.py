"""The commands about an ensemble's servers: config, reconfig."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from . import stats
from .commands import command
from .output import Json, Result

if TYPE_CHECKING:
    from ..values import Stat
    from .shell import Shell

_CONFIG: Final = "/zookeeper/config"
_MEMBER: Final = re.compile(r"\s*(server\.\d+\s*=.*?)\s*")
_CLIENT: Final = re.compile(r"server\.\d+=(?P<host>\[[^]]*\]|[^:]*):[^;]*;(?:(?P<bound>.*):)?(?P<port>\d+)")


@command("config", "config", "config -c")
@click.option("-c", "clients", is_flag=True, help="HOST:PORT,... as clients are given them.")
@click.option("-w", "watch", is_flag=True, help="Print the next change, once.")
@click.option("-s", "with_stat", is_flag=True, help="Its stat, too.")
async def config(shell: Shell, clients: bool, watch: bool, with_stat: bool) -> Result:
    """Print which servers form the ensemble."""
    client = await shell.whole()
    once = await shell.watched.once(client, _CONFIG, "data") if watch else None
    data, stat = await client.get(_CONFIG)
    if once is not None:
        once.begin(stat)
    text = data.decode(errors="replace")
    value: dict[str, Json] = {"config": text}
    if clients:
        text = ",".join(addresses(text))
        value = {"servers": text}
    return _result(value, text, stat if with_stat else None)


@command("reconfig", "reconfig -remove 3", "reconfig -add server.4=h4:2888:3888;2181")
@click.option("-s", "with_stat", is_flag=True, help="The stat of the new configuration, too.")
@click.option("-v", "version", metavar="HEX", default="", help="Only if the configuration has this version.")
@click.option("-file", "file", type=click.Path(path_type=Path), help="All members, as zoo.cfg names them.")
@click.option("-members", "members", default="", metavar="server.N=...,", help="All members.")
@click.option("-add", "joining", default="", metavar="server.N=...,", help="Members that come.")
@click.option("-remove", "leaving", default="", metavar="N,...", help="Members that go.")
async def reconfig(
    shell: Shell, with_stat: bool, version: str, file: Path | None, members: str, joining: str, leaving: str
) -> Result:
    """Change which servers form the ensemble, where that is enabled."""
    if (file is not None) + bool(members) + bool(joining or leaving) != 1:
        raise click.UsageError("either -file, or -members, or -add and -remove")
    if file is not None:
        lines = (await asyncio.to_thread(file.read_text)).splitlines()
        members = ",".join(found[1] for line in lines if (found := _MEMBER.fullmatch(line)))
    try:
        guard = int(version, 16) if version else -1
    except ValueError:
        raise click.UsageError(f"-v {version!r} is no hexadecimal number") from None
    client = await shell.connected()
    data, stat = await client.reconfig(joining, leaving, members, guard)
    text = data.decode(errors="replace")
    return _result({"config": text}, f"Committed new configuration:\n{text}", stat if with_stat else None)


def addresses(text: str) -> list[str]:
    """host:port of each server's client port; where that is bound to one address, that one
    (ConfigUtils.getClientConfigStr)."""
    found: list[str] = []
    for line in text.splitlines():
        if match := _CLIENT.match(line):
            bound = match["bound"]
            host = match["host"] if not bound or bound in ("0.0.0.0", "[::]") else bound  # noqa: S104
            found.append(f"{host}:{match['port']}")
    return found


def _result(value: dict[str, Json], text: str, stat: Stat | None) -> Result:
    if stat is None:
        return Result(value, text)
    return Result({**value, "stat": stats.json(stat)}, f"{text}\n{stats.lines(stat)}")
