"""The WebSocket against a daemon: what watches tell."""

from __future__ import annotations

import asyncio

from .messenger import Answer, Event, connected, kazoo


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
