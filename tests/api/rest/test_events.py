"""?view=events: what happens to a znode as server-sent events, from now on and with no silent gaps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ...daemons import Daemon
from .client import JSON, OCTETS, Rest
from .test_beyond import basic


def brief(event: dict[str, Any]) -> tuple[str, str]:
    return event["type"], event["path"]


def test_events_of_one_znode(rest: Rest, top: str) -> None:
    with rest.stream(f"{top}?view=events") as events:
        assert brief(next(events)) == ("watching", top)
        zxid = rest.put(top, b"1").zxid
        assert next(events) == {"type": "changed", "path": top, "zxid": zxid}
        rest.create(f"{top}/a")
        assert brief(next(events)) == ("children", top)
        rest.put(f"{top}/a", b"1")
        rest.delete(f"{top}/a")
        assert brief(next(events)) == ("children", top)
        rest.delete(top)
        assert brief(next(events)) == ("deleted", top)
        rest.create(top)
        assert brief(next(events)) == ("created", top)


def test_events_of_a_subtree(rest: Rest, top: str) -> None:
    with rest.stream(f"{top}?view=events&recursive=true") as events:
        next(events)
        rest.create(f"{top}/a")
        rest.put(f"{top}/a", b"1")
        rest.delete(f"{top}/a")
        rest.put(top, b"1")
        told = [brief(next(events)) for _ in range(4)]
    below = f"{top}/a"
    assert told == [("created", below), ("changed", below), ("deleted", below), ("changed", top)]


def test_what_it_looks_like(rest_daemon: Daemon, rest: Rest, top: str) -> None:
    with rest.raw() as sock:
        sock.sendall(
            f"GET /znodes/v1{top}?view=events HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        lines = sock.makefile("rb")
        head = [line.decode().rstrip() for line in iter(lines.readline, b"\r\n")]
        zxid = rest.put(top, b"").zxid
        text = b"".join(lines.readline() for _ in range(8)).decode().split("\n\n")
    assert head[0].split()[1] == "200"
    assert "Content-Type: text/event-stream" in head
    assert "Cache-Control: no-store" in head
    told = json.dumps({"type": "changed", "path": top, "zxid": zxid})
    assert text[1] == f"event: changed\nid: {zxid}\ndata: {told}"


class TestAgain:
    """A client that comes back tells the last event that it saw."""

    def first(self, rest: Rest, path: str, last: int | str) -> str:
        with rest.stream(path, **{"Last-Event-ID": str(last)}) as events:
            return str(next(events)["type"])

    def test_nothing_has_happened_to_the_znode(self, rest: Rest, top: str) -> None:
        last = rest.put(top, b"").zxid
        rest.put("/", b"")  # elsewhere
        assert self.first(rest, f"{top}?view=events", last) == "watching"

    def test_something_has(self, rest: Rest, top: str) -> None:
        last = rest.put(top, b"").zxid
        rest.create(f"{top}/a")
        assert self.first(rest, f"{top}?view=events", last) == "missed"

    def test_it_may_have_been_deleted(self, rest: Rest, top: str) -> None:
        last = rest.put(top, b"").zxid
        rest.delete(top)
        assert self.first(rest, f"{top}?view=events", last) == "missed"

    def test_nobody_knows_of_a_subtree(self, rest: Rest, top: str) -> None:
        last = rest.put(top, b"").zxid
        assert self.first(rest, f"{top}?view=events&recursive=true", last) == "watching"
        rest.put("/", b"")
        assert self.first(rest, f"{top}?view=events&recursive=true", last) == "missed"

    @pytest.mark.parametrize("last", ["x", "9" * 19, "9" * 400, "-1"])
    def test_what_no_server_said(self, rest: Rest, top: str, last: str) -> None:
        assert self.first(rest, f"{top}?view=events", last) == "missed"


def test_who_may_not_read_hears_nothing(rest: Rest, top: str) -> None:
    mine = {"acl": [{"perms": "cdrwa", "scheme": "auth", "id": ""}]}
    rest.post(f"{top}?name=mine", json.dumps(mine).encode(), JSON | basic("anna"))
    watched = f"{top}/mine?view=events"
    with rest.stream(watched) as stranger, rest.stream(watched, **basic("anna")) as owner:
        next(stranger)
        next(owner)
        rest.put(f"{top}/mine", b"1", OCTETS | basic("anna"))
        assert brief(next(owner)) == ("changed", f"{top}/mine")
        open_to_all = {"acl": [{"perms": "r", "scheme": "world", "id": "anyone"}]}
        rest.put(f"{top}/mine?view=acl", json.dumps(open_to_all).encode(), JSON | basic("anna"))
        zxid = rest.delete(f"{top}/mine").zxid
        assert next(stranger) == {"type": "deleted", "path": f"{top}/mine", "zxid": zxid}


def test_another_form_is_not_to_be_had(rest: Rest, top: str) -> None:
    assert rest.get(f"{top}?view=events", accept="application/json").status == 406


@pytest.fixture
def own(tmp_path: Any) -> Iterator[Daemon]:
    """A server of the test's own."""
    daemon = Daemon(
        tmp_path, "maxClientCnxns=0", "from znoded.api.rest import events\nevents._BACKLOG = 20_000"
    )
    daemon.start()
    yield daemon
    daemon.kill()


def test_streams_end_with_the_server(own: Daemon) -> None:
    rest = Rest(own.address)
    with rest.stream("/?view=events") as events:
        next(events)
        assert own.stop() == 0
        assert list(events) == []
    assert "Traceback" not in own.log


def test_who_does_not_read_is_given_up(own: Daemon) -> None:
    rest = Rest(own.address)
    with rest.raw(buffer=4096) as sock:
        sock.sendall(b"GET /znodes/v1/?view=events&recursive=true HTTP/1.1\r\nHost: x\r\n\r\n")
        rest.create("/a")
        for _ in range(30):
            rest.multi(*({"op": "set", "path": "/a"} for _ in range(1000)))
        size = 0
        while piece := sock.recv(1 << 20):
            size += len(piece)
    assert size < 10 << 20
    assert rest.get("/a").status == 200
