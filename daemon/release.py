"""Which znoded this is: its version, and whether it is compiled."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from ..storage import znode

COMPILED: Final = Path(znode.__file__).suffix != ".py"
"""setup.py compiles all of a request's way, or none of it."""


def release() -> str:
    """As setup.cfg has it: 0.1.0."""
    try:
        return version(__name__.partition(".")[0])
    except PackageNotFoundError:
        return "0+uninstalled"


def told() -> str:
    """What a person who reports a fault or a figure should quote."""
    code = "compiled" if COMPILED else "not compiled"
    return f"znoded {release()}, {code}, {platform.python_implementation()} {platform.python_version()}"
