"""What may stand where somebody types: commands, options, choices, files, and znodes as the server tells."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..errors import ClientError
from ..values import State
from . import commands
from .arguments import CommandName, ZnodePath

if TYPE_CHECKING:
    from .shell import Shell

_PATIENCE: Final = 1.0
"""Seconds that a server has to name the children of a znode."""
_MOST: Final = 500
"""Of them that are offered."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """text: what takes the place of the word that was begun, quoted. shown: of it, in a menu. about: a few
    words that tell what it is. ends: whether the word is whole with it."""

    text: str
    shown: str
    about: str = ""
    ends: bool = True


async def candidates(shell: Shell, typed: str) -> tuple[int, list[Candidate]]:
    """typed: the line up to the cursor. How many characters of it are the word that was begun, and what it
    may become."""
    words, begun, length = _split(typed)
    if not words:
        return length, _names(begun)
    try:
        command = commands.find(words[0])
    except click.UsageError:
        return length, []
    given, wants = _place(command, words[1:])
    if begun.startswith("-") and wants is None:
        return length, _options(command, begun)
    if wants is None:
        arguments = [each for each in command.params if isinstance(each, click.Argument)]
        if not arguments or (given >= len(arguments) and arguments[-1].nargs != -1):
            return length, []
        wants = arguments[min(given, len(arguments) - 1)]
    match wants.type:
        case ZnodePath():
            return length, await _znodes(shell, begun)
        case CommandName():
            return length, _names(begun)
        case click.Choice(choices=choices):
            return length, _words(map(str, choices), begun)
        case click.Path():
            return length, await asyncio.to_thread(_files, begun)
    return length, []


def _split(typed: str) -> tuple[list[str], str, int]:
    """The words that are whole, the one that is begun without its quotes, and that one's length with them."""
    words: list[str] = []
    word = ""
    start = 0
    quote = ""
    escaped = False
    for at, char in enumerate(typed):
        if escaped:
            word += char
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if at > start:
                words.append(word)
            word, start = "", at + 1
        else:
            word += char
    return words, word, len(typed) - start


def _place(command: click.Command, words: Sequence[str]) -> tuple[int, click.Parameter | None]:
    """How many arguments stand there, and the option that wants a value next."""
    options = {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}
    given = 0
    wants: click.Option | None = None
    for index, word in enumerate(words):
        if wants is not None:
            wants = None
        elif word == "--":
            return given + len(words) - index - 1, None
        elif word.startswith("-") and word in options:
            wants = None if options[word].is_flag else options[word]
        elif not word.startswith("-"):
            given += 1
    return given, wants


def _names(begun: str) -> list[Candidate]:
    return [
        Candidate(name, name, commands.find(name).get_short_help_str(60))
        for name in commands.MODULES
        if name.lower().startswith(begun.lower())
    ]


def _options(command: click.Command, begun: str) -> list[Candidate]:
    return [
        Candidate(name, name, each.help or "")
        for each in command.params
        if isinstance(each, click.Option)
        for name in each.opts
        if name.startswith(begun)
    ]


def _words(known: Iterable[str], begun: str) -> list[Candidate]:
    return [Candidate(shlex.quote(word), word) for word in known if word.startswith(begun)]


async def _znodes(shell: Shell, begun: str) -> list[Candidate]:
    """Nothing, if there is no connection or it takes long: who types does not wait."""
    if not begun.startswith("/") or shell.state is not State.CONNECTED:
        return [Candidate("/", "/", ends=False)] if not begun else []
    above, _, name = begun.rpartition("/")
    client = await shell.connected()
    try:
        names = await client.children(above or "/", timeout=_PATIENCE)
    except ClientError:
        return []
    found = [each for each in names if each.startswith(name)][:_MOST]
    return [Candidate(shlex.quote(f"{above}/{each}"), each, ends=False) for each in found]


def _files(begun: str) -> list[Candidate]:
    above, slash, name = begun.rpartition("/")
    found: list[Candidate] = []
    try:
        for path in sorted(Path(above + slash or ".").iterdir()):
            if path.name.startswith(name) and (name or not path.name.startswith(".")):
                end = "/" if path.is_dir() else ""
                found.append(
                    Candidate(shlex.quote(above + slash + path.name) + end, path.name + end, ends=not end)
                )
    except OSError:
        return []
    return found[:_MOST]
