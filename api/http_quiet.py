"""Keeps aiohttp quiet: about its version, and in the log about what strangers send."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from aiohttp import web_response
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    Adapter = logging.LoggerAdapter[logging.Logger]
else:
    Adapter = logging.LoggerAdapter

# On every answer, also those to malformed requests, which no handler or middleware sees.
web_response.SERVER_SOFTWARE = "znoded"  # type: ignore[misc,attr-defined]


class Quiet(Adapter):
    """A logger for aiohttp's runners: a malformed request is one line for who debugs, no traceback."""

    def log(self, level: int, msg: object, *args: object, exc_info: object = None, **more: object) -> None:
        """As of a Logger."""
        if isinstance(exc_info, HttpProcessingError):
            self.logger.debug("malformed request from %s: %s", args[0] if args else "?", exc_info.message)
        else:
            self.logger.log(level, msg, *args, exc_info=exc_info, **more)

    def process(
        self, msg: object, kwargs: MutableMapping[str, object]
    ) -> tuple[object, MutableMapping[str, object]]:
        """Nothing is added."""
        return msg, kwargs
