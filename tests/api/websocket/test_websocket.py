"""The WebSocket against a daemon: what a session can do there, and what becomes of who breaks its rules."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import cbor2
import pytest
from kazoo.client import KazooClient

from znoded.api.websocket.messages import MOST
from znoded.storage.acl import digest

from ...daemons import Daemon, until
from .messenger import Answer, Closed, Event, connected, opened, status

LIMIT = 0xFFFFF
PER_ADDRESS = 30
SETTINGS = f"""
tickTime=100
minSessionTimeout=200
maxClientCnxns={PER_ADDRESS}
4lw.commands.whitelist=*
"""
IMPATIENT = """
from znoded.api.websocket import connection
connection.PATIENCE = 1.0
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    server = Daemon(tmp_path_factory.mktemp("websocket"), SETTINGS, IMPATIENT)
    server.start()
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log.splitlines() if "ERROR" in line or "Traceback" in line]


@pytest.fixture
def at(daemon: Daemon) -> tuple[str, int]:
    return daemon.address


@contextmanager
def kazoo(address: tuple[str, int]) -> Iterator[KazooClient]:
    client = KazooClient(hosts=f"{address[0]}:{address[1]}")
    client.start(20)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def stat(result: dict[str, object]) -> dict[str, int]:
    found = result["stat"]
    assert isinstance(found, dict)
    return found


