"""What is watched is told, each once and in order; what may have been missed is told to be."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from znoded.client import Client, ConnectionClosed, Event, Kind, NoWatcher, Watch

from .cutting import Scissors, Way
from .running import run


async def told(watch: Watch, number: int) -> list[tuple[str, str]]:
    """The next events."""
    return [(event.kind.value, event.path) for event in [await anext(watch) for _ in range(number)]]


async def change(client: Client, path: str) -> None:
    """Do all to a znode that there is to be told of it."""
    await client.create(path)
    await client.set(path, b"1")
    await client.create(f"{path}/below")
    await client.set(f"{path}/below", b"1")
    await client.delete(path, recursive=True)


PLAIN = [
    ("created", "/p"),
    ("changed", "/p"),
    ("children", "/p"),
    ("children", "/p"),
    ("deleted", "/p"),
]
RECURSIVE = [
    ("created", "/p"),
    ("changed", "/p"),
    ("created", "/p/below"),
    ("changed", "/p/below"),
    ("deleted", "/p/below"),
    ("deleted", "/p"),
]


@pytest.mark.parametrize("root", ["", "/rooted"])
class TestEvents:
    def test_of_a_path(self, server: str, root: str) -> None:
        async def scenario() -> None:
            async with Client(server + root) as client, client.watch("/p") as watch:
                await client.ensure_path("/")
                await change(client, "/p")
                assert await told(watch, 5) == PLAIN

        run(scenario())

    def test_of_all_below(self, server: str, root: str) -> None:
        async def scenario() -> None:
            async with Client(server + root) as client, client.watch("/p", recursive=True) as watch:
                await client.ensure_path("/")
                await change(client, "/p")
                assert await told(watch, 6) == RECURSIVE

        run(scenario())

    def test_each_watch_is_told_its_own_once(self, server: str, root: str) -> None:
        async def scenario() -> None:
            async with Client(server + root) as client:
                await client.ensure_path("/")
                async with (
                    client.watch("/p") as one,
                    client.watch("/p") as two,
                    client.watch("/p", recursive=True) as deep,
                    client.watch("/", recursive=True) as whole,
                    client.watch("/p/below") as below,
                ):
                    await change(client, "/p")
                    await client.create("/last")
                    assert await told(one, 5) == await told(two, 5) == PLAIN
                    assert await told(deep, 6) == RECURSIVE
                    assert await told(whole, 7) == [*RECURSIVE, ("created", "/last")]
                    assert await told(below, 3) == [
                        ("created", "/p/below"),
                        ("changed", "/p/below"),
                        ("deleted", "/p/below"),
                    ]
                    await client.delete("/last")

        run(scenario())


class TestClosing:
    @pytest.mark.parametrize("first", [False, True])
    def test_one_of_two_kinds_leaves_the_other(self, server: str, first: bool) -> None:
        async def scenario() -> None:
            async with Client(server) as client, client.watch("/p", recursive=not first) as left:
                async with client.watch("/p", recursive=first):
                    pass
                await change(client, "/p")
                assert await told(left, 5) == (PLAIN if first else RECURSIVE)[:5]

        run(scenario())

    def test_the_last_of_a_path_tells_the_server(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                for way in ("close", "let go"):
                    one, two = await client.watch("/p").ready(), await client.watch("/p").ready()
                    one.close()
                    assert await anext(one, None) is None
                    assert await is_set(client)
                    if way == "close":
                        two.close()
                        two.close()
                    else:
                        del two
                        gc.collect()
                        await asyncio.sleep(0)
                    assert not await is_set(client)

        async def is_set(client: Client) -> bool:
            with suppress(NoWatcher):
                await client._ask("checkWatches", {"path": "/p", "kind": "persistent"})
                return True
            return False

        run(scenario())

    def test_ends_loops(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                watch = await client.watch("/p").ready()
                other = await client.watch("/q").ready()
                loops = [asyncio.create_task(anext(each, None)) for each in (watch, other)]
                await asyncio.sleep(0)
                watch.close()
                assert await loops[0] is None
            assert await loops[1] is None
            with pytest.raises(ConnectionClosed):
                client.watch("/p")

        run(scenario())

    def test_a_watch_that_takes_its_place_is_set(self, server: str) -> None:
        async def scenario() -> None:
            async with Client(server) as client:
                for _ in range(100):
                    client.watch("/p").close()
                    watch = client.watch("/p")
                    await client.create("/p")
                    assert await told(watch, 1) == [("created", "/p")]
                    watch.close()
                    await client.delete("/p")

        run(scenario())


def test_what_nobody_reads_is_told_to_be_missed(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/p")
            async with client.watch("/p", limit=3) as watch:
                for number in range(5):
                    await client.set("/p", b"%d" % number)
                assert await told(watch, 2) == [("missed", "/p"), ("changed", "/p")]
            await client.delete("/p")

    run(scenario())


def test_nothing_is_lost_between_two_reads(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client, Client(server) as other:
            await client.create("/p", b"0")

            async def write() -> None:
                for number in range(1, 300):
                    await other.set("/p", b"%d" % number)

            async with client.watch("/p") as watch:
                writing = asyncio.create_task(write())
                seen = 0
                while seen < 299:
                    assert await anext(watch) == Event(Kind.CHANGED, "/p")
                    seen += 1
                await writing
            await client.delete("/p")

    run(scenario())


def test_thousands_are_set_again(server: str) -> None:
    async def scenario() -> None:
        host, _, port = server.partition(":")
        scissors = Scissors(1_000_000, passed=False)
        async with Way([(host, int(port))], scissors) as way, Client(f"{way.hosts}/many") as client:
            watches = [client.watch(f"/{'x' * 80}{path}", recursive=path % 2 == 0) for path in range(3_000)]
            await asyncio.gather(*(watch.ready() for watch in watches))
            scissors.number = scissors.count
            await client.sync()
            async with Client(f"{server}/many") as other:
                await other.ensure_path("/")
                for watch in (watches[index] for index in (0, 1, 1499, 2998, 2999)):
                    path = watch.path.removeprefix("/many")
                    assert await told(watch, 1) == [("missed", path)]
                    await other.create(path)
                    assert await told(watch, 1) == [("created", path)]
                await other.delete("/", recursive=True)

    run(scenario())


def test_a_task_that_only_waits_does_not_vanish(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            heard: list[Event] = []

            async def wait() -> None:
                heard.append(await anext(client.watch("/only-waits")))

            asyncio.create_task(wait())  # noqa: RUF006
            await client.sync()
            await client.sync()  # by now it waits for an event
            gc.collect()
            await client.create("/only-waits")
            await client.delete("/only-waits")
            assert heard == [Event(Kind.CREATED, "/only-waits")]

    run(scenario())
