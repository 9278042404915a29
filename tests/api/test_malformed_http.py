"""Whatever a request by HTTP is made of, it is answered with a status, and well-formed: nothing is raised."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from znoded.api.admin.port import AdminPort, http
from znoded.api.per_address import PerAddress
from znoded.api.rest import resources
from znoded.api.rest.connection import HttpConnection
from znoded.api.rest.exchange import Answer, Incoming, Stream
from znoded.daemon.view import View

from ..daemon.core import Clock, Core

UUID = "00000000-0000-8000-8000-000000000000"
NASTY = st.sampled_from(
    [
        *(
            "",
            "%",
            "%zz",
            "%00",
            "%ff",
            "%ed%a0%80",
            "\udcff",
            "..",
            "//",
            "\\",
            "+",
            "-1",
            "٣",
            "9" * 50,
            UUID,
        ),
        *[
            "nan",
            "true",
            "false",
            "create",
            "multi",
            "data",
            "children",
            "acl",
            "events",
            "base64",
            "utf8",
            "/",
            "a/b",
        ],
    ]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
NAMES = (
    "view op name version dataformat null sequence ephemeral session sync container ttl expire recursive x"
    " traceMask path after limit offset id since streaming"
)
PARAMETERS = st.lists(
    st.builds("{}={}".format, st.sampled_from(NAMES.split()), NASTY),
    max_size=4,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Accept", "Content-Type", "Authorization", "Last-Event-ID", "Host", "Origin", "Sec-Fetch-Site"]
    ),
    st.sampled_from(
        [
            *("*/*", "application/json", "application/cbor", "application/octet-stream", "text/event-stream"),
            *("Basic YTpi", "Basic YTpi=", "Basic /w==", "Basic", "Bearer x", "basic  YTpi ", "*/*;q=inf"),
            *(";,;=,q", "http://a", "a:b", "1", "-1", "none", "\udcff"),
        ]
    )
    | NASTY,
    max_size=3,
)
KEYS = [
    "op",
    "path",
    "data64",
    "dataUtf8",
    "data",
    "version",
    "acl",
    "perms",
    "scheme",
    "id",
    "ttl",
    "x",
    "sequence",
    "ephemeral",
    "container",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("/a"),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            values
            | st.sampled_from(["create", "set", "delete", "check", "cdrwa", "world", "anyone", "/", "/a/b"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = (
    st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
    | (JSON | st.lists(st.binary(max_size=4), max_size=2)).map(cbor2.dumps)
)
FIELD = re.compile(r"[\t\x20-\x7e]*")


class Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


JSON_TYPE = {"Content-Type": "application/json"}
CBOR_TYPE = {"Content-Type": "application/cbor", "Accept": "application/cbor"}
ACL = [{"perms": "cdrwa", "scheme": "world", "id": "anyone"}]
OPERATIONS: list[dict[str, object]] = [
    {"op": "create", "path": "/a/b", "acl": ACL, "sequence": True},
    {"op": "set", "path": "/a", "version": 0},
    {"op": "check", "path": "/a"},
    {"op": "delete", "path": "/a"},
]
VALID = [
    Request("GET", "/znodes/v1/a?view=data&dataformat=utf8&sync=true", {}, b""),
    Request("GET", "/znodes/v1/a", {"Accept": "application/octet-stream"}, b""),
    Request("GET", "/znodes/v1/?view=children", {"Accept": "application/cbor"}, b""),
    Request("GET", "/znodes/v1/a?view=acl", {"Authorization": "Basic YTpi"}, b""),
    Request("GET", "/znodes/v1/a?view=events&recursive=true", {"Last-Event-ID": "0"}, b""),
    Request("GET", "/znodes/v1/a?view=events", {"Accept": "text/event-stream", "Last-Event-ID": "1"}, b""),
    Request("HEAD", "/znodes/v1/a", {}, b""),
    Request("PUT", "/znodes/v1/a?version=0", {"Host": "h:1"}, b"data"),
    Request("PUT", "/znodes/v1/a?view=acl&version=0", JSON_TYPE, json.dumps({"acl": ACL}).encode()),
    Request("POST", "/znodes/v1/a?op=create&name=b&sequence=true", {}, b"data"),
    Request("POST", "/znodes/v1/a?name=b&ttl=1000", CBOR_TYPE, cbor2.dumps({"data": b"x", "acl": ACL})),
    Request("POST", "/znodes/v1/a?name=b&container=true", JSON_TYPE, b'{"data64":"eA=="}'),
    Request("POST", "/znodes/v1/a?name=b&ephemeral=true&session=SESSION&null=true", {}, b""),
    Request("POST", "/znodes/v1/?op=multi", JSON_TYPE, json.dumps(OPERATIONS).encode()),
    Request("POST", "/znodes/v1/?op=multi&session=SESSION", CBOR_TYPE, cbor2.dumps(OPERATIONS)),
    Request("DELETE", "/znodes/v1/a?version=0", {}, b""),
    Request("POST", "/sessions/v1?op=create&expire=5", {}, b""),
    Request("PUT", "/sessions/v1/SESSION", {}, b""),
    Request("DELETE", "/sessions/v1/SESSION", {}, b""),
    Request("GET", "/openapi.json", {}, b""),
]


@st.composite
def spoilt(draw: st.DrawFn) -> Request:
    """A request of which a part or two are others."""
    request = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["target", "target", "parameters", "value", "headers", "body", "byte"])):
            case "target":
                at, end = (draw(st.integers(0, len(request.target))) for _ in "12")
                request = request._replace(target=request.target[:at] + draw(NASTY) + request.target[end:])
            case "parameters":
                request = request._replace(target=f"{request.target}&{draw(PARAMETERS)}")
            case "value":
                place, equals, _ = request.target.rpartition("=")
                request = request._replace(target=f"{place}{equals}{draw(NASTY)}" if equals else place)
            case "headers":
                request = request._replace(headers=request.headers | draw(HEADERS))
            case "body":
                request = request._replace(body=draw(BODIES))
            case "byte":
                at, noise = draw(st.integers(0, len(request.body))), draw(st.binary(max_size=2))
                request = request._replace(body=request.body[:at] + noise + request.body[at + 1 :])
    method = draw(st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", *[request.method] * 9]))
    return request._replace(method=method)


class Wire(asyncio.Transport):
    """Of which nobody asks anything."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_reading(self) -> bool:
        return True


