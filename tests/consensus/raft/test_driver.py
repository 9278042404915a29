"""A server of Raft's, and a peer that says what no right one does, or what one does in the wrong moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from znoded.consensus.channel import Channel
from znoded.consensus.identity import Identity
from znoded.consensus.raft.command import NO_OP, Segment, pack
from znoded.consensus.raft.journal import Journal
from znoded.consensus.raft.keeper import Keeper, Promises
from znoded.consensus.raft.messages import Append, Confirm, Confirmed, Install, Message
from znoded.consensus.raft.wire import CORE, decode, encode
from znoded.consensus.transfer import BEGINS

from ...daemons import free_port
from ..recording import KINDS, Recording, open_log

CLUSTER = bytes(range(16))
TERM = 9


class Leader:
    """Server 3, of which server 1 believes that it leads."""

    def __init__(self, ports: list[int]) -> None:
        addresses = {sid: ("127.0.0.1", port) for sid, port in enumerate(ports, 1)}
        self.channel = Channel(Identity(3, "raft", b"", lambda: CLUSTER), addresses, self)
        self.heard: list[Message] = []
        self.meetings = 0
        self._news = asyncio.Event()

    def connected(self, peer: int) -> None:
        self.meetings += 1
        self._news.set()

    def disconnected(self, peer: int) -> None: ...

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        self.heard.append(decode(payload))
        self._news.set()

    def say(self, message: Message) -> None:
        self.channel.send(1, CORE, encode(message))

    async def meet(self, times: int) -> None:
        while self.meetings < times:
            self._news.clear()
            await self._news.wait()

    async def hear(self, message: Message) -> None:
        while message not in self.heard:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def follower(home: Path) -> AsyncIterator[Leader]:
    """It holds two entries of term 1, and has applied them."""
    ports = [free_port() for _ in range(3)]
    log = open_log(home)
    keeper = Keeper(home / "promises")
    keeper.save(Promises(1, None, (), CLUSTER))
    journal = Journal(log, keeper, 0, lambda command, key: None)
    journal.add(NO_OP, 2, 1)
    journal.add(pack([Segment(1, 1, 1, (b"a", b"b"))]), 3, 1)
    log.sync()
    server = KINDS["raft leader"].make(1, ports, log, home)
    leader = Leader(ports)
    await server.start(Recording(log, log.last_zxid))
    await leader.channel.start()
    try:
        await leader.meet(1)
        leader.say(Append(TERM, 1, 0, 3, 1, (), CLUSTER))
        yield leader
    finally:
        await leader.channel.stop()
        await server.stop()
        log.close()


@pytest.mark.parametrize("zxid", [1 << 32, (1 << 32) + 1])
def test_a_state_that_is_older_than_ones_own_is_not_taken(tmp_path: Path, zxid: int) -> None:
    """It would lack what this server has helped to commit, and nobody else may have."""

    async def scene() -> None:
        async with follower(tmp_path) as leader:
            leader.channel.send(1, BEGINS, b"a state")
            leader.say(Install(TERM, zxid, 1 << 32, 2, 1, CLUSTER))
            await leader.meet(2)
            leader.say(Confirm(TERM, 1))
            await leader.hear(Confirmed(TERM, 1))

    asyncio.run(asyncio.wait_for(scene(), 20))
