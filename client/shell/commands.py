"""The commands: which there are, where each is written, and what one is made of.

To add one: write it in a module beside this one, and name it in `MODULES`.

    @command("size", "size /app", "size -h /app")
    @click.option("-h", "human", is_flag=True, help="In KiB and MiB.")
    @click.argument("path", type=PATH)
    async def size(shell: Shell, human: bool, path: str) -> Result:
        '''Say how many bytes a subtree holds.'''
        client = await shell.connected()
        ...
        return Result({"path": path, "bytes": total}, f"{total}")

Its docstring and the examples are its help. What it raises of ClientError becomes a sentence and an exit
code (exits.py); `raise click.UsageError(...)` tells wrong arguments; `raise click.exceptions.Exit(1)` ends
with a code of its own. One that shows many results calls `shell.output.show(Result(...))`, and returns None.
The types of its arguments tell what completes them (arguments.py). For files take click.Path: a click.File is
closed before the command runs.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import click

from .output import Result

if TYPE_CHECKING:
    from .shell import Shell

Outcome: TypeAlias = Awaitable[Result | None]

SECTIONS: Final = {
    "Znodes": {
        "ls": "reading",
        "get": "reading",
        "stat": "reading",
        "create": "changing",
        "set": "changing",
        "edit": "editing",
        "delete": "changing",
        "deleteall": "changing",
        "sync": "reading",
        "getAllChildrenNumber": "reading",
        "getEphemerals": "reading",
    },
    "Subtrees": {
        "tree": "tree",
        "export": "exporting",
        "import": "importing",
        "cp": "copying",
        "diff": "comparing",
    },
    "Watches": {
        "watch": "following",
        "addWatch": "watching",
        "removewatches": "watching",
        "printwatches": "watching",
    },
    "Programs": {
        "lock": "holding",
        "elect": "holding",
    },
    "Who may do what": {
        "getAcl": "access",
        "setAcl": "access",
        "addauth": "access",
        "whoami": "access",
    },
    "Quotas": {
        "setquota": "quotas",
        "listquota": "quotas",
        "delquota": "quotas",
    },
    "Servers": {
        "top": "top",
        "config": "members",
        "reconfig": "members",
    },
    "The shell": {
        "help": "control",
        "connect": "control",
        "close": "control",
        "history": "control",
        "redo": "control",
        "version": "control",
        "quit": "control",
        "exit": "control",
    },
}
"""The commands by what they are for, in the order of `help`: name → module."""

MODULES: Final = {name: module for section in SECTIONS.values() for name, module in section.items()}


class Command(click.Command):
    """A click command with examples, whose callback is given the Shell and returns a coroutine."""

    def __init__(
        self, name: str, examples: tuple[str, ...], callback: Callable[..., Outcome], help: str | None
    ) -> None:
        super().__init__(
            name,
            context_settings={"help_option_names": ["--help"], "max_content_width": 100},
            callback=callback,
            params=list(reversed(getattr(callback, "__click_params__", []))),
            help=help,
        )
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))

    def begin(self, shell: Shell, arguments: list[str]) -> Outcome:
        """Parse its arguments; what is to be awaited. Raises click's errors."""
        with self.make_context(self.name, arguments, obj=shell) as context:
            return cast(Outcome, self.invoke(context))


def command(name: str, *examples: str) -> Callable[[Callable[..., Outcome]], Command]:
    """Make a command of an async function, as this module's docstring shows; examples: lines that call it."""

    def made(body: Callable[..., Outcome]) -> Command:
        return Command(name, examples, click.pass_obj(body), body.__doc__)

    return made


def find(name: str) -> Command:
    """The command of that name; UsageError if there is none. Only its module is imported."""
    module = MODULES.get(name)
    if module is None:
        near = difflib.get_close_matches(name, MODULES, n=1)
        raise click.UsageError(f"Command not found: {name}" + (f". Did you mean {near[0]}?" if near else ""))
    for found in vars(importlib.import_module(f".{module}", __package__)).values():
        if isinstance(found, Command) and found.name == name:
            return found
    raise LookupError(f"{module} has no command {name}")


def write_all(formatter: click.HelpFormatter) -> None:
    """What commands there are, each in a line."""
    for title, names in SECTIONS.items():
        with formatter.section(title):
            formatter.write_dl([(name, find(name).get_short_help_str(70)) for name in names])
