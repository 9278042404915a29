"""A server that takes no changes for a while, as between two leaders: nothing stays that was to go."""

from __future__ import annotations

import pytest

from znoded.client import Client
from znoded.client.recipes import Lock, Party

from ..pretender import STAT, Line, Pretender
from .scenes import play

NOT_NOW = -1, "SystemError"
NO_NODE = -101, "NoNode"


class Reluctant:
    """Has one child at most, and refuses once what is named.

    drops: a session that is ended, with its connection, once its child is made.
    """

    def __init__(self, *refuses: str, drops: int = 0) -> None:
        self.child = ""
        self.owner = 0
        self._refuses = list(refuses)
        self._drops = drops

    async def behave(self, line: Line) -> None:
        if line.number == self._drops and self._drops:
            await line.expired()
            return
        session = line.number + 1
        await line.grant(session=session)
        while True:
            xid, name, arguments = await line.request()
            path = str(arguments.get("path"))
            answer: tuple[int, object] = 0, {"stat": self.stat, "data": b""}
            if name in self._refuses and (name == "delete" or session > self._drops):
                self._refuses.remove(name)
                answer = NOT_NOW
            elif name == "create":
                self.child = path if path.endswith("__party__") else f"{path}0000000000"
                self.owner = session
                answer = 0, {"path": self.child, "stat": self.stat}
            elif name == "delete":
                self.child = ""
            elif name == "exists" and path != self.child:
                answer = NO_NODE
            elif name == "children":
                answer = 0, {"children": [self.child.rpartition("/")[2]] if self.child else []}
            await line.say([xid, 1, *answer])
            if name == "close":
                assert not self._refuses
                return
            if name == "create" and session == self._drops:
                self.child = ""
                await line.socket.close()
                return

    @property
    def stat(self) -> dict[str, int]:
        return {**STAT, "ephemeralOwner": self.owner}


@pytest.mark.parametrize("kind", [Lock, Party])
def test_what_is_left_is_gone(kind: type[Lock | Party]) -> None:
    async def scene() -> None:
        world = Reluctant("delete")
        async with Pretender(world.behave) as pretender, Client(pretender.address) as client:
            async with kind(client, "/somewhere"):
                assert world.child
            assert not world.child

    play(scene())


def test_who_is_here_comes_again_with_the_next_session() -> None:
    async def scene() -> None:
        world = Reluctant("create", drops=1)
        async with (
            Pretender(world.behave) as pretender,
            Client(pretender.address, renew=True) as client,
            Party(client, "/somewhere"),
        ):
            while not world.child:
                await client.exists("/")

    play(scene())
