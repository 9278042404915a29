"""A znode's stat, in the lines that zkCli prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..values import Stat
from .output import Json

if TYPE_CHECKING:
    from rich.text import Text


def lines(stat: Stat) -> str:
    """Eleven lines, `name = value` each (StatPrinter)."""
    return "\n".join(f"{name} = {value}" for name, value in _named(stat))


def styled(stat: Stat) -> Text:
    """The same for a terminal, names dimmed."""
    from rich.text import Text

    text = Text("\n").join(
        Text.assemble((f"{name} = ", "dim"), (value, "yellow" if _matters(name, value) else ""))
        for name, value in _named(stat)
    )
    return text


def json(stat: Stat) -> dict[str, Json]:
    """By ZooKeeper's names, numbers all."""
    return {
        "czxid": stat.czxid,
        "mzxid": stat.mzxid,
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": stat.ephemeral_owner,
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
        "pzxid": stat.pzxid,
    }


def _named(stat: Stat) -> list[tuple[str, str]]:
    return [
        ("cZxid", hex(stat.czxid)),
        ("ctime", _date(stat.ctime)),
        ("mZxid", hex(stat.mzxid)),
        ("mtime", _date(stat.mtime)),
        ("pZxid", hex(stat.pzxid)),
        ("cversion", str(stat.cversion)),
        ("dataVersion", str(stat.version)),
        ("aclVersion", str(stat.aversion)),
        ("ephemeralOwner", hex(stat.ephemeral_owner & (1 << 64) - 1)),
        ("dataLength", str(stat.data_length)),
        ("numChildren", str(stat.num_children)),
    ]


def _date(milliseconds: int) -> str:
    """As Java's Date.toString writes it, in the zone of this machine."""
    when = time.localtime(milliseconds / 1000)
    return time.strftime("%a %b %d %H:%M:%S %Z %Y", when)


def _matters(name: str, value: str) -> bool:
    return name == "ephemeralOwner" and value != "0x0"
