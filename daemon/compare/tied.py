"""Ties a process that is started to the one that starts it, which may be killed at any time."""

from __future__ import annotations

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Found before a fork, behind which as little as possible should happen.
_prctl: Final = ctypes.CDLL(None).prctl


def end_with_parent() -> None:
    """For Popen's preexec_fn: the process is killed once the thread that starts it is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
