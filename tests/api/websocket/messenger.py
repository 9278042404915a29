"""A client of the WebSocket, as docs/websocket.md tells how to make one."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple, TypeAlias

import aiohttp
import cbor2
import pytest
from kazoo.client import KazooClient

Result: TypeAlias = "dict[str, object] | str"
PER_ADDRESS = 30
"""Connections that the server here takes from one address."""
PATIENT = aiohttp.ClientWSTimeout(ws_close=20)


class Answer(NamedTuple):
    xid: int
    zxid: int
    error: int
    result: Result


class Event(NamedTuple):
    kind: str
    path: str
    zxid: int


class Closed(NamedTuple):
    code: int | None
    reason: object


Item: TypeAlias = Answer | Event | Closed


class Messenger:
    """One WebSocket; what comes is kept until it is asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.messages = 0
        self.session = 0
        self.password = b""
        self._xids = itertools.count(1)
        self._items: list[Item] = []

    async def tell(self, *requests: tuple[str, Mapping[str, object]]) -> None:
        """Send requests in one message."""
        items = [[next(self._xids), name, arguments] for name, arguments in requests]
        await self.socket.send_bytes(cbor2.dumps(items))

    async def item(self) -> Item:
        """The next answer or event, or how it was closed."""
        while not self._items:
            message = await self.socket.receive(20)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return Closed(self.socket.close_code, message.extra)
            self.messages += 1
            for first, zxid, what, rest in cbor2.loads(message.data):
                found = Event(what, rest, zxid) if first is None else Answer(first, zxid, what, rest)
                self._items.append(found)
        return self._items.pop(0)

    async def answer(self) -> Answer:
        """The next item, which is an answer."""
        item = await self.item()
        assert isinstance(item, Answer), item
        return item

    async def ask(self, name: str, **arguments: object) -> dict[str, object]:
        """What a request that goes well is answered."""
        answer = await self.try_(name, **arguments)
        assert answer.error == 0, answer
        assert isinstance(answer.result, dict)
        return answer.result

    async def try_(self, name: str, **arguments: object) -> Answer:
        """What a request is answered."""
        await self.tell((name, arguments))
        return await self.answer()

    async def connect(self, **arguments: object) -> dict[str, object]:
        """Begin a session, or take one up."""
        result = await self.ask("connect", **{"timeout": 10_000, **arguments})
        session, password = result["session"], result["password"]
        assert isinstance(session, int) and isinstance(password, bytes)
        self.session, self.password = session, password
        return result


def url(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}/ws/v1"


@asynccontextmanager
async def opened(
    address: tuple[str, int], tls: ssl.SSLContext | None = None, headers: Mapping[str, str] = {}
) -> AsyncIterator[Messenger]:
    """A WebSocket without a session; tls: what it connects with, if not in the clear."""
    where = url(address) if tls is None else url(address).replace("http", "https")
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(where, ssl=tls or True, headers=headers, timeout=PATIENT, max_msg_size=0) as socket,
    ):
        yield Messenger(socket)


@asynccontextmanager
async def connected(address: tuple[str, int], **arguments: object) -> AsyncIterator[Messenger]:
    """A WebSocket with a session."""
    async with opened(address) as client:
        await client.connect(**arguments)
        yield client


async def status(address: tuple[str, int], **headers: str) -> int:
    """What a handshake is refused with."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(url(address), headers=headers)
    return refusal.value.status


@contextmanager
def kazoo(address: tuple[str, int]) -> Iterator[KazooClient]:
    """A session in ZooKeeper's own protocol."""
    client = KazooClient(hosts=f"{address[0]}:{address[1]}")
    client.start(20)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def stat(result: dict[str, object]) -> dict[str, int]:
    """The Stat in it."""
    found = result["stat"]
    assert isinstance(found, dict)
    return found
