"""A way to servers that is cut at one message, before or after that is sent on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

Address: TypeAlias = tuple[str, int]

_BINARY = 0x82


class Scissors:
    """Cut once, at the message of that number, from 0, of all that pass in either direction.

    passed: the message is sent on before; a client's is answered, then, and the answer is not sent on.
    """

    def __init__(self, number: int, *, passed: bool) -> None:
        self.number = number
        self.passed = passed
        self.count = 0

    @property
    def cut(self) -> bool:
        return self.count > self.number

    def here(self) -> bool:
        """Whether this message is the one."""
        self.count += 1
        return self.count == self.number + 1


class Way:
    """A port of its own before each server."""

    def __init__(self, servers: list[Address], scissors: Scissors) -> None:
        self._servers = servers
        self._scissors = scissors
        self._doors: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for host, port in self._servers:

            async def carry(
                near: asyncio.StreamReader,
                to_near: asyncio.StreamWriter,
                host: str = host,
                port: int = port,
            ) -> None:
                far, to_far = await asyncio.open_connection(host, port)
                _Pair(self._scissors, near, to_near, far, to_far).start(self._carrying)

            self._doors.append(await asyncio.start_server(carry, "127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for door in self._doors:
            door.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    @property
    def hosts(self) -> str:
        """As clients are given it."""
        return ",".join("{}:{}".format(*door.sockets[0].getsockname()) for door in self._doors)


class _Pair:
    """One connection."""

    def __init__(
        self,
        scissors: Scissors,
        near: asyncio.StreamReader,
        to_near: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        to_far: asyncio.StreamWriter,
    ) -> None:
        self._scissors = scissors
        self._swallow = False
        self._near, self._to_near, self._far, self._to_far = near, to_near, far, to_far

    def start(self, tasks: set[asyncio.Task[None]]) -> None:
        tasks.add(asyncio.create_task(self._pass_on(self._near, self._to_far, up=True)))
        tasks.add(asyncio.create_task(self._pass_on(self._far, self._to_near, up=False)))

    def _hang_up(self) -> None:
        for writer in (self._to_near, self._to_far):
            writer.transport.abort()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            sink.write(await source.readuntil(b"\r\n\r\n"))
            while True:
                frame = await _frame(source)
                if self._swallow:
                    break
                here = frame[0] == _BINARY and self._scissors.here()
                if here and not self._scissors.passed:
                    break
                self._swallow = here and up
                sink.write(frame)
                await sink.drain()
                if here and not up:
                    sink.close()  # what was written arrives
                    await sink.wait_closed()
                    break
        self._hang_up()


async def _frame(source: asyncio.StreamReader) -> bytes:
    head = await source.readexactly(2)
    size = head[1] & 127
    if size > 125:
        more = await source.readexactly(2 if size == 126 else 8)
        head += more
        size = int.from_bytes(more)
    return head + await source.readexactly(size + (4 if head[1] & 128 else 0))
