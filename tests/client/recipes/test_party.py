"""Members of a party are those that are there, in whichever session; kazoo's are members, too."""

from __future__ import annotations

import pytest
from kazoo.client import KazooClient

from znoded.client import BlockingClient, Client
from znoded.client.recipes import Party, ShallowParty

from .scenes import clients, end_session, gathered, play

KINDS = (Party, ShallowParty)


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_and_go(server: str, kind: type[Party] | type[ShallowParty]) -> None:
    async def scene() -> None:
        path = f"/party/{kind.__name__}"
        async with clients(server, 2) as (one, other):
            guest = kind(one, path)
            assert await guest.members() == []
            async with kind(one, path, "host-2-a"), kind(other, path, "host-1"):
                assert await guest.members() == ["host-1", "host-2-a"]
                async with guest:
                    assert await guest.members() == ["", "host-1", "host-2-a"]
            assert await guest.members() == []

    play(scene())


def test_a_member_comes_again_with_the_next_session(server: str) -> None:
    async def scene() -> None:
        async with Client(server, renew=True) as client, Client(server) as other:
            async with Party(client, "/party/again", "phoenix") as party:
                (before,) = await gathered(other, "/party/again", 1)
                first = await other.exists(f"/party/again/{before}")
                await end_session(client, server)
                await gathered(other, "/party/again", 0)
                await gathered(other, "/party/again", 1)
                assert await party.members() == ["phoenix"]
                again = await other.exists(f"/party/again/{before}")
                assert first and again and again.ephemeral_owner == client.session[0] != first.ephemeral_owner
            assert await other.children("/party/again") == []

    play(scene())


def test_a_name_is_no_path() -> None:
    with pytest.raises(ValueError, match="has a /"):
        ShallowParty(Client("nowhere"), "/party/wrong", "a/b")


@pytest.mark.parametrize("kind", KINDS)
def test_kazoo_is_a_member(server: str, kind: type[Party] | type[ShallowParty]) -> None:
    kazoo = KazooClient(server)
    kazoo.start()
    path = f"/party/kazoo-{kind.__name__}"
    with BlockingClient(server) as client:
        theirs = getattr(kazoo, kind.__name__)(path, "theirs")
        theirs.join()
        ours = kind(client.client, path, "ours")
        with client.entered(ours):
            assert client.wait(ours.members()) == sorted(theirs) == ["ours", "theirs"]
            theirs.leave()
            assert client.wait(ours.members()) == list(theirs) == ["ours"]
        assert list(theirs) == []
    kazoo.stop()
    kazoo.close()
