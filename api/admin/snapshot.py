"""`/commands/snapshot`: a backup of the state, streamed; by its names, query and headers ZooKeeper's.

It goes out in slices between other requests, as fast as the client reads. One at a time: each keeps the
engine from reusing space.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing
from time import monotonic
from types import MappingProxyType
from typing import Final

from aiohttp import web

from .sending import send
from .view import BackupView, ServerView

NAMES: Final = ("snapshot", "snap")
METHODS: Final = ("GET", "HEAD")

_log = logging.getLogger(__name__)


class Snapshots:
    """Answers with backups."""

    def __init__(self, server: ServerView) -> None:
        self._server = server
        self._busy = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The backup, or with streaming=false only the headers that tell of it: then all is flushed."""
        if request.method not in METHODS:
            error = f"snapshot takes {' and '.join(METHODS)}, not {request.method}"
            return _answer(405, error, {"Allow": ", ".join(METHODS)})
        if not self._server.serving:
            return _answer(503, "This ZooKeeper instance is not currently serving requests")
        if self._busy:
            return _answer(429, "another snapshot is being read: wait for its end")
        self._busy = True
        try:
            try:
                made = await self._server.backup()
            except OSError as failure:
                return _answer(503, f"no snapshot: {failure}")
            with closing(made) as backup:
                told = {"last_zxid": f"{backup.zxid:#x}", "node_count": str(backup.node_count)}
                # Only a true "true" is one, as for Java's Boolean.parseBoolean.
                if request.query.get("streaming", "true").lower() != "true":
                    return _answer(200, None, told)
                return await self._stream(request, backup, told)
        finally:
            self._busy = False

    async def _stream(
        self, request: web.Request, backup: BackupView, told: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=told)
        response.content_type = "application/octet-stream"
        response.headers["Content-Disposition"] = f'attachment; filename="znoded-{backup.zxid:x}.backup"'
        if request.method == "HEAD":
            return response
        began = monotonic()
        _log.info("snapshot for %s: %d znodes, zxid %#x", request.remote, backup.node_count, backup.zxid)
        try:
            async with aclosing(_slices(backup)) as slices:
                whole = await send(request, response, slices)
        except ConnectionError:
            whole = False
        if whole:
            seconds = monotonic() - began
            size = f"{backup.rows} rows, {backup.size} bytes"
            _log.info("snapshot for %s: %s in %.1f s", request.remote, size, seconds)
        else:
            _log.warning("snapshot for %s: given up after %d bytes", request.remote, backup.size)
        return response


async def _slices(backup: BackupView) -> AsyncGenerator[bytes, None]:
    for chunk in backup:
        yield chunk
        await asyncio.sleep(0)


def _answer(
    status: int, error: str | None, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    return web.json_response({"command": NAMES[0], "error": error}, status=status, headers=headers)
