"""The commands over HTTP: `/commands/NAME` in JSON, with the keys of ZooKeeper's AdminServer.

An answer has the command's own keys, then `command` and `error`, as AdminServer's CommandResponse.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing
from json import dumps
from types import MappingProxyType
from typing import Final, TypeAlias

from aiohttp import web

from ..http_quiet import Quiet
from . import metrics, page, words
from .answers import Answer, Connections, Digests, Dump, Row, Srvr, Stat, WatchesByPath, WatchesBySession
from .commands import COMMANDS, Command, Refused
from .guard import guard, harden
from .sending import send
from .snapshot import METHODS, NAMES, Snapshots
from .view import Scalar, ServerView

_Fields: TypeAlias = Iterable[tuple[str, Iterable[str]]]
"""Names, and their values as pieces of JSON."""

_DIGEST_VERSION: Final = 2
"""ZooKeeper's DigestCalculator: how digests are calculated since 3.7."""

_TELL: Final = ("GET", "HEAD")
_CHANGE: Final = ("POST",)

_log = logging.getLogger(__name__)


def runner(server: ServerView) -> web.AppRunner:
    """What makes aiohttp's protocols, once it is set up, and ends them at its cleanup."""
    pages, snapshots = _Pages(server), Snapshots(server)
    application = web.Application(middlewares=[guard(server)])
    application.on_response_prepare.append(harden)
    application.router.add_routes(metrics.routes(server))
    application.router.add_route("*", "/commands", pages.commands)
    application.router.add_route("*", "/commands/", pages.commands)
    for name in NAMES:
        application.router.add_route("*", f"/commands/{name}", snapshots.answer)
    application.router.add_route("*", "/commands/{name}", pages.command)
    application.add_routes(page.routes(server))
    application.router.add_route("*", "/{path:.*}", pages.unknown)
    return web.AppRunner(
        application,
        access_log=None,
        logger=Quiet(_log),
        keepalive_timeout=words.PATIENCE,
        lingering_time=words.PATIENCE,
        auto_decompress=False,  # no body is looked at
        shutdown_timeout=1.0,
    )


class _Pages:
    def __init__(self, server: ServerView) -> None:
        self._server = server

    async def commands(self, request: web.Request) -> web.StreamResponse:
        if request.method not in _TELL:
            return await _not_allowed(request, "commands", _TELL)
        known = {command.names[0]: command for command in COMMANDS.values()}
        all_names = sorted([*((c.names, _methods(c)) for c in known.values()), (NAMES, METHODS)])
        listed = _list(_described(names, methods) for names, methods in all_names)
        return await _send(request, 200, (("commands", listed), *_end("commands")))

    async def command(self, request: web.Request) -> web.StreamResponse:
        asked = request.match_info["name"]
        command = COMMANDS.get(asked)
        if command is None:
            return await _send(request, 404, _end(asked, f"Unknown command: {asked}"))
        name, methods = command.names[0], _methods(command)
        if request.method not in methods:
            return await _not_allowed(request, name, methods)
        try:
            fields = _fields(command(self._server, request.query))
        except Refused as refused:
            return await _send(request, 200, _end(name, str(refused)))
        return await _send(request, 200, (*fields, *_end(name)))

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        error = f"There is nothing at {request.path}: see /commands"
        return await _send(request, 404, (("error", (dumps(error),)),))


def _methods(command: Command[Answer]) -> tuple[str, ...]:
    return _CHANGE if command.changes else _TELL


def _described(names: tuple[str, ...], methods: tuple[str, ...]) -> Mapping[str, object]:
    return {"name": names[0], "aliases": names[1:], "methods": methods}


async def _not_allowed(request: web.Request, name: str, methods: tuple[str, ...]) -> web.StreamResponse:
    error = f"{name} takes {' and '.join(methods)}, not {request.method}"
    return await _send(request, 405, _end(name, error), {"Allow": ", ".join(methods)})


async def _send(
    request: web.Request, status: int, fields: _Fields, headers: Mapping[str, str] = MappingProxyType({})
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={**headers, "Content-Type": "application/json"})
    async with aclosing(words.chunks(_document(fields))) as chunks:
        await send(request, response, chunks)
    return response


def _end(command: str, error: str | None = None) -> _Fields:
    return ("command", (dumps(command),)), ("error", (dumps(error),))


def _fields(answer: Answer) -> _Fields:
    match answer:
        case Connections():
            return _connections(answer)
        case Srvr():
            brief = (
                ("version", (dumps(answer.version),)),
                ("read_only", (dumps(answer.read_only),)),
                ("server_stats", (dumps(answer.server_stats),)),
                ("client_response", (dumps(answer.client_response),)),
                *_of_leaders(answer.proposal_stats),
                ("node_count", (dumps(answer.node_count),)),
            )
            if not isinstance(answer, Stat):
                return brief
            return *brief, *_connections(answer)
        case Dump():
            expiring = (
                (time, sid) for time, sessions in answer.expiry_time_to_session_ids for sid in sessions
            )
            return (
                ("expiry_time_to_session_ids", _groups(expiring)),
                ("session_id_to_ephemeral_paths", _groups(_ephemerals(answer))),
            )
        case Digests():
            return (("digests", _list(map(_digest, answer.digests))),)
        case WatchesBySession():
            return (("session_id_to_watched_paths", _groups(answer.session_id_to_watched_paths)),)
        case WatchesByPath():
            return (("path_to_session_ids", _groups(answer.path_to_session_ids)),)
        case _:
            return tuple((name, (dumps(value),)) for name, value in answer.items())


def _of_leaders(proposals: Row | None) -> Iterator[tuple[str, Iterable[str]]]:
    if proposals is not None:
        yield "proposal_stats", (dumps(proposals),)


def _connections(answer: Connections | Stat) -> tuple[tuple[str, Iterable[str]], ...]:
    return (
        ("connections", _list(answer.connections)),
        ("secure_connections", _list(answer.secure_connections)),
    )


def _digest(entry: tuple[int, int] | None) -> Mapping[str, int] | None:
    if entry is None:
        return None
    zxid, digest = entry
    return {"zxid": zxid, "digest_version": _DIGEST_VERSION, "digest": digest}


def _ephemerals(answer: Dump) -> Iterator[tuple[int, str] | None]:
    for session, paths in answer.session_id_to_ephemeral_paths:
        if not paths:
            yield None
        for path in paths:
            yield session, path


def _document(fields: _Fields) -> Iterator[str]:
    start = "{"
    for name, value in fields:
        yield f"{start}\n  {dumps(name)}: "
        yield from value
        start = ","
    yield "\n}\n"


def _list(items: Iterable[Mapping[str, object] | None]) -> Iterator[str]:
    """None is a step on the way to the next item."""
    yield "["
    start = ""
    for item in items:
        if item is None:
            yield ""
            continue
        yield f"{start}\n    {dumps(item)}"
        start = ","
    yield "\n  ]"


def _groups(pairs: Iterable[tuple[Scalar, Scalar] | None]) -> Iterator[str]:
    """An object of lists: the pairs' second halves by their first, which come one after the other. None is
    a step on the way to the next pair."""
    yield "{"
    last: Scalar | None = None
    for pair in pairs:
        if pair is None:
            yield ""
            continue
        key, value = pair
        if key == last:
            yield f", {dumps(value)}"
        else:
            yield f"{'' if last is None else '],'}\n    {dumps(str(key))}: [{dumps(value)}"
            last = key
    yield "\n  }" if last is None else "]\n  }"
