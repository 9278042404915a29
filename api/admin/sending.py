"""Sends an answer over HTTP in chunks, as fast as its client reads and no faster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from . import words

_log = logging.getLogger(__name__)


async def send(request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]) -> bool:
    """Each chunk goes when the one before has gone out; to HEAD, none does. A client that reads nothing for
    PATIENCE seconds is dropped: then False. Raises ConnectionError if it has left."""
    if request.transport is not None:
        request.transport.set_write_buffer_limits(*words.FULL)  # so that drained means: everything is out
    writer = await response.prepare(request)
    if writer is None or request.method == "HEAD":
        return True
    try:
        async for chunk in chunks:
            async with asyncio.timeout(words.PATIENCE):
                await response.write(chunk)
                await writer.drain()
        async with asyncio.timeout(words.PATIENCE):
            await response.write_eof()
    except TimeoutError:
        _log.warning("%s does not read its answer: closed", request.remote)
        if request.transport is not None:
            request.transport.abort()
        return False
    return True
