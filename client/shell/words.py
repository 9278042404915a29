"""Asks servers the four-letter words that tell how they are: mntr or srvr, and cons."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

_NOT_LISTED: Final = b"is not executed because it is not in the whitelist"
_PATIENCE: Final = 2.0
"""Seconds that a server has to answer."""
_MOST: Final = 16 << 20
"""Bytes of an answer."""
_SRVR: Final = {
    "Received": "packets_received",
    "Sent": "packets_sent",
    "Connections": "num_alive_connections",
    "Outstanding": "outstanding_requests",
    "Mode": "server_state",
    "Node count": "znode_count",
}
"""What mntr calls what srvr tells."""
_CONNECTION: Final = re.compile(r"^ /(?P<address>.+)\[\w+\]\((?P<rest>.*)\)$", re.MULTILINE)


class NotListed(Exception):
    """The server's 4lw.commands.whitelist does not have that word."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A client's: its session in hexadecimal, requests since it was made, latency in ms, and the last
    operation."""

    address: str
    session: str
    received: int
    latency: float
    last: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a server told. when: seconds, to take differences. word: which one told it. figures: by mntr's
    names. connections: None if cons is not whitelisted."""

    server: str
    when: float
    word: str
    figures: Mapping[str, str]
    connections: tuple[Connection, ...] | None

    def number(self, name: str) -> float | None:
        """A figure; None if it is not told."""
        with suppress(KeyError, ValueError):
            return float(self.figures[name])
        return None


async def ask(host: str, port: int, tls: SSLContext | None) -> Told:
    """How a server is. OSError if it can't be reached, NotListed if it may tell nothing."""
    server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        word, figures = "mntr", _mntr(await _word(host, port, tls, b"mntr"))
    except NotListed:
        word, figures = "srvr", _srvr(await _word(host, port, tls, b"srvr"))
    connections: tuple[Connection, ...] | None = None
    with suppress(NotListed):
        connections = _cons(await _word(host, port, tls, b"cons"))
    return Told(server, time.monotonic(), word, figures, connections)


async def _word(host: str, port: int, tls: SSLContext | None, word: bytes) -> str:
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            writer.write(word)
            answer = bytearray()
            while len(answer) < _MOST and (chunk := await reader.read(1 << 16)):
                answer += chunk
        finally:
            writer.close()
    if _NOT_LISTED in answer[:200]:
        raise NotListed
    return answer.decode(errors="replace")


def _mntr(text: str) -> dict[str, str]:
    pairs = (line.partition("\t") for line in text.splitlines())
    return {name.removeprefix("zk_"): value.strip() for name, tab, value in pairs if tab}


def _srvr(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        if name in _SRVR:
            found[_SRVR[name]] = value
        elif name == "Latency min/avg/max":
            _, found["avg_latency"], found["max_latency"] = value.split("/")
    return found


def _cons(text: str) -> tuple[Connection, ...]:
    found: list[Connection] = []
    for match in _CONNECTION.finditer(text):
        pairs = dict(pair.partition("=")[::2] for pair in match["rest"].split(","))
        if "sid" in pairs:
            with suppress(KeyError, ValueError):
                received, latency = int(pairs["recved"]), float(pairs["avglat"])
                found.append(Connection(match["address"], pairs["sid"], received, latency, pairs["lop"]))
    return tuple(found)
