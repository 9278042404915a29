"""One request by HTTP and what it is answered, without the library that carries them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from ...storage import ops, paths
from ...storage.errors import Code
from ..browsers import is_of_another_site
from . import requests
from .connection import HttpConnection, Reply
from .forms import Fault, Form, encode, negotiate

_BAD_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_HOST: Final = re.compile(r"[\w.:\[\]-]*", re.ASCII)
_MOST_PARAMETERS: Final = 20
_INT: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)

_CHALLENGE: Final = 'Basic realm="znoded", charset="UTF-8"'
_FAULTS: Final[dict[int, tuple[int, str]]] = {
    Code.BADARGUMENTS: (400, "bad arguments"),
    Code.MARSHALLINGERROR: (400, "bad arguments"),
    Code.INVALIDACL: (400, "invalid acl"),
    Code.UNIMPLEMENTED: (400, "TTLs are not enabled (extendedTypesEnabled)"),
    Code.NOAUTH: (401, "not authorized"),
    Code.SESSIONEXPIRED: (401, "the session is over"),
    Code.NONODE: (404, "not found"),
    Code.NODEEXISTS: (409, "already exists"),
    Code.NOTEMPTY: (409, "not empty"),
    Code.NOCHILDRENFOREPHEMERALS: (409, "its parent is ephemeral: that can't have children"),
    Code.QUOTAEXCEEDED: (409, "over the quota"),
    Code.SESSIONMOVED: (409, "the session has a connection to another server"),
    Code.SESSIONMOVED: (409, "not done: the session is used by a connection to another server"),
    Code.BADVERSION: (412, "bad version"),
    Code.CONNECTIONLOSS: (503, "not done: the server has no majority of its ensemble; try another"),
    Code.SYSTEMERROR: (503, "not done: the server takes no writes for now"),
}
"""Statuses as the gateway's KeeperExceptionMapper gives them; what that leaves out is 502 there."""


class Answer(NamedTuple):
    """What goes back. zxid: the last transaction that it reflects. An ending one closes the connection."""

    status: int
    zxid: int
    kind: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    ends: bool = False


class Stream(NamedTuple):
    """What goes back piece by piece, until the client or the server has enough."""

    zxid: int
    kind: str
    chunks: AsyncGenerator[bytes, None]


class Incoming(NamedTuple):
    """A request as it came: target is what stands behind the method, root the scheme and the address that it
    came to, read gives the body and may raise Fault."""

    client: HttpConnection
    method: str
    target: str
    headers: Mapping[str, str]
    root: tuple[str, str]
    read: Callable[[], Awaitable[bytes]]


