"""What a client does with znodes, and how a server's refusals reach its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from znoded.client import (
    ALL,
    READ,
    Acl,
    AuthFailed,
    BadArguments,
    BadVersion,
    Client,
    Created,
    InvalidACL,
    NoAuth,
    NoChildrenForEphemerals,
    NodeExists,
    NoNode,
    NotEmpty,
    QuotaExceeded,
    ReconfigDisabled,
    Refused,
    State,
    TooLarge,
    Unimplemented,
)
from znoded.client.errors import refusal

from ..daemons import Daemon
from .running import run


class TestZnodes:
    def test_their_life(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                path, stat = await client.create("/life", b"one")
                assert path == "/life"
                assert (stat.version, stat.data_length, stat.ephemeral_owner) == (0, 3, 0)
                assert stat.created == stat.modified
                assert await client.get("/life") == (b"one", stat)
                changed = await client.set("/life", b"two", stat.version)
                assert (changed.version, changed.czxid) == (1, stat.czxid)
                assert changed.mzxid > stat.mzxid
                assert await client.exists("/life") == changed
                await client.create("/life/b")
                await client.create("/life/a")
                assert await client.children("/life") == ["a", "b"]
                assert await client.count("/life") == 2
                assert [found async for found in client.walk("/life")] == ["/life", "/life/a", "/life/b"]
                await client.delete("/life/a", 0)
                await client.delete("/life", recursive=True)
                assert await client.exists("/life") is None

        run(scenario())

    def test_kinds(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                own = await client.create("/kinds", ephemeral=True)
                assert own.stat.ephemeral_owner == client.session[0]
                await client.delete("/kinds")
                await client.create("/kinds", container=True)
                numbered = [await client.create("/kinds/n-", sequential=True) for _ in range(2)]
                assert [path for path, _ in numbered] == ["/kinds/n-0000000000", "/kinds/n-0000000001"]
                mortal = await client.create("/kinds/ttl-", sequential=True, ttl=60)
                assert mortal.path == "/kinds/ttl-0000000002"
                both = await client.create("/kinds/", sequential=True, ephemeral=True)
                assert both.path == "/kinds/0000000003"
                assert await client.ephemerals() == await client.ephemerals("/kinds") == [both.path]
                assert await client.ephemerals("/other") == []
                await client.delete("/kinds", recursive=True)

        run(scenario())

    def test_null_reads_as_nothing(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                assert (await client.create("/empty")).stat.data_length == 0
                assert (await client.get("/empty")).data == b""
                await client.delete("/empty")

        run(scenario())

    def test_parents_on_the_way(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                made = [client.ensure_path("/way/a/b") for _ in range(5)]
                await asyncio.gather(*made)
                await client.ensure_path("/way/a/b")
                await client.ensure_path("/")
                created = [client.create(f"/way/x/y/{number}", parents=True) for number in range(5)]
                await asyncio.gather(*created)
                with pytest.raises(NodeExists):
                    await client.create("/way/x/y/1", parents=True)
                assert await client.count("/way") == 9
                await client.delete("/way", recursive=True)

        run(scenario())

    def test_below_a_chroot(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(f"{server}/client-chroot/app") as client, Client(server) as whole:
                with pytest.raises(NoNode):
                    await client.create("/a")
                assert (await client.create("/a", b"1", parents=True)).path == "/a"
                assert (await whole.get("/client-chroot/app/a")).data == b"1"
                assert (await client.create("/e-", ephemeral=True, sequential=True)).path == "/e-0000000001"
                assert await client.ephemerals() == ["/e-0000000001"]
                assert await client.children("/") == ["a", "e-0000000001"]
                assert [path async for path in client.walk()] == ["/", "/a", "/e-0000000001"]
                with pytest.raises(NoNode, match=r"^/no: "):
                    await client.get("/no")
                assert (await client.transaction().create("/b").commit())[0] == Created(
                    "/b", await client.exists("/b") or pytest.fail()
                )
                await whole.delete("/client-chroot", recursive=True)

        run(scenario())

    def test_large_trees_go_at_once(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                await client.create("/large")
                for number in range(30):
                    await client.create(f"/large/{number}")
                below = [f"/large/{number % 30}/{number}" for number in range(3000)]
                await asyncio.gather(*map(client.create, below))
                assert await client.count("/large") == 3030
                assert {path async for path in client.walk("/large")} >= set(below)
                await asyncio.gather(
                    *(client.delete("/large", recursive=True) for _ in range(2)), return_exceptions=True
                )
                assert await client.exists("/large") is None

        run(scenario())

    def test_a_walk_may_end_early(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                async for _ in client.walk():
                    break
                with pytest.raises(NoNode, match=r"^/no: "):
                    [path async for path in client.walk("/no")]

        run(scenario())

    def test_a_version_guards_a_whole_tree(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                await client.ensure_path("/guarded/below")
                with pytest.raises(BadVersion):
                    await client.delete("/guarded", 5, recursive=True)
                assert await client.count("/guarded") == 1
                await client.delete("/guarded", 0, recursive=True)

        run(scenario())

    def test_sync_shows_what_others_did(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as one, Client(server) as other:
                await one.create("/synced")
                await other.sync("/synced")
                assert await other.exists("/synced")
                await one.delete("/synced")

        run(scenario())


class TestAccess:
    def test_lists(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                await client.create("/acl", acl=[Acl(READ, "world", "anyone"), Acl(ALL, "ip", "127.0.0.1")])
                entries, stat = await client.acl("/acl")
                assert set(entries) == {Acl(READ, "world", "anyone"), Acl(ALL, "ip", "127.0.0.1")}
                changed = await client.set_acl("/acl", [Acl(ALL, "world", "anyone")], stat.aversion)
                assert changed.aversion == 1
                with pytest.raises(BadVersion):
                    await client.set_acl("/acl", [Acl(ALL, "world", "anyone")], 0)
                await client.delete("/acl")

        run(scenario())

    def test_identities(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(f"ws://me:secret@{server}") as me, Client(server) as other:
                assert ("ip", "127.0.0.1") in await me.whoami()
                assert "digest" in dict(await me.whoami())
                await me.create("/mine", acl=[Acl(ALL, "auth", "")])
                with pytest.raises(NoAuth, match=r"^/mine: "):
                    await other.get("/mine")
                with pytest.raises(NoAuth):
                    [path async for path in other.walk("/mine")]
                with pytest.raises(AuthFailed):
                    await other.add_auth("nonsense", b"x")
                await other.add_auth("digest", b"me:secret")
                await other.get("/mine")
                await other.delete("/mine")

        run(scenario())


@pytest.fixture(scope="module")
def quota(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    daemon = Daemon(tmp_path_factory.mktemp("quota"), "enforceQuota=true")
    daemon.start()
    yield "{}:{}".format(*daemon.address)
    daemon.kill()


class TestRefusals:
    def test_of_each_kind(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                await client.create("/refused", ephemeral=True)
                await client.ensure_path("/refusing/below")
                for call, kind in (
                    (client.get("/no"), NoNode),
                    (client.create("/no/below"), NoNode),
                    (client.set("/no", b""), NoNode),
                    (client.delete("/no"), NoNode),
                    (client.children("/no"), NoNode),
                    (client.count("/no"), NoNode),
                    (client.acl("/no"), NoNode),
                    (client.create("/refused"), NodeExists),
                    (client.create("/refused/below"), NoChildrenForEphemerals),
                    (client.delete("/refusing"), NotEmpty),
                    (client.set("/refusing", b"", 7), BadVersion),
                    (client.delete("/refusing/below", 7), BadVersion),
                    (client.create("/no", acl=[]), InvalidACL),
                    (client.create("/no", acl=[Acl(-1, "world", "anyone")]), InvalidACL),
                    (client.create("/no", acl=[Acl(ALL, "nonsense", "x")]), InvalidACL),
                    (client.get("no"), BadArguments),
                    (client.get("/no/"), BadArguments),
                    (client.create("/no", ephemeral=True, ttl=1), BadArguments),
                    (client.create("/no", container=True, sequential=True), BadArguments),
                    (client.create("/no", ttl=-1), BadArguments),
                    (client.create("/no", ttl=float("nan")), BadArguments),
                    (client.set("/no", b"", 1 << 40), BadArguments),
                    (client.set("/no", bytes(1 << 20)), TooLarge),
                    (client.reconfig(joining="server.5=h:1:2;3"), ReconfigDisabled),
                ):
                    with pytest.raises(kind) as caught:
                        await call
                    assert type(caught.value) is kind
                    if caught.value.path:
                        assert str(caught.value).startswith(f"{caught.value.path}: ")
                await client.delete("/refusing", recursive=True)

        run(scenario())

    def test_the_largest_message_is_the_server_s(self, server: str) -> None:
        states: list[State] = []

        async def scenario() -> None:
            async with Client(server, on_state=states.append) as client:
                await client.create("/largest")
                least, most = 0xFFFFF - 200, 0xFFFFF
                while most - least > 1:
                    size = (least + most) // 2
                    try:
                        await client.set("/largest", bytes(size))
                        least = size
                    except TooLarge:
                        most = size
                assert (await client.get("/largest")).stat.data_length == least
                await client.delete("/largest")

        run(scenario())
        assert states == [State.CONNECTED, State.CLOSED]  # no message was one byte too large

    def test_quota(self, quota: str) -> None:
        async def scenario() -> None:
            async with Client(quota) as client:
                await client.create("/q")
                await client.create(
                    "/zookeeper/quota/q/zookeeper_limits",
                    b"count=2,bytes=-1=;byteHardLimit=-1;countHardLimit=2",
                    parents=True,
                )
                await client.create("/zookeeper/quota/q/zookeeper_stats", b"count=1,bytes=0")
                await client.create("/q/1")
                with pytest.raises(QuotaExceeded, match=r"^/q/2: "):
                    await client.create("/q/2")

        run(scenario())

    def test_extended_types_need_a_server_s_consent(self, quota: str) -> None:
        async def scenario() -> None:
            async with Client(quota) as client:
                with pytest.raises(Unimplemented):
                    await client.create("/ttl", ttl=1)

        run(scenario())

    def test_of_a_kind_that_nobody_knows(self) -> None:
        error = refusal(-127, "ThrottledOp", "/a")
        assert type(error) is Refused
        assert str(error) == "/a: ThrottledOp (-127)"


def test_calls_are_done_in_the_order_they_were_made(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/order", b"0")
            done: list[int] = []

            async def change(number: int) -> None:
                # Each guards the next: out of order they would be refused.
                await client.set("/order", b"%d" % number, number)
                done.append(number)

            async def read(number: int) -> bytes:
                return (await client.get("/order")).data

            calls = [call for number in range(400) for call in (change(number), read(number))]
            outcomes = await asyncio.gather(*calls)
            assert done == [*range(400)]
            assert outcomes[1::2] == [b"%d" % number for number in range(400)]
            await client.delete("/order")

    run(scenario())
