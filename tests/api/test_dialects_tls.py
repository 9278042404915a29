"""HTTP, its streams of events and the WebSocket over TLS: a client's certificate is who it is."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator

import pytest

from ..certificates import Authority
from ..daemons import Daemon, free_port
from .rest.client import JSON, Rest
from .websocket.messenger import Event, opened

HOST = "127.0.0.1"
MINE = {"acl": [{"perms": "cdrwa", "scheme": "auth", "id": ""}]}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def bob(ca: Authority) -> ssl.SSLContext:
    return ca.client(ca.issue("bob@example.org", common_name="Bob"))


@pytest.fixture(scope="module")
def eve(ca: Authority) -> ssl.SSLContext:
    return ca.client(ca.issue("eve@example.org", common_name="Eve"))


@pytest.fixture(scope="module")
def daemon(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    port = free_port()
    keys = f"ssl.keyStore.location={ca.issue(HOST)}\nssl.trustStore.location={ca.trusted}"
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), f"secureClientPort={port}\n{keys}")
    daemon.address = (HOST, port)
    daemon.start()
    yield daemon
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def bobs(rest: Rest, path: str) -> None:
    """Make a znode that only Bob may read, or change."""
    parent, _, name = path.rpartition("/")
    answer = rest.post(f"{parent or '/'}?op=create&name={name}", json.dumps(MINE).encode(), JSON)
    assert answer.status == 201


def test_http(daemon: Daemon, bob: ssl.SSLContext, eve: ssl.SSLContext) -> None:
    rest, other = Rest(daemon.address, bob), Rest(daemon.address, eve)
    bobs(rest, "/http")
    told = rest.get("/http?view=acl").json
    assert told["uri"] == f"https://{HOST}:{daemon.address[1]}/znodes/v1/http"
    assert [(entry["scheme"], entry["id"][:7]) for entry in told["acl"]] == [("x509", "CN=Bob,")]
    assert rest.put("/http", b"x" * 500_000).status == 200
    assert rest.get("/http", Accept="application/octet-stream").body == b"x" * 500_000
    assert [other.get("/http").status, other.put("/http", b"").status] == [401, 401]


def test_events(daemon: Daemon, bob: ssl.SSLContext, eve: ssl.SSLContext) -> None:
    rest, other = Rest(daemon.address, bob), Rest(daemon.address, eve)
    rest.create("/events")
    with (
        rest.stream("/events?view=events&recursive=true") as his,
        other.stream("/events?view=events&recursive=true") as hers,
    ):
        assert [next(his)["type"], next(hers)["type"]] == ["watching", "watching"]
        bobs(rest, "/events/bobs")
        rest.create("/events/for-all")
        assert [next(his)["path"], next(his)["path"]] == ["/events/bobs", "/events/for-all"]
        assert next(hers)["path"] == "/events/for-all"


def test_websocket(daemon: Daemon, bob: ssl.SSLContext, eve: ssl.SSLContext) -> None:
    bobs(Rest(daemon.address, bob), "/websocket")

    async def run() -> None:
        async with opened(daemon.address, bob) as his, opened(daemon.address, eve) as hers:
            await his.connect()
            await hers.connect()
            identities = (await his.ask("whoAmI"))["identities"]
            assert isinstance(identities, list)
            assert identities[0] == {"scheme": "ip", "id": HOST}
            assert (identities[1]["scheme"], identities[1]["id"][:7]) == ("x509", "CN=Bob,")
            assert (await hers.try_("get", path="/websocket")).result == "NoAuth"
            await his.ask("get", path="/websocket", watch=True)
            await his.tell(("set", {"path": "/websocket", "data": b"x" * 500_000}))
            event, answer = await his.item(), await his.answer()
            assert isinstance(event, Event)
            assert (event.kind, event.path, event.zxid) == ("changed", "/websocket", answer.zxid)
            await his.tell(*[("get", {"path": "/websocket"})] * 40)
            await hers.ask("ping")  # he reads late, and gets it all
            for _ in range(40):
                result = (await his.answer()).result
                assert isinstance(result, dict) and result["data"] == b"x" * 500_000

    asyncio.run(run())
