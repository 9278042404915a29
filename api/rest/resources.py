"""HTTP on the client port: the contract of ZooKeeper's REST gateway (zookeeper-contrib-rest), and beyond.

Where the gateway's code and its specification differ, the code decides: it is what its clients know.
"""

from __future__ import annotations

import functools
from typing import Final

from ...storage import acl as acls
from ...storage import ops
from ...storage.jute import Reader
from ...storage.znode import MAX_TTL, STAT
from . import events, multi, openapi, requests, sessions
from .connection import Lost
from .exchange import Answer, Exchange, Incoming, Stream, check, not_allowed, znode_path
from .forms import Fault, Form, Table, decode, encode, entries, fields, form_of, node

ZNODES: Final = "/znodes/v1"
SESSIONS: Final = "/sessions/v1"
_DESCRIPTION: Final = "/openapi.json"
_VERSIONS: Final = (-(1 << 31), (1 << 31) - 1)
_STAT_SIZE: Final = STAT.size


async def serve(incoming: Incoming) -> Answer | Stream:
    """Answer a request, whatever it is."""
    try:
        exchange = Exchange(incoming)
    except Fault as problem:
        incoming = incoming._replace(target=incoming.target.partition("?")[0])
        return await _refuse(Exchange(incoming), problem)
    try:
        exchange.settle()
        place = exchange.place
        if place.startswith(ZNODES) and place[len(ZNODES) : len(ZNODES) + 1] in ("/", ""):
            session = exchange.parameters.get("session")
            if session and not await sessions.take_part(exchange, session):
                raise sessions.dead(session)
            return await _znode(exchange, znode_path(place[len(ZNODES) :]))
        if place.startswith(SESSIONS) and place[len(SESSIONS) : len(SESSIONS) + 1] in ("/", ""):
            return await sessions.serve(exchange, place[len(SESSIONS) :])
        if place == _DESCRIPTION:
            return await _description(exchange)
        raise Fault(404, "There is nothing here: see /openapi.json")
    except Fault as problem:
        return await _refuse(exchange, problem)
    except Lost as lost:
        return _lost(exchange, lost)


async def _refuse(exchange: Exchange, problem: Fault) -> Answer:
    try:
        return await exchange.error(problem)
    except Lost as lost:
        return _lost(exchange, lost)


def _lost(exchange: Exchange, lost: Lost) -> Answer:
    """The core has given the connection up."""
    said = str(lost)
    if exchange.incoming.method not in ("GET", "HEAD"):
        said += "; whether this was done can't be known: read before you try again"
    body = encode(Form.JSON, {"request": exchange.request, "message": said})
    return Answer(503, max(exchange.zxid, 0), Form.JSON.value, body, ends=True)


async def _znode(exchange: Exchange, path: bytes) -> Answer | Stream:
    match exchange.incoming.method:
        case "GET":
            await exchange.sync()
            if exchange.parameters.get("view") == "events":
                return await events.serve(exchange, path)
            return await _get(exchange, path)
        case "HEAD":
            await exchange.sync()
            reply = await exchange.ask(requests.read(ops.EXISTS, path), path)
            return Answer(204 if exchange.form is Form.OCTETS else 200, reply.zxid)
        case "PUT":
            if exchange.text("view", "data", "data", "acl") == "acl":
                return await _set_acl(exchange, path)
            return await _set(exchange, path)
        case "POST":
            if exchange.text("op", "create", "create", "multi") == "create":
                return await _create(exchange, path)
            if path != b"/":
                raise Fault(400, f"a multi goes to {ZNODES}/: its operations have paths of their own")
            return await multi.serve(exchange)
        case "DELETE":
            version = exchange.number("version", -1, *_VERSIONS)
            reply = await exchange.ask(requests.versioned(ops.DELETE, path, version), path)
            return Answer(204, reply.zxid)
    raise not_allowed("GET", "HEAD", "PUT", "POST", "DELETE")


