"""Several changes are made as one, or none of them."""

from __future__ import annotations

import pytest

from znoded.client import (
    BadArguments,
    BadVersion,
    Client,
    Created,
    NodeExists,
    NoNode,
    Stat,
    TooLarge,
    TransactionFailed,
)

from .running import run


def test_all_are_made(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/all", b"0")
            async with client.transaction() as transaction:
                transaction.check("/all", 0).set("/all", b"1").create("/all/n-", b"x", sequential=True)
                transaction.create("/all/e", ephemeral=True).delete("/all/e")
                transaction.create("/all/c", container=True).create("/all/t", ttl=60)
            checked, changed, numbered, own, gone, container, mortal = transaction.results
            assert checked is gone is None
            assert isinstance(changed, Stat) and changed.version == 1
            assert isinstance(numbered, Created) and numbered.path == "/all/n-0000000000"
            assert isinstance(own, Created) and own.stat.ephemeral_owner == client.session[0]
            assert isinstance(container, Created) and isinstance(mortal, Created)
            assert await client.children("/all") == ["c", "n-0000000000", "t"]
            await client.delete("/all", recursive=True)

    run(scenario())


def test_or_none(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            await client.create("/none")
            transaction = client.transaction().create("/none/a").check("/none", 7).create("/none/b")
            with pytest.raises(TransactionFailed, match="operation 1 of the transaction: /none: ") as caught:
                await transaction.commit()
            assert caught.value.index == 1
            assert isinstance(caught.value.cause, BadVersion)
            assert await client.children("/none") == []
            # What was gathered is gone: it is not committed again by mistake.
            assert await transaction.create("/none/c").commit() == [
                Created("/none/c", (await client.exists("/none/c")) or pytest.fail())
            ]
            for refused, kind in (
                (client.transaction().create("/none/c"), NodeExists),
                (client.transaction().delete("/none/x"), NoNode),
                (client.transaction().set("/none/x", b""), NoNode),
                (client.transaction().check("/none/x"), NoNode),
            ):
                with pytest.raises(TransactionFailed) as caught:
                    await refused.commit()
                assert type(caught.value.cause) is kind
            await client.delete("/none", recursive=True)

    run(scenario())


def test_an_error_in_the_block_has_nothing_done(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            with pytest.raises(KeyError):
                async with client.transaction() as transaction:
                    transaction.create("/nothing")
                    raise KeyError
            assert await client.exists("/nothing") is None

    run(scenario())


def test_nothing_is_a_transaction_too(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            assert await client.transaction().commit() == []

    run(scenario())


def test_bad_input_is_refused_at_once(server: str) -> None:
    async def scenario() -> None:
        async with Client(server) as client:
            transaction = client.transaction()
            with pytest.raises(BadArguments):
                transaction.create("bad")
            with pytest.raises(TypeError):
                transaction.set("/a", "text")  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                transaction.check("/a", "1")  # type: ignore[arg-type]
            assert await transaction.commit() == []
            for number in range(20):
                transaction.create(f"/{number}", bytes(100_000))
            with pytest.raises(TooLarge):
                await transaction.commit()

    run(scenario())
