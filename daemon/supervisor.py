"""Tells systemd how the process is: ready, its status in words, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

log = logging.getLogger(__name__)

_STEP: Final = 1.0
"""Seconds between two looks at the status."""


class Supervisor:
    """Whoever started the process and wants to hear of it; nobody, unless NOTIFY_SOCKET names a socket."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """environment: with NOTIFY_SOCKET, and for a watchdog WATCHDOG_USEC and WATCHDOG_PID."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._step = _STEP
        self._deaf = False
        self._watched = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        if self._watched and (limit := environment.get("WATCHDOG_USEC", "")).isdecimal() and int(limit):
            self._step = min(_STEP, int(limit) / 1e6 / 2)  # as sd_watchdog_enabled(3) advises
        else:
            self._watched = False

    def reloading(self) -> None:
        """It has begun to read anew what it serves with."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """It has done that, or has gone on with what it had."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """It has begun to end."""
        self._tell("STOPPING=1")

    async def attend(self, status: Callable[[], str]) -> None:
        """It serves from now on: say so, then say what changes. The watchdog hears of the event loop
        as long as that turns."""
        if not self._address:
            return
        told = status()
        self._tell(f"READY=1\nSTATUS={told}")
        while True:
            if self._watched:
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self._step)
            if (now := status()) != told:
                told = now
                self._tell(f"STATUS={told}")

    def _tell(self, what: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.connect(self._address)
                sender.send(what.encode())
            self._deaf = False
        except OSError as error:
            if not self._deaf:  # once, not with every sign of life
                log.warning("NOTIFY_SOCKET does not take %s: %s", what.partition("\n")[0], error)
            self._deaf = True
