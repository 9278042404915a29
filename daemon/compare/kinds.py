"""The kinds of ensembles that are compared, and how a server of each is configured and started."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

_JAR: Final = Path("/usr/share/java/zookeeper.jar")
"""Debian's; its manifest names what else is needed."""
_SHARED: Final = """\
tickTime=500
initLimit=40
syncLimit=4
maxClientCnxns=0
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr,mntr
"""
"""Who is silent for 2 s is given up: syncLimit ticks."""
_LOG4J: Final = """\
log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%m%n
"""


class Missing(Exception):
    """It can't be run here; says what to do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """label: as it is told; settings: lines of zoo.cfg beside those that all share; command: starts a server
    by its folder and zoo.cfg."""

    label: str
    settings: str
    command: Callable[[Path, Path], list[str]]

    def config(self, data: Path, port: int, members: str) -> str:
        """A zoo.cfg. members: the lines server.N."""
        return f"{_SHARED}{self.settings}dataDir={data}\nclientPort={port}\n{members}"


def _znoded(_folder: Path, config: Path) -> list[str]:
    start = "from znoded.daemon.cli import main; main()"
    return [sys.executable, "-P", "-c", start, "start", "--config", str(config)]


def _zookeeper(folder: Path, config: Path) -> list[str]:
    (folder / "log4j.properties").write_text(_LOG4J)
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return ["java", "-Xmx1g", "-cp", f"{folder}:{_JAR}", main, str(config)]


BACKENDS: Final = {name: Kind(name, f"consensus={name}\n", _znoded) for name in ("zab", "raft")}
ZOOKEEPER: Final = "zookeeper"
_MOST: Final = 3
"""And ZooKeeper: the page has so many colours."""


def own(label: str) -> bool:
    """Whether that is one of ours."""
    return label.split()[0] in BACKENDS


def kinds(backends: Sequence[str], against: str | None) -> tuple[Kind, ...]:
    """In their order; one that is named again gets a label of its own. Raises Missing."""
    made: list[Kind] = []
    if len(backends) > _MOST:
        raise Missing(f"{len(backends)} backends are too many to tell apart: {_MOST} can take turns")
    for at, name in enumerate(backends):
        if name not in BACKENDS:
            raise Missing(f"there is no backend {name!r}, but {' and '.join(BACKENDS)}")
        again = backends[:at].count(name)
        made.append(replace(BACKENDS[name], label=f"{name} {again + 1}") if again else BACKENDS[name])
    if against == ZOOKEEPER:
        if not (_JAR.exists() and shutil.which("java")):
            raise Missing(f"ZooKeeper is not installed: it takes {_JAR} and java; apt-get install zookeeper")
        made.append(Kind("ZooKeeper", "", _zookeeper))
    return tuple(made)
