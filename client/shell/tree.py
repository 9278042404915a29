"""The command `tree`: a subtree as a drawing, with sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ..errors import NoAuth, NoNode
from .arguments import PATH
from .commands import command
from .output import Json, Result, printable, size
from .subtree import each

if TYPE_CHECKING:
    from rich.text import Text

    from .shell import Shell


@dataclass(slots=True)
class _Branch:
    """size: bytes of its data. below, total: how many are below it, and their bytes. closed: it may not be
    read."""

    path: str
    size: int = 0
    ephemeral: bool = False
    closed: bool = False
    below: int = 0
    total: int = 0

    @property
    def about(self) -> str:
        """What stands behind its name."""
        if self.closed:
            return "(not permitted)"
        parts = [size(self.size)]
        if self.ephemeral:
            parts.append("ephemeral")
        if self.below:
            parts.append(f"{self.below:,} below with {size(self.total)}")
        return f"({', '.join(parts)})"


@command("tree", "tree", "tree /app", "tree -L 2 /app")
@click.option("-L", "depth", type=click.IntRange(0), metavar="LEVELS", help="Show only so many below PATH.")
@click.argument("path", type=PATH, default="/")
async def tree(shell: Shell, depth: int | None, path: str) -> Result | None:
    """Draw a znode and all below it, with sizes.

    Behind each name stand the bytes of its data, and how many znodes with how many bytes are below it, those
    that -L hides, too. With --json, a znode a line.
    """
    branches = await _grown(shell, path, depth)
    if not shell.output.as_json:
        lines = list(_drawn(path, branches))
        text = "\n".join(f"{twigs}{name} {branch.about}" for twigs, name, branch in lines)
        return Result(None, text, lambda: _styled(lines))
    for branch in branches:
        value: dict[str, Json] = {
            "path": branch.path,
            "bytes": branch.size,
            "below": branch.below,
            "bytes_below": branch.total,
            "ephemeral": branch.ephemeral,
            "permitted": not branch.closed,
        }
        shell.output.show(Result(value, ""))
    return None


async def _grown(shell: Shell, root: str, depth: int | None) -> list[_Branch]:
    """Those that are to be shown, in the order of a drawing; what is deeper only counts."""
    client = await shell.connected()

    async def read(path: str) -> tuple[_Branch, list[str]]:
        branch = _Branch(path)
        names: list[str] = []
        try:
            stat = await client.exists(path)
            if stat is None:
                raise NoNode(path)
            branch.size = stat.data_length
            branch.ephemeral = stat.ephemeral_owner != 0
            if stat.num_children:
                names = await client.children(path)
        except NoAuth:
            branch.closed = True
        return branch, names

    shown: dict[str, _Branch] = {}
    top = len(_parts(root))
    async for path, branch in each(root, read):
        parts = _parts(path)
        if depth is None or len(parts) - top <= depth:
            shown[path] = branch
        for count in range(top, len(parts)):
            above = shown.get("/" + "/".join(parts[:count]))
            if above is None:  # hidden, as all below it
                break
            above.below += 1
            above.total += branch.size
    return sorted(shown.values(), key=lambda branch: _parts(branch.path))


def _drawn(root: str, branches: Sequence[_Branch]) -> Iterator[tuple[str, str, _Branch]]:
    """What stands before the name, the name, and whose it is."""
    depths = [len(_parts(branch.path)) for branch in branches]
    last: list[bool] = []
    follows: set[int] = set()  # depths at which another comes before one that is less deep
    for depth in reversed(depths):
        last.append(depth not in follows)
        follows = {each for each in follows if each < depth} | {depth}
    last.reverse()
    open_ends: list[bool] = []
    for branch, depth, is_last in zip(branches, depths, last, strict=True):
        level = depth - depths[0]
        if not level:
            yield "", root, branch
            continue
        del open_ends[level - 1 :]
        twigs = "".join("│   " if goes_on else "    " for goes_on in open_ends)
        yield twigs + ("└── " if is_last else "├── "), branch.path.rpartition("/")[2], branch
        open_ends.append(not is_last)


def _styled(lines: Sequence[tuple[str, str, _Branch]]) -> Text:
    from rich.text import Text

    text = Text()
    for number, (twigs, name, branch) in enumerate(lines):
        style = "yellow" if branch.ephemeral else "bold blue" if branch.below else ""
        end = "\n" if number < len(lines) - 1 else ""
        text.append(twigs, "dim").append(printable(name), style).append(f" {branch.about}{end}", "dim")
    return text


def _parts(path: str) -> list[str]:
    return path.split("/")[1:] if path != "/" else []
