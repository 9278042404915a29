"""The WebSocket against a daemon: what a client can ask for, and in which order it is answered."""

from __future__ import annotations

import asyncio

from znoded.api.websocket.messages import MOST
from znoded.storage.acl import digest

from .messenger import Closed, Event, connected, stat


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
