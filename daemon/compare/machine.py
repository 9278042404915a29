"""Says what the measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from ..release import told

_IN_MEMORY: Final = ("tmpfs", "ramfs")


def described(folder: Path) -> dict[str, str]:
    """What figures depend on. folder: where the servers write."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "code": told(),
        "disk": file_system(folder),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def doubts(folder: Path) -> list[str]:
    """Why figures that are measured now, with data in that folder, would say little. In sentences."""
    found = []
    if (kind := file_system(folder)) in _IN_MEMORY:
        found.append(
            f"The data are in memory ({kind}), where a sync costs nothing: name a folder on a disk by --data."
        )
    # Others have kept half of the processors at work for the last minute, or more.
    if os.getloadavg()[0] > len(os.sched_getaffinity(0)) / 2:
        found.append("The machine had other work before this began: measure again when it is quiet.")
    return found


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    types = {Path(target): kind for _, target, kind, *_ in mounts}
    return next(types[place] for place in (folder.resolve(), *folder.resolve().parents) if place in types)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
