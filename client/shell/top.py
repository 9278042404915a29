"""The command `top`: what servers do now, and for whom."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

import click

from ..errors import NoConnection
from .commands import command
from .load import ADVICE, FIGURES, Load, Look, loads, look
from .output import Result, printable, size
from .words import NotListed, Told

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .shell import Shell

_HEADS: Final = (
    *("server", "mode", "req/s", "reads/s", "writes/s", "ms", "max ms", "queue"),
    *("conns", "sessions", "watches", "znodes", "data"),
)
_CLIENT_HEADS: Final = ("client", "session", "req/s", "ms", "last")
_NO_CLIENTS: Final = "clients: not told, as cons is not in 4lw.commands.whitelist"


@command("top", "top", "top -d 5", "top --once", "--json top --once")
@click.option(
    "-d",
    "delay",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    metavar="S",
    help="Seconds between looks (default: 1).",
)
@click.option("--once", is_flag=True, help="Look for so long, print it, and end.")
async def top(shell: Shell, delay: float, once: bool) -> None:
    """Show what each server does now, until q or Ctrl-C.

    Its busiest clients, too. Each client port is asked the four-letter words mntr and cons; if mntr is not in
    the server's 4lw.commands.whitelist, srvr, which tells less. With --json, a line for each server each
    time.
    """
    before = await look(shell.address)
    if not any(isinstance(found, Told) for found in before.values()):
        raise _nothing(before)
    if sys.stdout.isatty() and not (once or shell.output.as_json):
        await _show(shell, delay, before)
        return
    while True:
        await asyncio.sleep(delay)
        now = await look(shell.address)
        found = loads(before, now)
        if shell.output.as_json:
            for each in found:
                shell.output.show(Result(each.json(), ""))
        else:
            shell.output.show(Result(None, _text(found), lambda: _rich(found)))  # noqa: B023
        if once:
            return
        before = now


def _nothing(found: Look) -> Exception:
    """That no server tells anything."""
    server, error = next(iter(found.items()))
    if isinstance(error, NotListed):
        return click.ClickException(f"{server} tells nothing: {ADVICE}")
    return NoConnection(f"no connection to {server}: {str(error) or 'no answer'}")


async def _show(shell: Shell, delay: float, before: Look) -> None:
    """On the whole terminal, as long as somebody looks."""
    from rich.live import Live

    over = asyncio.Event()
    with _keys(over), Live(_rich(loads(before, before)), screen=True, auto_refresh=False) as live:
        while not over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await over.wait()
                    return
            now = await look(shell.address)
            live.update(_rich(loads(before, now)), refresh=True)
            before = now


@contextmanager
def _keys(over: asyncio.Event) -> Iterator[None]:
    """Set it when q is pressed."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        if b"q" in os.read(descriptor, 1024).lower():
            over.set()

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _row(load: Load) -> list[str]:
    rates = [_number(load.requests), _number(load.reads), _number(load.writes)]
    latency = "-" if load.latency is None else f"{load.latency:,.2f}"
    *figures, data = (load.figure(name) for name in FIGURES)
    return [
        load.server,
        printable(load.mode),
        *rates,
        latency,
        _number(load.figure("max_latency")),
        *map(_number, figures),
        "-" if data is None else size(int(data)),
    ]


def _client_rows(found: Sequence[Load]) -> list[list[str]]:
    clients = [each for load in found for each in load.clients or ()]
    return [
        [
            printable(client.connection.address),
            printable(client.connection.session),
            _number(client.rate),
            f"{client.connection.latency:,.2f}",
            printable(client.connection.last),
        ]
        for client in sorted(clients, key=lambda client: -client.rate)
    ]


def _faults(found: Sequence[Load]) -> list[str]:
    return [printable(f"{load.server}: {load.fault}") for load in found if load.fault]


def _text(found: Sequence[Load]) -> str:
    parts = [_table([list(_HEADS), *map(_row, found)])]
    if rows := _client_rows(found):
        parts.append(_table([list(_CLIENT_HEADS), *rows]))
    elif all(load.clients is None for load in found):
        parts.append(_NO_CLIENTS)
    parts += _faults(found)
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rich(found: Sequence[Load]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Table:
        made = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
        for number, head in enumerate(heads):
            side: Literal["left", "right"] = "left" if number < texts else "right"
            made.add_column(head, justify=side, min_width=len(head), no_wrap=True)
        for row in rows:
            made.add_row(*map(Text, row))
        return made

    parts: list[RenderableType] = [table(_HEADS, [_row(each) for each in found], 2), Text()]
    if all(load.clients is None for load in found):
        parts.append(Text(_NO_CLIENTS, "dim"))
    else:
        parts.append(table(_CLIENT_HEADS, _client_rows(found), 2))
    parts += [Text(f"\n{fault}", "red") for fault in _faults(found)]
    return Group(*parts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
