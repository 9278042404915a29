"""POST op=multi: a list of operations in JSON or CBOR, of which all are done, or none."""

from __future__ import annotations

from typing import Final

from ...storage import ops
from ...storage.znode import MAX_TTL
from . import requests
from .exchange import Answer, Exchange, check, fault
from .forms import Fault, Form, Table, decode, fields, form_of
from .requests import Ask

_VERSIONS: Final = (-(1 << 31), (1 << 31) - 1)


async def serve(exchange: Exchange) -> Answer:
    """All or nothing; raises Fault, Lost."""
    form = form_of(exchange.incoming.headers.get("Content-Type", ""))
    if form is Form.OCTETS:
        raise Fault(415, "a multi is application/json or application/cbor")
    asked = decode(form, await exchange.incoming.read())
    if not isinstance(asked, list):
        raise Fault(400, "a multi is a list of operations")
    taken = [_taken(Table(one, f"operation {at}"), at, exchange.session) for at, one in enumerate(asked)]
    reply = await exchange.ask(requests.multi([ask for _, _, ask in taken]), b"multi")
    done = requests.results(reply.body, len(taken))
    if isinstance(done, requests.Failed):
        _, path, _ = taken[done.at]
        problem = fault(done.code, path)
        raise Fault(problem.status, str(problem), {"operation": done.at})
    told = []
    for (op, path, _), result in zip(taken, done, strict=True):
        path = result.path.decode() or path
        told.append(
            {"op": op, "path": path, "uri": exchange.uri_of(path.encode())}
            | (fields(result.stat) if result.stat else {})
        )
    return exchange.answer(200, told)


def _taken(table: Table, at: int, session: int) -> tuple[str, str, Ask]:
    """Name, path and request of an operation."""
    op, path = table.text("op"), table.text("path")
    wire = path.encode()
    match op:
        case "create":
            sequence = table.flag("sequence")
            _check(wire + b"0" * 10 if sequence else wire, at)
            ask = requests.create(
                wire,
                table.data(),
                table.acl(),
                sequence=sequence,
                ephemeral=table.flag("ephemeral"),
                container=table.flag("container"),
                ttl=table.number("ttl", 0, 0, MAX_TTL),
                session=session,
            )
        case "set":
            _check(wire, at)
            ask = requests.set_data(wire, table.data(), table.number("version", -1, *_VERSIONS))
        case "delete" | "check":
            _check(wire, at)
            number = ops.DELETE if op == "delete" else ops.CHECK
            ask = requests.versioned(number, wire, table.number("version", -1, *_VERSIONS))
        case _:
            raise Fault(400, f"operation {at}: op must be create, set, delete or check, not {op[:64]!r}")
    table.end()
    return op, path, ask


def _check(path: bytes, at: int) -> None:
    try:
        check(path)
    except Fault as problem:
        raise Fault(400, f"operation {at}: {problem}", {"operation": at}) from problem