async def served(core: Core, asked: Request) -> Answer | Stream:
    """What a request is answered by a server that commits whatever is proposed."""

    async def body() -> bytes:
        return asked.body

    client = HttpConnection(Wire(), core.server, "127.0.0.1", 1)
    assert core.server.accept(client) is None
    headers = CIMultiDict(asked.headers)
    incoming = Incoming(client, asked.method, asked.target, headers, ("http", "127.0.0.1:1"), body)
    task = asyncio.create_task(resources.serve(incoming))
    while not task.done():
        core.steps.settle()
        await asyncio.sleep(0)
    answer = task.result()
    if isinstance(answer, Stream):
        client.end_stream()
        assert b"event: " in b"".join([chunk async for chunk in answer.chunks])
    client.gone()
    assert client not in core.server.connections
    assert not core.server.watches.count
    return answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http")


@settings(max_examples=1000)
@given(spoilt())
@example(Request("GET", "/znodes/v1/?view=events", {"Last-Event-ID": "9" * 5000}, b""))
@example(Request("PUT", "/sessions/v1/\udcff", {"Accept": "application/cbor"}, b""))
@example(Request("POST", "/znodes/v1/?op=multi", {"Content-Type": "application/json"}, b"[" * 100_000))
def test_any_request_to_the_client_port_has_an_answer(folder: Path, asked: Request) -> None:
    core = Core(folder, Clock(), {"extendedTypesEnabled": "true"})
    session = asyncio.run(served(core, Request("POST", "/sessions/v1?op=create", {}, b"")))
    assert isinstance(session, Answer)
    asyncio.run(served(core, Request("POST", "/znodes/v1/?name=a", {}, b"")))
    target = asked.target.replace("SESSION", json.loads(session.body)["id"])
    answer = asyncio.run(served(core, asked._replace(target=target)))
    assert answer.zxid >= 0
    if isinstance(answer, Stream):
        return
    assert answer.status in (200, 201, 204, 400, 401, 403, 404, 405, 406, 409, 412, 415, 429)
    for name, value in answer.headers.items():
        assert FIELD.fullmatch(name + value), "a header that ends too soon"
    if answer.kind == "application/json":
        told = json.loads(answer.body)
        json.dumps(told, ensure_ascii=False).encode()  # no half of a surrogate pair
        assert answer.status < 400 or {"request", "message"} <= set(told)
    elif answer.kind == "application/cbor":
        cbor2.loads(answer.body)


class Admin:
    """An admin port that listens, on an event loop that runs while it is asked."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        runner.run(self._listen(folder))

    async def _listen(self, folder: Path) -> None:
        view = View(Core(folder, Clock(), {}).server, folder, ())
        self._http = http(view)
        any_number = PerAddress(0, "connections")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: AdminPort(view, self._http, any_number), "127.0.0.1", 0
        )

    def ask(self, sent: bytes) -> bytes:
        return self._runner.run(self._ask(sent))

    async def _ask(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())
        writer.write(sent)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        return answer

    def close(self) -> None:
        self._server.close()
        self._runner.run(self._http.close())


@pytest.fixture(scope="module")
def admin(folder: Path) -> Iterator[Admin]:
    with asyncio.Runner() as runner:
        admin = Admin(runner, folder / "admin")
        yield admin
        admin.close()


PLACES = (
    "/ /tree /live /sessions /session /metrics /commands /page/page.js /commands/set_trace_mask"
    " /commands/stmk /commands/mntr /commands/wchp /commands/dump /commands/snapshot /commands/hash"
)


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.sampled_from(PLACES.split()) | NASTY,
    PARAMETERS,
    HEADERS,
)
def test_any_request_to_the_admin_port_has_an_answer(
    admin: Admin, method: str, place: str, query: str, headers: dict[str, str]
) -> None:
    fields = {"Host": "localhost", "Connection": "close"} | headers
    first = f"{method} /{place.lstrip('/')}?{query} HTTP/1.1"
    lines = [first, *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    answer = admin.ask("\r\n".join(lines).encode(errors="surrogateescape"))
    assert int(answer[9:12]) in (200, 400, 401, 403, 404, 405, 421, 429, 503)
