"""Writes a running server's answers into the scripts: `python -m tests.zookeeper.record --server HOST:PORT`.

Meant for a real ZooKeeper, freshly started with zoo.cfg beside this file (and a dataDir and clientPort
of its own) and -Dznode.container.checkIntervalMs=100. Prints the names of the scripts that changed.
differences.txt holds znoded's own answers and is left out unless named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .script import play, scripts


def main() -> None:
    arguments = argparse.ArgumentParser(description="record a server's answers in the scripts")
    arguments.add_argument("--server", default="127.0.0.1:2181", metavar="HOST:PORT")
    arguments.add_argument("scripts", nargs="*", type=Path)
    given = arguments.parse_args()
    host, _, port = given.server.rpartition(":")
    for path in given.scripts or [s for s in scripts() if s.stem != "differences"]:
        before = path.read_text()
        after = play(before, (host, int(port)))
        if after != before:
            path.write_text(after)
            print(path.name)


if __name__ == "__main__":
    main()
