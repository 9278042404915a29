"""Where the shell keeps what outlives it."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Where the user's programs keep their state (XDG_STATE_HOME); it need not exist yet."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "znode"
