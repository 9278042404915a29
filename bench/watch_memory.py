"""Measures what a million watches take: bytes a watch, the path's own bytes included.

Every watch comes with a path object of its own, as a request brings it. Run as a script.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import Final

from znoded.storage.watches import CHILD, DATA, PERSISTENT, RECURSIVE, Watches

GOAL: Final = 200

CASES: Final[list[tuple[str, int, int, bool, tuple[int, ...]]]] = [
    ("1 watcher, 1,000,000 paths", 1, 1_000_000, False, (DATA,)),
    ("1,000 watchers, 1,000 paths each", 1_000, 1_000, False, (DATA,)),
    ("1,000 watchers, the same 1,000 paths", 1_000, 1_000, True, (DATA,)),
    ("100,000 watchers, the same 10 paths", 100_000, 10, True, (DATA,)),
    ("2 watchers, the same 500,000 paths", 2, 500_000, True, (DATA,)),
    ("8 watchers, the same 125,000 paths", 8, 125_000, True, (DATA,)),
    ("9 watchers, the same 111,111 paths", 9, 111_111, True, (DATA,)),
    ("data and child, 1 watcher, 500,000 paths", 1, 500_000, False, (DATA, CHILD)),
    ("persistent, 1 watcher, 1,000,000 paths", 1, 1_000_000, False, (PERSISTENT,)),
    ("recursive, 1 watcher, 1,000,000 paths", 1, 1_000_000, False, (RECURSIVE,)),
]
"""(name, watchers, paths of each, whether they are the same ones, kinds of watch on each)"""


def watch(watchers: int, paths: int, shared: bool, kinds: tuple[int, ...]) -> Watches[int]:
    """Set the watches of a case."""
    table: Watches[int] = Watches()
    for watcher in range(watchers):
        first = 0 if shared else watcher * paths
        for number in range(first, first + paths):
            for kind in kinds:
                table.add(b"/services/backend/node-%07d" % number, watcher, kind)
    return table


def main() -> None:
    """Print a line for each case."""
    print(f"{'':42} {'MB':>7} {'bytes a watch':>14} {'peak MB':>8}")
    for name, watchers, paths, shared, kinds in CASES:
        gc.collect()
        tracemalloc.start()
        table = watch(watchers, paths, shared, kinds)
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        each = size / (watchers * paths * len(kinds))
        verdict = "" if each <= GOAL else f"  above the goal of {GOAL}"
        print(f"{name:42} {size / 1e6:7.1f} {each:14.1f} {peak / 1e6:8.1f}{verdict}")
        del table


if __name__ == "__main__":
    main()
