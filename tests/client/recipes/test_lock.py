"""A lock is held by one at a time, in the order of asking, and who holds it learns that it is lost."""

from __future__ import annotations

import asyncio

import pytest

from znoded.client import Client, SessionExpired
from znoded.client.recipes import Lock, LockLost, ReadLock, WriteLock

from ..cutting import Scissors, Way
from .scenes import clients, end_session, gathered, play


def test_it_is_held_and_released(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            async with Lock(client, "/locks/held", "me") as held:
                assert held.token == (await client.get(held.path)).stat.czxid
                assert not held.lost
                assert await Lock(client, "/locks/held").acquire(blocking=False) is None
                assert await Lock(client, "/locks/held").contenders() == ["me"]
            assert held.lost
            assert await client.children("/locks/held") == []

    play(scene())


def test_below_a_chroot_that_is_not_there_yet(server: str) -> None:
    async def scene() -> None:
        async with Client(f"{server}/locks/chroot") as client, Client(server) as whole:
            async with Lock(client, "/a/b") as held:
                assert held.path.startswith("/a/b/")
                assert await whole.exists(f"/locks/chroot{held.path}")
                waiting = asyncio.create_task(Lock(client, "/a/b").acquire())
                await gathered(client, "/a/b", 2)
            assert not (await waiting).lost

    play(scene())


def test_a_hundred_pass_one_by_one_with_tokens_that_rise(server: str) -> None:
    tokens: list[int] = []
    inside: set[int] = set()

    async def pass_through(client: Client, number: int) -> None:
        async with Lock(client, "/locks/hundred", str(number)) as held:
            assert not inside
            inside.add(number)
            await client.exists("/")  # let others do what they wait for
            inside.remove(number)
            tokens.append(held.token)

    async def scene() -> None:
        async with clients(server, 4) as four, asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(pass_through(four[number % 4], number))

    play(scene())
    assert len(tokens) == 100
    assert tokens == sorted(set(tokens))


def test_it_is_had_in_the_order_of_asking(server: str) -> None:
    had: list[str] = []

    async def pass_through(client: Client, name: str) -> None:
        async with Lock(client, "/locks/order", name):
            had.append(name)

    async def scene() -> None:
        async with (
            clients(server, 2) as both,
            asyncio.TaskGroup() as group,
            Lock(both[0], "/locks/order", "first"),
        ):
            for number in range(6):
                group.create_task(pass_through(both[number % 2], str(number)))
                await gathered(both[0], "/locks/order", 2 + number)
            asked = await Lock(both[1], "/locks/order").contenders()
            assert asked == ["first", "0", "1", "2", "3", "4", "5"]

    play(scene())
    assert had == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("kind", [Lock, ReadLock])
def test_who_waits_is_not_told_of_others_that_come_and_go(server: str, kind: type[Lock]) -> None:
    async def scene() -> None:
        host, _, port = server.partition(":")
        messages = Scissors(1_000_000, passed=True)
        path = f"/locks/herd-{kind.__name__}"
        async with (
            Client(server) as other,
            Way([(host, int(port))], messages) as way,
            Client(way.hosts, timeout=60) as client,
        ):
            ahead = [Lock(other, path) for _ in range(5)]
            acquired = [asyncio.create_task(lock.acquire()) for lock in ahead]
            await gathered(other, path, 5)
            waiting = asyncio.create_task(kind(client, path).acquire())
            await gathered(other, path, 6)
            for _ in range(6):  # it looks, and watches, in fewer turns
                await client.exists("/")
            before = messages.count
            for number, lock in enumerate(ahead[:4]):
                await acquired[number]
                await kind(other, path).acquire(blocking=False)
                await lock.release()
            await acquired[4]
            assert not waiting.done()
            assert messages.count == before
            await ahead[4].release()
            await waiting

    play(scene())


class TestGivingUp:
    """Leaves nothing behind."""

    def test_after_a_time(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client, Lock(client, "/locks/patience"):
                assert await Lock(client, "/locks/patience").acquire(timeout=0.05) is None
                assert len(await client.children("/locks/patience")) == 1

        play(scene())

    def test_cancelled(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                async with Lock(client, "/locks/cancelled"):
                    lock = Lock(client, "/locks/cancelled")
                    waiting = asyncio.create_task(lock.acquire())
                    await gathered(client, "/locks/cancelled", 2)
                    waiting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await waiting
                    assert len(await client.children("/locks/cancelled")) == 1
                assert await lock.acquire(blocking=False)

        play(scene())

    @pytest.mark.parametrize("steps", range(12))
    def test_at_any_step(self, server: str, steps: int) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                await client.ensure_path("/locks/steps")
                lock = Lock(client, "/locks/steps")
                acquiring = asyncio.create_task(lock.acquire())
                for _ in range(steps):
                    await asyncio.sleep(0)
                acquiring.cancel()
                await asyncio.wait({acquiring})
                if acquiring.cancelled():
                    assert lock.held is None
                else:
                    await lock.release()
                assert await client.children("/locks/steps") == []

        play(scene())

    def test_of_one_who_waits_for_it_leads_no_one_past_who_holds_it(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                holder, last = Lock(client, "/locks/middle"), Lock(client, "/locks/middle")
                await holder.acquire()
                middle = asyncio.create_task(Lock(client, "/locks/middle").acquire())
                await gathered(client, "/locks/middle", 2)
                waiting = asyncio.create_task(last.acquire())
                await gathered(client, "/locks/middle", 3)
                middle.cancel()
                await asyncio.wait({middle})
                await client.exists("/")
                assert not waiting.done()
                await holder.release()
                assert (await waiting).path.endswith("2")

        play(scene())


def test_tasks_that_share_one_wait_for_each_other(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            lock = Lock(client, "/locks/shared")
            async with lock:
                second = asyncio.create_task(lock.acquire())
                assert await lock.acquire(blocking=False) is None
                assert await lock.acquire(timeout=0.01) is None
                assert not second.done()
            held = await second
            assert lock.held is held
            await lock.release()
            await lock.release()

    play(scene())


class TestLost:
    """Who holds it learns it, and the next has it."""

    def test_its_session_ends(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other), Lock(one, "/locks/session") as held:
                waiting = asyncio.create_task(Lock(other, "/locks/session").acquire())
                await gathered(other, "/locks/session", 2)
                await end_session(one, server)
                next_held = await waiting
                assert next_held.token > held.token
                await held.lost.wait()

        play(scene())

    def test_its_session_ends_and_the_client_begins_another(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server, renew=True) as client:
                lock = Lock(client, "/locks/renewed")
                held = await lock.acquire()
                await end_session(client, server)
                await held.lost.wait()
                await lock.release()
                again = await lock.acquire()
                assert again.token > held.token
                assert not again.lost

        play(scene())

    def test_somebody_deletes_its_znode(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client, Lock(client, "/locks/deleted") as held:
                await client.delete(held.path)
                await held.lost.wait()

        play(scene())

    def test_the_client_is_closed(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                held = await Lock(client, "/locks/closed").acquire()
            await held.lost.wait()

        play(scene())

    def test_work_under_guard_ends(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client, Lock(client, "/locks/guard") as held:
                assert await held.guard(asyncio.sleep(0, "done")) == "done"
                ended = asyncio.Event()

                async def work() -> None:
                    try:
                        await client.delete(held.path)
                        await asyncio.Event().wait()
                    finally:
                        ended.set()

                with pytest.raises(LockLost, match=held.path):
                    await held.guard(work())
                assert ended.is_set()

                async def stubborn() -> None:
                    try:
                        await asyncio.Event().wait()
                    finally:
                        raise KeyError("in its own clearing up")

                with pytest.raises(LockLost) as caught:
                    await held.guard(stubborn())
                assert isinstance(caught.value.__cause__, KeyError)

        play(scene())


class TestExpiryWhileWaiting:
    def test_it_is_an_error(self, server: str) -> None:
        async def scene() -> None:
            async with clients(server, 2) as (one, other), Lock(one, "/locks/expiry"):
                waiting = asyncio.create_task(Lock(other, "/locks/expiry").acquire())
                await gathered(one, "/locks/expiry", 2)
                await end_session(other, server)
                with pytest.raises(SessionExpired):
                    await waiting

        play(scene())

    def test_a_client_that_renews_it_waits_anew(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as one, Client(server, renew=True) as other:
                async with Lock(one, "/locks/anew") as first:
                    waiting = asyncio.create_task(Lock(other, "/locks/anew").acquire())
                    names = await gathered(one, "/locks/anew", 2)
                    (before,) = (name for name in names if not first.path.endswith(name))
                    await end_session(other, server)
                    await gathered(one, "/locks/anew", 1)
                held = await waiting
                assert not held.lost
                assert not held.path.endswith(before)

        play(scene())


def test_one_that_is_not_ephemeral_outlives_its_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server) as client:
            held = await Lock(client, "/locks/lasting", ephemeral=False).acquire()
        assert held.lost  # nobody looks any more
        async with Client(server) as client:
            lock = Lock(client, "/locks/lasting")
            assert await lock.acquire(blocking=False) is None
            await client.delete(held.path)
            assert await lock.acquire(blocking=False)

    play(scene())


class TestReadersAndWriters:
    def test_readers_share_it_and_a_writer_has_it_alone(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                path = "/locks/table"
                async with ReadLock(client, path, "r1"), ReadLock(client, path, "r2"):
                    assert await WriteLock(client, path).acquire(blocking=False) is None
                    assert await WriteLock(client, path).contenders() == ["r1", "r2"]
                async with WriteLock(client, path):
                    assert await ReadLock(client, path).acquire(blocking=False) is None
                    assert await WriteLock(client, path).acquire(blocking=False) is None

        play(scene())

    def test_readers_behind_a_writer_wait_for_it(self, server: str) -> None:
        async def scene() -> None:
            async with Client(server) as client:
                path = "/locks/starve"
                reader, writer, late = ReadLock(client, path), WriteLock(client, path), ReadLock(client, path)
                await reader.acquire()
                writing = asyncio.create_task(writer.acquire())
                await gathered(client, path, 2)
                reading = asyncio.create_task(late.acquire())
                await gathered(client, path, 3)
                assert not writing.done() and not reading.done()
                await reader.release()
                await writing
                assert not reading.done()
                await writer.release()
                await reading

        play(scene())
