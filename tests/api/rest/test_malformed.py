"""HTTP whatever it says: a definite answer, and nothing raised; also when the core gives no answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final, cast

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from znoded.api.connection import Connection
from znoded.api.rest import resources
from znoded.api.rest.connection import HttpConnection
from znoded.api.rest.exchange import Answer, Incoming
from znoded.api.rest.openapi import DESCRIPTION
from znoded.storage import ops
from znoded.storage.errors import Code
from znoded.storage.session import Session

ROOT: Final = ("http", "127.0.0.1:2181")
UUID: Final = "00a1fed6-d149-8000-876a-bd8bcb5cdef5"


class Transport:
    """One that only closes."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Core:
    """Answers everything but syncs and pings with an error; or gives connections up."""

    def __init__(self, error: int = Code.NONODE, reason: str | None = None) -> None:
        self.serving = True
        self.error = error
        self.reason = reason
        self.asked: list[int] = []

    def accept(self, connection: Connection) -> str | None:
        return None

    def connect(self, connection: Connection, seen: int, timeout: int, session: int, password: bytes) -> None:
        raise AssertionError("no session is taken up")

    def begin(self, connection: Connection, timeout: int) -> str | None:
        return "there are enough"

    def living(self, session: int) -> Session | None:
        return None

    def touch(self, session: int) -> None:
        raise AssertionError("there is none")

    def authenticate(self, connection: Connection, scheme: str, credentials: bytes) -> bool:
        return len(credentials) < 50

    def submit(self, connection: Connection, xid: int, op: int, body: bytes) -> None:
        self.asked.append(op)
        if self.reason is not None:
            connection.close(self.reason)
        elif op in (ops.SYNC, ops.PING):
            connection.reply(xid, 7, 0, body)
        else:
            connection.reply(xid, 7, self.error, b"")

    def settle(self, connection: Connection, count: int, size: int) -> None:
        """Nothing is gathered."""

    def proceed(self, connection: Connection) -> None:
        raise AssertionError("nothing waits")

    def closing(self, connection: Connection, reason: str) -> None:
        """It is no news."""

    def gone(self, connection: Connection) -> None:
        """It is no news."""


def ask(core: Core, method: str, target: str, headers: Mapping[str, str] = {}, body: bytes = b"") -> Answer:
    async def read() -> bytes:
        return body

    async def session() -> Answer:
        transport = Transport()
        client = HttpConnection(cast(asyncio.Transport, transport), core, "127.0.0.1", 4711)
        answer = await resources.serve(Incoming(client, method, target, headers, ROOT, read))
        assert isinstance(answer, Answer)
        await asyncio.sleep(0)
        assert transport.closed == answer.ends
        return answer

    return asyncio.run(session())


METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
PIECES = st.sampled_from(
    [
        "/", "/znodes/v1", "/sessions/v1", "/openapi.json", "a", "..", "%2f", "%00", "%ff", "%", "?", "&",
        "=", "\udcff",
        "view=acl", "view=children", "op=multi", "op=create", "name=x", "null=true", "sync=true",
        "ephemeral=true", "session=", UUID, "version=", "ttl=", "expire=", "-1", "9" * 25, "http://", "é",
    ]
)  # fmt: skip
TARGETS = st.builds("".join, st.lists(PIECES | st.text(max_size=3), max_size=9)).map(lambda text: f"/{text}")
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Accept", "Authorization", "Content-Type", "Host", "Origin", "Sec-Fetch-Site", "Last-Event-ID"]
    ),
    st.sampled_from(
        [
            "application/json", "application/cbor", "application/octet-stream", "*/*;q=", "text/plain",
            "Basic YTpi",
            "Basic !", "localhost", "http://localhost",
        ]
    )
    | st.text(max_size=9),
    max_size=4,
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["op", "path", "data", "data64", "dataUtf8", "acl", "perms", "scheme", "id", "ttl", "x"]
            ),
            inner | st.sampled_from(["create", "set", "/a", "r", "world", "YQ=="]),
            max_size=5,
        )
    ),
    max_leaves=9,
)
BODIES = (
    st.binary(max_size=30) | VALUES.map(lambda value: json.dumps(value).encode()) | VALUES.map(cbor2.dumps)
)
COMPONENTS = cast("dict[str, dict[str, object]]", DESCRIPTION["components"])
STATUSES: Final = {200, 201, 204} | {int(code) for code in COMPONENTS["responses"]}


@given(METHODS, TARGETS, HEADERS, BODIES)
@example("GET", "/znodes/v1/\udcff?\udcff", {}, b"")
@example("POST", "/znodes/v1/?op=multi", {"Content-Type": "application/cbor"}, b"\x81\xa1\x62op\xf7")
def test_there_always_is_an_answer(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    answer = ask(Core(), method, target, headers, body)
    assert answer.status in STATUSES
    assert answer.zxid == 7


@given(st.sampled_from(["application/json", "application/cbor"]), BODIES)
def test_a_multi_is_done_or_refused(kind: str, body: bytes) -> None:
    core = Core(Code.MARSHALLINGERROR)
    assert ask(core, "POST", "/znodes/v1/?op=multi", {"Content-Type": kind}, body).status == 400
    assert {*core.asked} <= {ops.PING, ops.MULTI}


def test_a_session_that_is_used_on_another_server() -> None:
    answer = ask(Core(Code.SESSIONMOVED), "DELETE", "/znodes/v1/a")
    assert (answer.status, json.loads(answer.body)["message"]) == (
        409,
        "/a not done: the session is used by a connection to another server",
    )


@pytest.mark.parametrize("error", list(Code)[1:])
def test_every_error_of_the_core_has_a_status(error: Code) -> None:
    answer = ask(Core(error), "DELETE", "/znodes/v1/a")
    assert answer.status in STATUSES | {502}
    assert json.loads(answer.body)["message"].startswith("/a ")


class TestNoAnswer:
    def test_a_write_may_have_been_done(self) -> None:
        answer = ask(Core(reason="the log is broken"), "DELETE", "/znodes/v1/a")
        assert (answer.status, answer.ends) == (503, True)
        assert json.loads(answer.body) == {
            "request": "DELETE /znodes/v1/a",
            "message": "the log is broken; whether this was done can't be known: read before you try again",
        }

    def test_a_read_does_nothing(self) -> None:
        answer = ask(Core(reason=""), "GET", "/znodes/v1/a")
        assert (answer.status, answer.ends) == (503, True)
        assert json.loads(answer.body)["message"] == "the server is stopping"

    def test_even_an_error_may_not_be_answered(self) -> None:
        assert ask(Core(reason="x"), "GET", "/nowhere").status == 503

    def test_a_write_that_was_refused_was_not_done(self) -> None:
        answer = ask(Core(Code.SYSTEMERROR), "DELETE", "/znodes/v1/a")
        assert (answer.status, answer.ends) == (503, False)
        assert "not done" in json.loads(answer.body)["message"]

    @pytest.mark.parametrize(
        ("method", "target"), [("GET", "/znodes/v1/a"), ("POST", "/sessions/v1?op=create")]
    )
    def test_nothing_is_done_where_nothing_is_served(self, method: str, target: str) -> None:
        core = Core()
        core.serving = False
        answer = ask(core, method, target)
        assert (answer.status, core.asked) == (503, [])
        assert "not done" in json.loads(answer.body)["message"]

    def test_no_more_sessions(self) -> None:
        answer = ask(Core(), "POST", "/sessions/v1?op=create")
        assert (answer.status, json.loads(answer.body)["message"]) == (429, "there are enough")
