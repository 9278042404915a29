"""Says what the measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def described(folder: Path) -> dict[str, str]:
    """What figures depend on. folder: where the servers write."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "disk": file_system(folder),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def busy() -> bool:
    """Whether others have kept half of the processors at work for the last minute, or more."""
    return os.getloadavg()[0] > len(os.sched_getaffinity(0)) / 2


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
