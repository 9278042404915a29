"""Guards the admin port's HTTP: asks for the token, and keeps web pages of other sites away.

The latter are what a browser on the same host, or in the same network, may have open: they could send
requests here (CSRF), and read the answers if a name of theirs leads here (DNS rebinding). Programs that
are no browsers send none of the headers that are looked at.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..browsers import is_of_another_site
from .view import ServerView

_SECRET: Final = frozenset(("snapshot", "snap"))
"""Commands that give away what ACLs protect: ZooKeeper asks for a user with all rights on the root."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_QUIET: Final = 60.0
"""Seconds between two log lines about wrong tokens."""

_log = logging.getLogger(__name__)


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """A signal (on_response_prepare): no answer is kept, guessed at or framed."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def guard(server: ServerView) -> Middleware:
    """A middleware that lets through what server.access allows."""
    access = server.access
    wrong = _Wrong()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_of_another_site(request.method, request.headers):
            return _refused(403, "a page of another site asked for this: open it yourself")
        if access.token is None:
            if not all(access.means_us(host) for host in request.headers.getall("Host", ()) if host):
                return _refused(
                    421,
                    "this server goes by other names: ask for it by address, as localhost, or by the name in"
                    " admin.serverAddress",
                )
        elif not access.proves(authorization := request.headers.get("Authorization", "")):
            if authorization:
                server.count_auth_failure()
                wrong.tell(request.remote)
            response = _refused(401, "this needs the token (admin.tokenFile): Authorization: Bearer TOKEN")
            response.headers["WWW-Authenticate"] = 'Basic realm="znoded"'
            return response
        if access.token is None and not access.unauthenticated and _is_secret(request):
            return _refused(
                403,
                "this tells everything, whatever the ACLs say: it needs admin.tokenFile, or"
                " admin.allowUnauthenticated=true",
            )
        return await handler(request)

    return guarded


class _Wrong:
    """Logs wrong tokens: the first, then what came of them once a minute."""

    def __init__(self) -> None:
        self._untold = 0
        self._quiet_until = 0.0

    def tell(self, remote: str | None) -> None:
        self._untold += 1
        now = monotonic()
        if now >= self._quiet_until:
            _log.warning("wrong tokens on the admin port: %d, the last from %s", self._untold, remote)
            self._untold = 0
            self._quiet_until = now + _QUIET


def _is_secret(request: web.Request) -> bool:
    return not _SECRET.isdisjoint(request.path.split("/"))


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"error": error}, status=status)
