"""The command `znode`: one command and out, the lines of a pipe, or a shell to type in."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial

import click

from ..errors import SessionExpired
from ..values import State
from . import commands, exits
from .arguments import SERVERS
from .output import Output
from .shell import Shell

_TIMEOUT = 10.0


class _Znode(click.Command):
    """The command's own help also tells what can be said to it, and its exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands.write_all(formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning, _ in exits.CODES])
        formatter.write_paragraph()
        formatter.write_text("`znode COMMAND --help` tells more about one.")


@click.command(
    cls=_Znode,
    context_settings={
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.option(
    "--server",
    "-server",
    envvar="ZNODE_SERVER",
    type=SERVERS,
    default="127.0.0.1:2181",
    metavar="SERVERS",
    help="HOST:PORT,HOST:PORT/CHROOT or a URL (default: $ZNODE_SERVER, else 127.0.0.1:2181).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1 << 20, min_open=True),
    default=_TIMEOUT,
    metavar="S",
    help=f"Seconds of the session, and to wait for a connection (default: {_TIMEOUT:g}).",
)
@click.option("--json", "as_json", is_flag=True, help="Print each result as a line of JSON.")
@click.argument("words", metavar="[COMMAND ...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def main(
    context: click.Context, /, server: str, timeout: float, as_json: bool, words: tuple[str, ...]
) -> None:
    """Speak with a coordination service: zkCli's commands, and more.

    With a COMMAND, do it and end; without, read commands from standard input, or at a prompt.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # whatever the locale can't say
        sys.stdout.reconfigure(errors="backslashreplace")
    output = Output(as_json=as_json)
    at_prompt = not words and sys.stdin.isatty() and sys.stdout.isatty()
    try:
        context.exit(asyncio.run(_run(server, timeout, output, words, at_prompt)))
    except BrokenPipeError:  # who reads has enough; nothing may be flushed there at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        context.exit(exits.FAILED)


async def _run(server: str, timeout: float, output: Output, words: Sequence[str], at_prompt: bool) -> int:
    """Everything, within one session; the exit code."""
    shell = Shell(server, timeout, output, interactive=at_prompt)
    task = asyncio.current_task()
    assert task is not None
    ended: list[int] = []

    def end(code: int) -> None:
        ended.append(code)
        task.cancel()

    # So that ephemerals go with it, and not a timeout later.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            loop.add_signal_handler(number, end, exits.TERMINATED)
    if not at_prompt:
        shell.at_rest = partial(end, exits.INTERRUPTED)
        loop.add_signal_handler(signal.SIGINT, shell.at_rest)
    try:
        if at_prompt:
            from .interactive import converse  # slow to import

            return await converse(shell)
        if not words:
            return await _lines(shell)
        code = await shell.perform(words)
        if not shell.watched:
            return code
        await shell.watched.drained()  # what it watches for may come with this session only
        return 0 if shell.state is State.CONNECTED else exits.code(SessionExpired())
    except asyncio.CancelledError:
        if ended:
            return ended[0]
        raise
    finally:
        await shell.close()


async def _lines(shell: Shell) -> int:
    """Do what standard input says, a command a line; the exit code of the last."""
    code = await shell.begin()
    if code:
        return code
    async for line in _read(sys.stdin.fileno()):
        await shell.line(line.decode(errors="surrogateescape"))
        if shell.over:
            break
    return shell.code


async def _read(descriptor: int) -> AsyncIterator[bytes]:
    """Lines as they come; meanwhile, the session lives, and watches print."""
    rest = b""
    while True:
        await _readable(descriptor)
        chunk = os.read(descriptor, 1 << 16)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if not chunk:
            if rest:
                yield rest
            return


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    with suppress(PermissionError):  # a file always is, and can't be waited for
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
