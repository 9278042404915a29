"""The live page at `/` of the admin port: the files that a browser loads, and the data that they ask for.

All of it is GET and HEAD, comes from here, and asks for nothing from elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final, TypeAlias

from aiohttp import web

from ..view import ServerView
from .data import Data, Refused

_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page/style.css": ("style.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/ask.js": ("ask.js", "text/javascript"),
    "/page/details.js": ("details.js", "text/javascript"),
    "/page/plot.js": ("plot.js", "text/javascript"),
    "/page/tree.js": ("tree.js", "text/javascript"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Beside those of admin_guard.harden."""

_DIGITS: Final = 18

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(server: ServerView) -> list[web.RouteDef]:
    """The page's routes, for an admin port's application."""
    data = Data(server)
    asked: dict[str, Callable[[web.Request], object]] = {
        "/live": lambda request: data.live(_number(request, "since", 0, -1)),
        "/tree": lambda request: data.tree(
            _bytes(request, "path", "/"), _bytes(request, "after", ""), _number(request, "limit", 100, 1)
        ),
        "/sessions": lambda request: data.sessions(
            _number(request, "offset", 0, 0), _number(request, "limit", 50, 1)
        ),
        "/sessions/{id}": lambda request: data.session(request.match_info["id"]),
    }
    return [
        *(web.route("*", at, _only_reading(_file(*file))) for at, file in _FILES.items()),
        *(web.route("*", at, _only_reading(_json(answer))) for at, answer in asked.items()),
    ]


def _only_reading(handler: _Handler) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method in ("GET", "HEAD"):
            return await handler(request)
        error = f"{request.path} takes GET and HEAD, not {request.method}"
        return web.json_response({"error": error}, status=405, headers={**_HEADERS, "Allow": "GET, HEAD"})

    return handle


def _file(name: str, content_type: str) -> _Handler:
    body = files(__name__).joinpath(name).read_bytes()

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return handle


def _json(answer: Callable[[web.Request], object]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(answer(request), headers=_HEADERS)
        except Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status, headers=_HEADERS)

    return handle


def _number(request: web.Request, name: str, default: int, least: int) -> int:
    given = request.query.get(name, str(default))
    if not given.removeprefix("-").isdecimal() or len(given) > _DIGITS or int(given) < least:
        raise Refused(400, f"{name} must be a number from {least} on, not {given[:_DIGITS]}")
    return int(given)


def _bytes(request: web.Request, name: str, default: str) -> bytes:
    return request.query.get(name, default).encode(errors="surrogateescape")