async def _get(exchange: Exchange, path: bytes) -> Answer:
    form = exchange.form
    match exchange.text("view", "data", "data", "children", "acl", "events"):
        case "data":
            data_format = exchange.text("dataformat", "base64", "base64", "utf8")
            reply = await exchange.ask(requests.read(ops.GET_DATA, path), path)
            record = reply.body
            data = None if record[0] == 0xFF else record[4:-_STAT_SIZE]
            if form is Form.OCTETS:
                if data is None:
                    return Answer(204, reply.zxid)
                return Answer(200, reply.zxid, form.value, data)
            body = node(form, path.decode(), exchange.uri, record[-_STAT_SIZE:], data, data_format)
            return Answer(200, reply.zxid, form.value, body)
        case "children":
            reply = await exchange.ask(requests.read(ops.GET_CHILDREN, path), path)
            reader = Reader(reply.body)
            children = [name.decode() for name in reader.vector(reader.text)]
            uri = exchange.uri
            told: dict[str, object] = {
                "path": path.decode(),
                "uri": uri,
                "child_uri_template": f"{uri.removesuffix('/')}/{{child}}",
                "children": children,
            }
        case _:
            reply = await exchange.ask(requests.read(ops.GET_ACL, path), path)
            acl = entries(acls.decode(Reader(reply.body)))
            told = {"path": path.decode(), "uri": exchange.uri, "acl": acl} | fields(reply.body[-_STAT_SIZE:])
    return exchange.answer(200, told)


async def _set(exchange: Exchange, path: bytes) -> Answer:
    version = exchange.number("version", -1, *_VERSIONS)
    data, acl = await _body(exchange)
    if acl is not None:
        raise Fault(400, "an acl is set by view=acl")
    reply = await exchange.ask(requests.set_data(path, data, version), path)
    return _changed(exchange, path, reply.body)


async def _set_acl(exchange: Exchange, path: bytes) -> Answer:
    version = exchange.number("version", -1, *_VERSIONS)
    form = form_of(exchange.incoming.headers.get("Content-Type", ""))
    if form is Form.OCTETS:
        raise Fault(415, "an acl is application/json or application/cbor")
    table = Table(decode(form, await exchange.incoming.read()), "the body")
    acl = table.acl()
    table.end()
    if acl is None:
        raise Fault(400, "the body needs acl, a list")
    reply = await exchange.ask(requests.set_acl(path, acl, version), path)
    return _changed(exchange, path, reply.body)


def _changed(exchange: Exchange, path: bytes, stat: bytes) -> Answer:
    form = exchange.form
    if form is Form.OCTETS:
        return Answer(204, exchange.zxid)
    return Answer(200, exchange.zxid, form.value, node(form, path.decode(), exchange.uri, stat, None, ""))


async def _create(exchange: Exchange, parent: bytes) -> Answer:
    name, sequence = exchange.parameters.get("name"), exchange.flag("sequence")
    if name is None:
        raise Fault(400, "a create needs the new znode's name")
    path = parent.removesuffix(b"/") + b"/" + name.encode()
    check(path + b"0" * 10 if sequence else path)
    data, acl = await _body(exchange)
    request = requests.create(
        path,
        data,
        acl,
        sequence=sequence,
        ephemeral=exchange.flag("ephemeral"),
        container=exchange.flag("container"),
        ttl=exchange.number("ttl", 0, 1, MAX_TTL),
        session=exchange.session,
    )
    reply = await exchange.ask(request, path)
    made = requests.created(reply.body).path
    headers = {"Location": exchange.uri_of(made)}
    if exchange.form is Form.OCTETS:
        return Answer(201, reply.zxid, exchange.form.value, made, headers)
    return exchange.answer(201, {"path": made.decode(), "uri": exchange.uri}, headers)


async def _body(exchange: Exchange) -> tuple[bytes | None, bytes | None]:
    """The data, and the access control list as on the wire, that a request brings."""
    content_type = exchange.incoming.headers.get("Content-Type")
    form = Form.OCTETS if content_type is None else form_of(content_type)
    body = await exchange.incoming.read()
    acl = None
    data: bytes | None = body
    if form is not Form.OCTETS:
        table = Table(decode(form, body), "the body")
        data, acl = table.data(), table.acl()
        table.end()
    return None if exchange.flag("null") else data, acl


async def _description(exchange: Exchange) -> Answer:
    if exchange.incoming.method not in ("GET", "HEAD"):
        raise not_allowed("GET", "HEAD")
    reply = await exchange.ask(requests.Ask(ops.PING, b""), b"")
    return Answer(200, reply.zxid, Form.JSON.value, _described())


@functools.cache
def _described() -> bytes:
    return encode(Form.JSON, openapi.DESCRIPTION)
