"""What servers do now: the difference between two looks at them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..address import Address
from .output import Json
from .words import Connection, NotListed, Told, ask

_CLIENTS: Final = 10
"""Connections that are of interest, the busiest."""
ADVICE: Final = "its 4lw.commands.whitelist should have mntr and cons, or srvr at least"

Look: TypeAlias = Mapping[str, "Told | OSError | NotListed"]
"""Server → what it tells, or why it does not."""


@dataclass(frozen=True, slots=True)
class Client:
    """A connection, and how many requests come over it in a second."""

    connection: Connection
    rate: float


@dataclass(frozen=True, slots=True)
class Load:
    """A server's. told: None if it tells nothing, and fault says why. requests, reads, writes: in a second.
    latency: in ms, of what was done between the looks; of all, if that is not told. Everything is None that
    is not told. clients: the busiest."""

    server: str
    fault: str = ""
    told: Told | None = None
    requests: float | None = None
    reads: float | None = None
    writes: float | None = None
    latency: float | None = None
    clients: tuple[Client, ...] | None = None

    @property
    def mode(self) -> str:
        """leader, for one."""
        return self.told.figures.get("server_state", "not serving") if self.told else "tells nothing"

    def figure(self, name: str) -> float | None:
        """Of what it told, by mntr's name."""
        return self.told.number(name) if self.told is not None else None

    def json(self) -> dict[str, Json]:
        """All of it."""
        if self.told is None:
            return {"server": self.server, "error": self.fault}
        value: dict[str, Json] = {
            "server": self.server,
            "mode": self.mode,
            "word": self.told.word,
            "requests_per_second": _rounded(self.requests),
            "reads_per_second": _rounded(self.reads),
            "writes_per_second": _rounded(self.writes),
            "latency_ms": _rounded(self.latency),
        }
        for name in ("max_latency", *FIGURES):
            figure = self.figure(name)
            value[name] = int(figure) if figure is not None and figure.is_integer() else figure
        value["clients"] = None if self.clients is None else [_client(each) for each in self.clients]
        return value


FIGURES: Final = (
    "outstanding_requests",
    "num_alive_connections",
    "global_sessions",
    "watch_count",
    "znode_count",
    "approximate_data_size",
)
"""By mntr's names; srvr does not tell all of them."""


async def look(address: Address) -> Look:
    """At all servers at once."""
    tls = address.context()

    async def told(host: str, port: int) -> Told | OSError | NotListed:
        try:
            return await ask(host, port, tls)
        except (OSError, NotListed) as error:
            return error

    found = await asyncio.gather(*(told(*server) for server in address.servers))
    return {f"{host}:{port}": each for (host, port), each in zip(address.servers, found, strict=True)}


def loads(before: Look, now: Look) -> list[Load]:
    """Of each server, between two looks."""
    return [_load(server, before[server], found) for server, found in now.items()]


def _load(server: str, before: Told | OSError | NotListed, now: Told | OSError | NotListed) -> Load:
    if isinstance(now, NotListed):
        return Load(server, ADVICE)
    if isinstance(now, OSError):
        return Load(server, str(now) or "no answer")
    if not isinstance(before, Told):
        return Load(server, told=now, latency=now.number("avg_latency"))

    def more(name: str) -> float | None:
        new, old = now.number(name), before.number(name)
        return max(new - old, 0) if new is not None and old is not None else None

    seconds = max(now.when - before.when, 1e-3)
    requests, reads, writes = (
        None if found is None else found / seconds
        for found in map(more, ("packets_received", "cnt_readlatency", "cnt_updatelatency"))
    )
    latency = now.number("avg_latency")
    if reads is not None and writes is not None:
        spent = (more("sum_readlatency") or 0) + (more("sum_updatelatency") or 0)
        latency = spent / seconds / (reads + writes) if reads + writes else None
    return Load(server, "", now, requests, reads, writes, latency, _clients(before, now, seconds))


def _clients(before: Told, now: Told, seconds: float) -> tuple[Client, ...] | None:
    """The busiest; those that came meanwhile count from their beginning."""
    if now.connections is None:
        return None
    known = {(each.address, each.session): each.received for each in before.connections or ()}
    clients = [
        Client(each, max(each.received - known.get((each.address, each.session), 0), 0) / seconds)
        for each in now.connections
    ]
    return tuple(sorted(clients, key=lambda client: -client.rate)[:_CLIENTS])


def _client(client: Client) -> dict[str, Json]:
    connection = client.connection
    return {
        "address": connection.address,
        "session": connection.session,
        "requests_per_second": _rounded(client.rate),
        "latency_ms": connection.latency,
        "last": connection.last,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