class Exchange:
    """A request, taken apart as far as every resource needs it; raises Fault where it can't be."""

    __slots__ = ("form", "incoming", "parameters", "place", "session", "zxid")

    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming
        self.form = Form.JSON
        self.session = 0
        self.zxid = -1
        """Of the last answer by the core."""
        self.place, _, query = incoming.target.partition("?")
        if not self.place.startswith("/"):  # a proxy's way to ask (RFC 9112, section 3.2.2)
            self.place = "/" + self.place.partition("://")[2].partition("/")[2]
        self.parameters = _parameters(query) if query else {}

    def settle(self) -> None:
        """Look at the headers: who asks, and for which form."""
        headers = self.incoming.headers
        if is_of_another_site(self.incoming.method, headers):
            raise Fault(403, "a page of another site asked for this")
        accept = headers.get("Accept")
        if accept is not None and accept != "*/*" and self.parameters.get("view") != "events":
            form = negotiate(accept)
            if form is None:
                raise Fault(406, "answers are application/json, application/cbor or application/octet-stream")
            self.form = form
        authorization = headers.get("Authorization")
        credentials = None if authorization is None else _credentials(authorization)
        if not self.incoming.client.identify(credentials):
            raise Fault(400, "this user's name is too long")

    # what is asked

    def text(self, name: str, otherwise: str, *allowed: str) -> str:
        """A parameter that is one of those allowed."""
        value = self.parameters.get(name, otherwise)
        if value not in allowed:
            raise Fault(400, f"{name} must be {' or '.join(allowed)}, not {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; false where it is not there."""
        return self.text(name, "false", "true", "false") == "true" if self.parameters else False

    def number(self, name: str, otherwise: int, least: int, most: int) -> int:
        """A parameter that is a whole number, both limits included."""
        text = self.parameters.get(name)
        if text is None:
            return otherwise
        number = int(text) if _INT.fullmatch(text) else most + 1
        if not least <= number <= most:
            raise Fault(400, f"{name} must be a number from {least} to {most}, not {text!r}")
        return number

    @property
    def request(self) -> str:
        """What errors call it."""
        return _clean(f"{self.incoming.method} {self.incoming.target}")

    @property
    def base(self) -> str:
        """The root's URL as the client wrote it, without a slash at its end; raises Fault."""
        scheme, here = self.incoming.root
        host = self.incoming.headers.get("Host") or here
        if not _HOST.fullmatch(host):
            raise Fault(400, "the Host header is malformed")
        return f"{scheme}://{host}"

    @property
    def uri(self) -> str:
        """The resource's own, without parameters."""
        return self.base + self.place

    def uri_of(self, path: bytes) -> str:
        """A znode's."""
        return f"{self.base}/znodes/v1{quote(path)}"

    async def ask(self, asked: requests.Ask, path: bytes) -> Reply:
        """Have the core serve it; raises Fault, Lost."""
        reply = await self.incoming.client.ask(asked.op, asked.body, self.session)
        self.zxid = reply.zxid
        if reply.error:
            raise fault(reply.error, path.decode(errors="replace"))
        return reply

    async def sync(self) -> None:
        """If that is asked for, wait until all is applied that anybody had been acknowledged before."""
        if self.flag("sync"):
            await self.catch_up()

    async def catch_up(self) -> None:
        """Wait for that."""
        await self.ask(requests.Ask(ops.SYNC, b"\0\0\0\1/"), b"/")

    # what is answered

    def answer(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
        """In the form asked for; JSON where that is octets."""
        form = Form.JSON if self.form is Form.OCTETS else self.form
        return Answer(status, self.zxid, form.value, encode(form, value), headers or {})

    async def error(self, problem: Fault) -> Answer:
        """The gateway's error: a string where octets were asked for."""
        if self.zxid < 0:
            self.zxid = (await self.incoming.client.ask(ops.PING, b"")).zxid
        request, said = self.request, _clean(str(problem))
        if self.form is Form.OCTETS:
            body = f"Request {request} failed due to {said}".encode()
            return Answer(problem.status, self.zxid, "text/plain; charset=utf-8", body, problem.headers)
        told = {"request": request, "message": said, **problem.more}
        return self.answer(problem.status, told, problem.headers)


def fault(code: int, path: str) -> Fault:
    """What an error of the core is to a client."""
    status, message = _FAULTS.get(code, (502, f"error {code}"))
    headers = {"WWW-Authenticate": _CHALLENGE} if code == Code.NOAUTH else None
    return Fault(status, f"{path} {message}" if path else message, headers=headers)


def not_allowed(*methods: str) -> Fault:
    """What is said of another method."""
    return Fault(405, f"this takes {', '.join(methods)}", headers={"Allow": ", ".join(methods)})


def znode_path(encoded: str) -> bytes:
    """The path that a URL names below /znodes/v1; raises Fault."""
    path = _bytes(encoded) or b"/"
    check(path)
    return path


def check(path: bytes) -> None:
    """Raise Fault for a path that breaks a rule."""
    problem = paths.fault(path)
    if problem is not None:
        raise Fault(400, f"{path.decode(errors='replace')!r} is no path: {problem}")


def _clean(text: str) -> str:
    """Text without what stands in it for bytes that are no UTF-8."""
    return text.encode(errors="replace").decode()


def _bytes(text: str) -> bytes:
    if "%" in text:
        if _BAD_ESCAPE.search(text):
            raise Fault(400, "a % without two hexadecimal digits behind it")
        return unquote_to_bytes(text.encode(errors="surrogateescape"))
    return text.encode(errors="surrogateescape")


def _parameters(query: str) -> dict[str, str]:
    if _BAD_ESCAPE.search(query):
        raise Fault(400, "a % without two hexadecimal digits behind it")
    try:
        pairs = parse_qsl(
            query.encode(errors="surrogateescape").decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except UnicodeDecodeError as error:
        raise Fault(400, f"the parameters are not UTF-8: {error.reason}") from error
    except ValueError as error:
        raise Fault(400, f"more than {_MOST_PARAMETERS} parameters") from error
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        raise Fault(400, "a parameter is there twice")
    return parameters


def _credentials(authorization: str) -> bytes:
    """user:password of HTTP Basic (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Fault(400, "only Basic authorization is known here, for digest's user and password")
    try:
        credentials = b64decode(encoded.strip(), validate=True)
        credentials.decode()
    except ValueError as error:
        raise Fault(400, f"malformed Basic authorization: {error}") from error
    if b":" not in credentials:
        raise Fault(400, "malformed Basic authorization: no colon between user and password")
    return credentials
