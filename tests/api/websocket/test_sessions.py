"""The WebSocket against a daemon: how it opens, and the sessions that it carries."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from .messenger import PER_ADDRESS, Closed, connected, kazoo, opened, stat, status


class TestHandshake:
    def test_names_the_subprotocol_if_it_is_asked_for(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            async with opened(at, headers={"Sec-WebSocket-Protocol": "other, znoded.v1.cbor"}) as client:
                assert client.socket._response.headers["Sec-WebSocket-Protocol"] == "znoded.v1.cbor"
            assert await status(at, **{"Sec-WebSocket-Protocol": "other"}) == 400

        asyncio.run(session())

    def test_refuses_pages_of_other_sites(self, at: tuple[str, int]) -> None:
        async def session() -> None:
            assert await status(at, Origin="https://elsewhere.example") == 403
            assert await status(at, Origin="null") == 403
            async with opened(at, headers={"Origin": f"http://{at[0]}:{at[1]}"}) as client:
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


def test_connections_are_listed(at: tuple[str, int]) -> None:
    async def session() -> None:
        async with connected(at) as client:
            await client.ask("ping")
            reader, writer = await asyncio.open_connection(*at)
            writer.write(b"cons")
            assert f"sid={client.session:#x}".encode() in await reader.read()
            writer.close()

    asyncio.run(session())
