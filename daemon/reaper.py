"""Deletes empty containers and TTL znodes whose time is over, on the server that leads."""

from __future__ import annotations

import asyncio
from time import time
from typing import Final

from ..storage import ops
from ..storage.jute import pack_buffer
from ..storage.znode import CONTAINER, TAIL, TAIL_SIZE
from .config import Config
from .server import Server

_SLICE: Final = 1000


class Reaper:
    """Looks at every container and TTL znode once an interval (ZooKeeper's ContainerManager)."""

    def __init__(self, config: Config, server: Server) -> None:
        self._config = config
        self._server = server

    async def run(self) -> None:
        """Go on until cancelled."""
        pause = 60 / self._config.container_max_per_minute
        while True:
            await asyncio.sleep(self._config.container_check_ms / 1000)
            for count, path in enumerate(self._server.state.mortals()):
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
                if self._server.sessions.led and self._is_due(path):
                    self._server.propose(ops.DELETE_CONTAINER, pack_buffer(path))
                    await asyncio.sleep(pause)

    def _is_due(self, path: bytes) -> bool:
        record = self._server.state.node(path)
        if record is None:
            return False
        tail = TAIL.unpack_from(record, len(record) - TAIL_SIZE)
        children, creates, kind = tail[9], tail[12], tail[13]
        age = int(time() * 1000) - int(tail[3])
        if children:
            return False
        if kind == CONTAINER:
            unused = self._config.container_max_never_used_ms
            return creates != 0 or (unused != 0 and age > unused)
        return age > self._server.state.ttl(path)
