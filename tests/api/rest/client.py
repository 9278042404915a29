"""A client of HTTP on the client port, for tests: each answer as it is."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, NamedTuple

import cbor2

OCTETS = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
CBOR = {"Content-Type": "application/cbor", "Accept": "application/cbor"}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def cbor(self) -> Any:
        assert self.headers["content-type"] == "application/cbor"
        return cbor2.loads(self.body)

    @property
    def zxid(self) -> int:
        return int(self.headers["zxid"])


class Rest:
    """Asks on one connection, which is kept alive."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        """tls: what it connects with, if not in the clear."""
        self.address = address
        self._tls = tls
        self.base = "{}://{}:{}".format("https" if tls else "http", *address)
        self._connection = self._connect()

    def _connect(self) -> HTTPConnection:
        if self._tls is None:
            return HTTPConnection(*self.address, timeout=20)
        return HTTPSConnection(*self.address, timeout=20, context=self._tls)

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        self._connection.request(method, target, body, dict(headers))
        response = self._connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, response.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", f"/znodes/v1{path}", None, headers)

    def put(self, path: str, data: bytes | None = None, headers: Mapping[str, str] = OCTETS) -> Answer:
        return self.ask("PUT", f"/znodes/v1{path}", data, headers)

    def post(self, path: str, data: bytes | None = None, headers: Mapping[str, str] = OCTETS) -> Answer:
        return self.ask("POST", f"/znodes/v1{path}", data, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.ask("DELETE", f"/znodes/v1{path}", None, headers)

    def create(self, path: str, data: bytes = b"") -> None:
        """A znode that was not there."""
        parent, _, name = path.rpartition("/")
        assert self.post(f"{parent or '/'}?op=create&name={name}", data).status == 201

    def session(self, seconds: int = 30) -> str:
        """A new session's id."""
        answer = self.ask("POST", f"/sessions/v1?op=create&expire={seconds}")
        assert answer.status == 201
        return str(answer.json["id"])

    def multi(self, *operations: object) -> Answer:
        return self.post("/?op=multi", json.dumps(operations).encode(), JSON)

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The data of events, on a connection of its own."""
        connection = self._connect()
        connection.request("GET", f"/znodes/v1{path}", None, headers)
        with closing(connection), connection.getresponse() as response:
            assert (response.status, response.getheader("content-type")) == (200, "text/event-stream")
            yield (json.loads(line[6:]) for line in response if line.startswith(b"data: "))

    @contextmanager
    def raw(self, buffer: int = 0) -> Iterator[socket.socket]:
        """A socket; buffer: bytes for what it has not read."""
        with socket.socket() as sock:
            sock.settimeout(20)
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            sock.connect(self.address)
            yield sock

    def close(self) -> None:
        self._connection.close()
