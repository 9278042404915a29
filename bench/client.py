"""Measures znoded's client beside kazoo, against one server; and a thousand of it in one process."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import uvloop
from kazoo.client import KazooClient

from znoded.client import BlockingClient, Client
from znoded.client.recipes import Lock

from . import machine
from .load import VALUE
from .servers import ZNODED, Server

_PATH: Final = "/client"
_IN_FLIGHT: Final = 640
_GOAL: Final = 20_000
_RATIO: Final = 3.0
_AT_ONCE: Final = 50
"""Clients of a thousand that begin or end their sessions."""
_TICK: Final = 0.01
"""Seconds between two looks at how late the event loop is."""


def _pipelined(run: Callable[[Coroutine[Any, Any, float]], float], port: int, seconds: float) -> float:
    async def measure() -> float:
        count = 0

        async def ask() -> None:
            nonlocal count
            while time.perf_counter() < end:
                await client.get(_PATH)
                count += 1

        async with Client(f"127.0.0.1:{port}") as client:
            begin = time.perf_counter()
            end = begin + seconds
            await asyncio.gather(*(ask() for _ in range(_IN_FLIGHT)))
            return count / (time.perf_counter() - begin)

    return run(measure())


def _kazoo_pipelined(port: int, seconds: float) -> float:
    client = KazooClient(f"127.0.0.1:{port}")
    client.start()
    count = 0
    over = threading.Event()

    def again(_: object) -> None:
        nonlocal count
        count += 1
        if time.perf_counter() < end:
            client.get_async(_PATH).rawlink(again)
        else:
            over.set()

    begin = time.perf_counter()
    end = begin + seconds
    for _ in range(_IN_FLIGHT):
        client.get_async(_PATH).rawlink(again)
    over.wait()
    rate = count / (time.perf_counter() - begin)
    client.stop()
    client.close()
    return rate


def _one_by_one(get: Callable[[str], object], seconds: float) -> float:
    count = 0
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        get(_PATH)
        count += 1
    return count / (now - begin)


def _blocking(port: int, seconds: float) -> float:
    with BlockingClient(f"127.0.0.1:{port}") as client:
        return _one_by_one(client.get, seconds)


def _kazoo_blocking(port: int, seconds: float) -> float:
    client = KazooClient(f"127.0.0.1:{port}")
    client.start()
    rate = _one_by_one(client.get, seconds)
    client.stop()
    client.close()
    return rate


_WAYS: Final[dict[str, Callable[[int, float], float]]] = {
    "Client, 64x10, uvloop": partial(_pipelined, uvloop.run),
    "Client, 64x10, asyncio": partial(_pipelined, asyncio.run),
    "kazoo, get_async, 64x10": _kazoo_pipelined,
    "BlockingClient, 1x1": _blocking,
    "kazoo, get, 1x1": _kazoo_blocking,
}


async def _crowd(port: int, size: int) -> None:
    """Many clients with a session each that all want one lock: how long it takes, how late the loop is."""
    late: list[float] = []
    begin = time.perf_counter()

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_TICK)
            late.append(time.perf_counter() - before - _TICK)

    at_once = asyncio.Semaphore(_AT_ONCE)

    async def open_one(client: Client) -> None:
        async with at_once:
            await stack.enter_async_context(client)

    async def close_one(client: Client) -> None:
        async with at_once:
            await client.close()

    async def pass_through(client: Client) -> None:
        async with Lock(client, "/crowd"):
            pass

    def told(what: str) -> None:
        nonlocal begin
        now = time.perf_counter()
        worst = f"the loop was {max(late) * 1000:.0f} ms late at most, {median(late) * 1000:.1f} ms as a rule"
        click.echo(f"{size:,} clients, {what:24} {now - begin:6.1f} s, {worst}")
        late.clear()
        begin = now

    watching = asyncio.create_task(watch())
    async with AsyncExitStack() as stack:
        clients = [Client(f"127.0.0.1:{port}", timeout=30) for _ in range(size)]
        await asyncio.gather(*map(open_one, clients))
        told("all have a session")
        await asyncio.gather(*map(pass_through, clients))
        told("all have held the lock")
        sessions = {client.session for client in clients}
        await asyncio.gather(*map(close_one, clients))
    told("all are closed")
    watching.cancel()
    assert len(sessions) == size


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True, help="How often each.")
@click.option("--seconds", default=5.0, type=click.FloatRange(0.1), show_default=True, help="How long.")
@click.option("--clients", default=1000, type=click.IntRange(1), show_default=True, help="In one process.")
@click.option(
    "--data",
    default="/var/tmp",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    show_default=True,
    help="Where the server's data go meanwhile.",
)
def main(rounds: int, seconds: float, clients: int, data: Path) -> None:
    """Measure gets a second by znoded's client and by kazoo, in turn, then many clients in one process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    about = machine.described(data)
    with (
        tempfile.TemporaryDirectory(prefix="znoded-bench-", dir=data) as scratch,
        Server(ZNODED, Path(scratch) / "server") as server,
    ):
        server.start()
        about["server"] = server.version()
        for name, value in about.items():
            click.echo(f"{name:12} {value}")
        with BlockingClient(f"127.0.0.1:{server.port}") as client:
            client.create(_PATH, bytes(VALUE))
        rates: dict[str, list[float]] = {name: [] for name in _WAYS}
        for number in range(rounds + 1):
            for name, rate in _WAYS.items():
                measured = rate(server.port, seconds if number else 1)
                if number:  # the first only warms up
                    rates[name].append(measured)
        click.echo(f"\n{'gets of ' + str(VALUE) + ' bytes':28} {'a second':>10}   (from, to)")
        for name, found in rates.items():
            click.echo(f"{name:28} {median(found):10,.0f}   ({min(found):,.0f}, {max(found):,.0f})")
        ours, _, theirs, *_ = (median(found) for found in rates.values())
        click.echo(f"goal: {_GOAL:,} a second: {'met' if ours >= _GOAL else 'missed'}")
        ratio = ours / theirs
        click.echo(f"goal: {_RATIO:g} times kazoo: {ratio:.1f}, {'met' if ratio >= _RATIO else 'missed'}\n")
        uvloop.run(_crowd(server.port, clients))


if __name__ == "__main__":
    main()