class TestRequests:
    def test_a_znode_is_made_read_changed_and_deleted(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                made = await client.ask("create", path="/plain", data=b"one")
                assert (made["path"], stat(made)["version"], stat(made)["dataLength"]) == ("/plain", 0, 3)
                assert await client.ask("get", path="/plain") == {"data": b"one", "stat": stat(made)}
                changed = await client.ask("set", path="/plain", data=b"two!", version=0)
                assert stat(changed)["version"] == 1
                assert await client.ask("exists", path="/plain") == changed
                assert await client.ask("delete", path="/plain", version=1) == {}
                assert (await client.try_("exists", path="/plain"))[2:] == (-101, "NoNode")

        asyncio.run(session())

    def test_no_data_are_not_empty_data(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                for path, data in (("/null", None), ("/empty", b"")):
                    await client.ask("create", path=path, data=data)
                    assert (await client.ask("get", path=path))["data"] == data

        asyncio.run(session())

    def test_every_kind_of_znode(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.ask("create", path="/kinds")
                lasting = await client.ask("create", path="/kinds/l-", sequential=True)
                owned = await client.ask("create", path="/kinds/e-", sequential=True, ephemeral=True)
                assert (lasting["path"], owned["path"]) == ("/kinds/l-0000000000", "/kinds/e-0000000001")
                assert stat(owned)["ephemeralOwner"] == client.session
                assert await client.ask("getEphemerals", path="/kinds") == {"paths": [owned["path"]]}
                assert (await client.ask("create", path="/kinds/c", container=True))["path"] == "/kinds/c"
                assert (await client.try_("create", path="/kinds/t", ttl=5000)).error == -6
                found = await client.ask("children", path="/kinds")
                names = found["children"]
                assert isinstance(names, list)
                assert sorted(names) == ["c", "e-0000000001", "l-0000000000"]
                assert stat(found)["numChildren"] == 3
                assert await client.ask("getAllChildrenNumber", path="/kinds") == {"number": 3}

        asyncio.run(session())

    def test_who_may_what(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            mine = [{"perms": 31, "scheme": "auth", "id": ""}]
            async with connected(at) as client, connected(at) as stranger:
                await client.ask("auth", scheme="digest", credentials=b"me:secret")
                shown = [{"scheme": "ip", "id": at[0]}, {"scheme": "digest", "id": "me"}]
                assert await client.ask("whoAmI") == {"identities": shown}
                await client.ask("create", path="/mine", acl=mine)
                kept = (await client.ask("getACL", path="/mine"))["acl"]
                assert kept == [{"perms": 31, "scheme": "digest", "id": digest(b"me:secret")}]
                assert (await stranger.try_("get", path="/mine")).result == "NoAuth"
                everyone = [{"perms": 1, "scheme": "world", "id": "anyone"}]
                assert (
                    stat(await client.ask("setACL", path="/mine", acl=everyone, version=0))["aversion"] == 1
                )
                await stranger.ask("get", path="/mine")
                assert (await stranger.try_("auth", scheme="no", credentials=b"")).result == "AuthFailed"
                assert await stranger.item() == Closed(1001, "authentication failed")

        asyncio.run(session())

    def test_a_multi_is_done_whole_or_not_at_all(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.ask("create", path="/m")
                failed = await client.ask(
                    "multi",
                    ops=[
                        ["set", {"path": "/m", "data": b"x"}],
                        ["check", {"path": "/m", "version": 7}],
                        ["delete", {"path": "/m"}],
                    ],
                )
                assert failed == {"results": [[0, None], [-103, "BadVersion"], [-2, "RuntimeInconsistency"]]}
                done = await client.ask(
                    "multi",
                    ops=[
                        ["check", {"path": "/m", "version": 0}],
                        ["create", {"path": "/m/c-", "sequential": True}],
                        ["set", {"path": "/m", "data": b"x"}],
                        ["delete", {"path": "/m/c-0000000000"}],
                    ],
                )
                results = done["results"]
                assert isinstance(results, list)
                assert [results[0], results[3]] == [[0, {}], [0, {}]]
                assert results[1][1]["path"] == "/m/c-0000000000"
                assert results[2][1]["stat"]["version"] == 1
                read = await client.ask(
                    "multiRead",
                    ops=[["get", {"path": "/m"}], ["children", {"path": "/m"}], ["get", {"path": "/"}]],
                )
                found = read["results"]
                assert isinstance(found, list)
                assert found[0][1]["data"] == b"x" and found[1] == [0, {"children": []}] and found[2][0] == 0

        asyncio.run(session())

    def test_the_rest(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                assert await client.ask("ping") == {}
                assert await client.ask("sync", path="/") == {"path": "/"}
                assert (await client.try_("reconfig", leaving="3")).result == "ReconfigDisabled"

        asyncio.run(session())

    def test_are_answered_in_line_in_few_messages(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.ask("create", path="/line")
                before = client.messages
                await client.tell(
                    *[
                        request
                        for _ in range(100)
                        for request in (("set", {"path": "/line", "data": b"x"}), ("get", {"path": "/line"}))
                    ]
                )
                answers = [await client.answer() for _ in range(200)]
                assert [answer.xid for answer in answers] == [*range(answers[0].xid, answers[0].xid + 200)]
                versions = [
                    stat(answer.result)["version"] for answer in answers if isinstance(answer.result, dict)
                ]
                assert versions == [number for version in range(1, 101) for number in (version, version)]
                assert client.messages - before < 150

        asyncio.run(session())

    def test_count_though_the_client_does_not_wait(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as other:
                await other.ask("create", path="/hasty")
                await other.ask("get", path="/hasty", watch=True)
                async with connected(at) as client:
                    await client.tell(*[("ping", {})] * MOST)
                    await client.tell(*[("ping", {})] * (MOST - 1), ("set", {"path": "/hasty", "data": b"x"}))
                    await client.socket.close()
                item = await other.item()
                assert isinstance(item, Event) and item.kind == "changed"

        asyncio.run(session())

    def test_more_than_are_served_in_a_turn(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                for _ in range(3):
                    await client.tell(*[("exists", {"path": "/"})] * MOST)
                answers = [await client.answer() for _ in range(3 * MOST)]
                assert [answer.xid for answer in answers] == [*range(2, 3 * MOST + 2)]

        asyncio.run(session())

    def test_large_answers_come_in_messages_of_their_own(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                value = bytes(range(256)) * 3900
                await client.ask("create", path="/large", data=value)
                await client.tell(*[("get", {"path": "/large"})] * 20)
                for _ in range(20):
                    result = (await client.answer()).result
                    assert isinstance(result, dict) and result["data"] == value

        asyncio.run(session())


class TestWatches:
    def test_a_change_is_told_before_the_answer_that_shows_it(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.tell(
                    ("exists", {"path": "/w", "watch": True}),
                    ("create", {"path": "/w"}),
                    ("get", {"path": "/w", "watch": True}),
                    ("children", {"path": "/w", "watch": True}),
                    ("create", {"path": "/w/c"}),
                    ("delete", {"path": "/w/c"}),
                    ("delete", {"path": "/w"}),
                )
                items = [await client.item() for _ in range(10)]
                zxid = {item.xid: item.zxid for item in items if isinstance(item, Answer)}
                assert [item[:2] if isinstance(item, Event) else item[0] for item in items] == [
                    2, ("created", "/w"), 3, 4, 5, ("children", "/w"), 6, 7, ("deleted", "/w"), 8,
                ]  # fmt: skip
                assert items[1] == Event("created", "/w", zxid[3])

        asyncio.run(session())

    def test_tell_what_another_dialect_does(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.ask("addWatch", path="/tree", recursive=True)
                with kazoo(at) as other:
                    await asyncio.to_thread(other.ensure_path, "/tree/leaf")
                    await asyncio.to_thread(other.set, "/tree/leaf", b"x")
                items = [await client.item() for _ in range(3)]
                assert [item[:2] for item in items] == [
                    ("created", "/tree"), ("created", "/tree/leaf"), ("changed", "/tree/leaf"),
                ]  # fmt: skip

        asyncio.run(session())

    def test_are_looked_for_and_removed(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.ask("addWatch", path="/removed")
                await client.ask("checkWatches", path="/removed", kind="persistent")
                await client.ask("removeWatches", path="/removed", kind="any")
                found = await client.try_("checkWatches", path="/removed", kind="persistent")
                assert found.result == "NoWatcher"
                await client.ask("create", path="/removed")
                assert await client.ask("ping") == {}  # and no event before

        asyncio.run(session())

    def test_are_set_again_after_a_reconnect(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as other:
                for path in ("/again/changed", "/again/same", "/again/gone", "/again/parent"):
                    await other.try_("create", path="/again")
                    await other.ask("create", path=path)
                async with connected(at) as client:
                    seen = (await client.try_("sync", path="/")).zxid
                await other.ask("set", path="/again/changed", data=b"x")
                await other.ask("delete", path="/again/gone")
                await other.ask("create", path="/again/new")
                async with connected(at, session=client.session, password=client.password, seen=seen) as back:
                    await back.tell(
                        (
                            "setWatches",
                            {
                                "seen": seen,
                                "data": ["/again/changed", "/again/same", "/again/gone"],
                                "exists": ["/again/new"],
                                "children": ["/again/parent"],
                                "recursive": ["/again/below"],
                            },
                        )
                    )
                    told = [await back.item() for _ in range(4)]
                    assert told[:3] == [
                        Event("changed", "/again/changed", 0),
                        Event("deleted", "/again/gone", 0),
                        Event("created", "/again/new", 0),
                    ]
                    assert isinstance(told[3], Answer) and told[3].error == 0
                    for path in ("/again/same", "/again/parent/c", "/again/below/b"):
                        await other.try_("set", path=path, data=b"") if path == "/again/same" else None
                        await other.try_("create", path=path)
                    await other.ask("create", path="/again/below")
                    later = [await back.item() for _ in range(3)]
                    assert [item[:2] for item in later] == [
                        ("changed", "/again/same"),
                        ("children", "/again/parent"),
                        ("created", "/again/below"),
                    ]  # fmt: skip

        asyncio.run(session())


class TestSessions:
    def test_live_on_without_a_connection_and_move(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as first:
                await first.ask("create", path="/owned", ephemeral=True)
                async with connected(at, session=first.session, password=first.password) as second:
                    assert second.session == first.session
                    closed = await first.item()
                    assert (
                        isinstance(closed, Closed) and closed.code == 1001 and "moved" in str(closed.reason)
                    )
                    await second.ask("get", path="/owned")
            with kazoo(at) as other:
                assert await asyncio.to_thread(other.exists, "/owned")

        asyncio.run(session())

    def test_move_between_dialects(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            with kazoo(at) as other:
                await asyncio.to_thread(other.create, "/moved", b"", None, True)
                number, password = other.client_id
                async with connected(at, session=number, password=password) as client:
                    assert stat(await client.ask("get", path="/moved"))["ephemeralOwner"] == number
                    # kazoo takes its session back as soon as it notices.
                    closed = await client.item()
                    assert isinstance(closed, Closed) and closed.code == 1001
                    assert await asyncio.to_thread(other.exists, "/moved")
                    assert other.client_id == (number, password)

        asyncio.run(session())

    def test_end_when_they_are_closed(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client, connected(at) as other:
                await client.ask("create", path="/closed", ephemeral=True)
                assert await client.ask("close") == {}
                assert await client.item() == Closed(1000, "")
                assert (await other.try_("exists", path="/closed")).result == "NoNode"

        asyncio.run(session())

    def test_expire_in_silence_and_are_refused_then(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at, timeout=200) as client:
                assert await client.item() == Closed(1001, "")
            async with opened(at) as late:
                refused = await late.try_(
                    "connect", timeout=1, session=client.session, password=client.password
                )
                assert (refused.error, refused.result) == (-112, "SessionExpired")
                assert await late.item() == Closed(4001, "")

        asyncio.run(session())

    def test_are_kept_alive_by_pings(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at, timeout=400) as client, connected(at, timeout=400) as silent:
                ended = asyncio.create_task(silent.item())
                while not ended.done():
                    await asyncio.sleep(0.05)
                    await client.ask("ping")
                assert ended.result() == Closed(1001, "")

        asyncio.run(session())

    def test_need_their_password(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client, opened(at) as thief:
                refused = await thief.try_("connect", timeout=9000, session=client.session, password=b"guess")
                assert refused.result == "SessionExpired"
                assert await thief.item() == Closed(4001, "")
                await client.ask("ping")

        asyncio.run(session())

    def test_are_not_begun_where_the_server_is_behind(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at) as client:
                await client.tell(("connect", {"timeout": 1000, "seen": 1 << 60}))
                closed = await client.item()
                assert (
                    isinstance(closed, Closed)
                    and closed.code == 1001
                    and "another server" in str(closed.reason)
                )

        asyncio.run(session())


class TestHandshake:
    def test_names_the_subprotocol_if_it_is_asked_for(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at, **{"Sec-WebSocket-Protocol": "other, znoded.v1.cbor"}) as client:
                assert client.socket._response.headers["Sec-WebSocket-Protocol"] == "znoded.v1.cbor"
            assert await status(at, **{"Sec-WebSocket-Protocol": "other"}) == 400

        asyncio.run(session())

    def test_refuses_pages_of_other_sites(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            assert await status(at, Origin="https://elsewhere.example") == 403
            assert await status(at, Origin="null") == 403
            async with opened(at, Origin=f"http://{at[0]}:{at[1]}") as client:
                await client.connect()

        asyncio.run(session())

    def test_agrees_on_no_compression(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"http://{at[0]}:{at[1]}/ws/v1", compress=15) as socket,
            ):
                assert socket.compress == 0

        asyncio.run(session())

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_is_asked_for(self, at: tuple[str, int], method: str) -> None:
        async def session() -> None:
            async with (
                aiohttp.ClientSession() as http,
                http.request(method, f"http://{at[0]}:{at[1]}/ws/v1") as answer,
            ):
                assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
                assert (await answer.json())["request"] == f"{method} /ws/v1"

        asyncio.run(session())

    def test_counts_a_connection_once(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            for _ in range(2 * PER_ADDRESS):
                async with connected(at):
                    pass
            opening = [opened(at) for _ in range(PER_ADDRESS)]
            clients = [await one.__aenter__() for one in opening]
            with pytest.raises(aiohttp.ClientError):
                async with opened(at):
                    pass
            for client, one in zip(clients, opening, strict=True):
                await client.connect()
                await one.__aexit__(None, None, None)

        asyncio.run(session())


HOSTILE = {
    "nothing": b"",
    "no array": cbor2.dumps({}),
    "a request alone": cbor2.dumps([1, "ping"]),
    "two arrays": cbor2.dumps([]) + cbor2.dumps([]),
    "bytes as long as the memory of all": b"\x81\x83\x01\x63get\xa1\x64path\x5b\x10" + bytes(7),
    "an array of as many": b"\x9b\x10" + bytes(7),
    "a map of as many": b"\x81\x83\x01\x63get\xbb\x10" + bytes(7),
    "deep arrays": b"\x81" * 100_000 + b"\0",
    "deep tags": b"\xc1" * 100_000 + b"\0",
    "deep arrays without an end": b"\x9f" * 100_000,
    "a date": cbor2.dumps([[1, "ping"]])[:-1] + b"\xc1\x00",
    "a pattern": b"\x81\x83\x01\x63get\xa1\x64path\xd8\x23\x62.*",
    "a value that holds itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "text that is not UTF-8": b"\x81\x83\x01\x63get\xa1\x64path\x61\xff",
    "too many requests": cbor2.dumps([[1, "ping"]] * (MOST + 1)),
    "an unknown request": cbor2.dumps([[1, "got"]]),
    "an unknown argument": cbor2.dumps([[1, "get", {"path": "/", "wacth": True}]]),
    "a number for a path": cbor2.dumps([[1, "get", {"path": 1}]]),
    "a version of 33 bits": cbor2.dumps([[1, "delete", {"path": "/", "version": 1 << 32}]]),
    "an xid of 32 bits": cbor2.dumps([[1 << 31, "ping"]]),
    "a second connect": cbor2.dumps([[1, "connect", {"timeout": 1000}]]),
}


class TestBadInput:
    @pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
    def test_a_message_that_is_no_request(self, at: tuple[str, int], message: bytes) -> None:
        async def session() -> None:
            async with connected(at) as client, connected(at) as bystander:
                await client.tell(("ping", {}))
                await client.socket.send_bytes(message)
                assert isinstance(await client.item(), Answer)  # what came before is answered
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1007 and closed.reason
                await bystander.ask("ping")

        asyncio.run(session())

    def test_text(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.socket.send_str("[]")
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1003

        asyncio.run(session())

    def test_a_message_that_is_too_large(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as client:
                await client.socket.send_bytes(bytes(LIMIT + 1))
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1009

        asyncio.run(session())

    def test_a_request_before_connect(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at) as client:
                await client.tell(("get", {"path": "/"}))
                closed = await client.item()
                assert isinstance(closed, Closed) and closed.code == 1007

        asyncio.run(session())

    def test_silence_instead_of_connect(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at) as client:
                assert await client.item() == Closed(1008, "has had no session for 1 s")

        asyncio.run(session())

    def test_a_client_that_asks_and_never_reads(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                await bystander.ask("create", path="/heavy", data=bytes(900_000))
                before = daemon.memory
                _, writer = await deaf(at, 400)
                writer.write(frame(cbor2.dumps([[1, "get", {"path": "/heavy"}]] * MOST)) * 10)
                until(lambda: "silent for 400 ms" in daemon.log[daemon.mark :], "the end of its session")
                assert daemon.memory - before < 40 << 20
                await bystander.ask("ping")
                writer.close()

        daemon.mark = len(daemon.log)
        asyncio.run(session())

    def test_a_client_that_watches_and_never_reads(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                path = "/" + "x" * 500_000
                await bystander.ask("create", path=path)
                before = daemon.memory
                _, writer = await deaf(at, 4000)
                writer.write(frame(cbor2.dumps([[1, "addWatch", {"path": "/", "recursive": True}]])))
                changes = 0
                while "does not read what it is sent" not in daemon.log[daemon.mark :]:
                    await bystander.ask("set", path=path, data=None)
                    changes += 1
                    assert changes < 1000
                assert daemon.memory - before < 60 << 20
                writer.close()

        daemon.mark = len(daemon.log)
        asyncio.run(session())

    def test_a_client_that_leaves_amid_its_requests(self, daemon: Daemon, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with connected(at) as bystander:
                await bystander.ask("create", path="/left")
                for _ in range(5):
                    _, writer = await deaf(at, 4000)
                    writer.write(frame(cbor2.dumps([[1, "set", {"path": "/left", "data": b""}]] * MOST)) * 5)
                    await asyncio.sleep(0)
                    writer.transport.abort()
                await bystander.ask("set", path="/left", data=b"x")

        asyncio.run(session())


async def deaf(address: tuple[str, int], patience: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with a session, that reads little of what it is sent."""
    reader, writer = await asyncio.open_connection(*address, limit=1 << 16)
    writer.write(
        b"GET /ws/v1 HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(cbor2.dumps([[0, "connect", {"timeout": patience}]])))
    return reader, writer


def frame(message: bytes) -> bytes:
    """A client's frame, with a mask of zeros."""
    return struct.pack(">BBHI", 0x82, 0xFE, len(message), 0) + message


def test_connections_are_listed(at: tuple[str, int]) -> None:
    async def session() -> None:
        async with connected(at) as client:
            await client.ask("ping")
            reader, writer = await asyncio.open_connection(*at)
            writer.write(b"cons")
            assert f"sid={client.session:#x}".encode() in await reader.read()
            writer.close()

    asyncio.run(session())
