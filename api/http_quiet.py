"""Keeps aiohttp quiet: about its version, and in the log about what strangers send."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web_response
from aiohttp.http_exceptions import HttpProcessingError

# On every answer, also those to malformed requests, which no handler or middleware sees.
web_response.SERVER_SOFTWARE = "znoded"  # type: ignore[attr-defined]


class Quiet(logging.LoggerAdapter[logging.Logger]):
    """A logger for aiohttp's runners: a malformed request, or a client that is gone before its answer, is one
    line for who debugs, no traceback."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **more: Any) -> None:
        """As of a Logger; aiohttp's first argument is the client's address."""
        if isinstance(exc_info, HttpProcessingError):
            self.debug("malformed request from %s: %s", args[0], exc_info.message)
        elif isinstance(exc_info, ConnectionError):
            self.debug("a client is gone before its answer: %s", exc_info)
        else:
            super().exception(msg, *args, exc_info=exc_info, **more)
