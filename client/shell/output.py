"""What commands found, and how it is shown: as lines, in colours on a terminal, or as JSON."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import Refused
from . import exits

if TYPE_CHECKING:
    from rich.console import RenderableType

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found, in its three forms.

    value: for --json, one line. text: as zkCli would print it, without the last end of line; bytes go out as
    they are. rich: makes the same for a terminal, where colours or a layout help; what others wrote goes
    through `printable` before it is in there.
    """

    value: Json
    text: str | bytes
    rich: Callable[[], RenderableType] | None = None


class Output:
    """Standard output for results, standard error for what a person is told."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def show(self, result: Result) -> None:
        """Print a result; a command may show many, each as it comes, and return none."""
        if self.as_json:
            print(_json(result.value), flush=True)
        elif sys.stdout.isatty():
            if result.rich is not None:
                _print_rich(result.rich())
            else:
                text = result.text
                print(printable(text.decode(errors="replace") if isinstance(text, bytes) else text))
        elif isinstance(result.text, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(result.text + b"\n")
            sys.stdout.buffer.flush()
        else:
            print(result.text, flush=True)

    def tell(self, text: str) -> None:
        """Say what is no result: that the connection is lost, for one."""
        print(printable(text), file=sys.stderr, flush=True)

    def fail(self, error: Exception) -> int:
        """Say why a command failed; its exit code."""
        code = exits.code(error)
        said = exits.sentence(error)
        if self.as_json:
            told: dict[str, Json] = {"error": type(error).__name__, "message": said, "exit": code}
            if isinstance(error, Refused) and error.path:
                told["path"] = error.path
            print(_json(told), file=sys.stderr, flush=True)
        elif sys.stderr.isatty() and "NO_COLOR" not in os.environ:
            print(f"\x1b[31m{printable(said)}\x1b[0m", file=sys.stderr, flush=True)
        else:
            self.tell(said)
        return code


def printable(text: str) -> str:
    """The same without what would move a terminal's cursor, or worse: \\x1b stands for an escape."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def size(count: float) -> str:
    """Bytes, in a unit that a person reads easily."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:,} B" if unit == "B" else f"{count:,.3g} {unit}"


def data_json(data: bytes) -> dict[str, Json]:
    """A znode's data as JSON has it: `data` if it is text, else `data64` in base64."""
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"data64": base64.b64encode(data).decode()}


def _json(value: Json) -> str:
    """In a line that no terminal takes for commands."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _print_rich(what: RenderableType) -> None:
    from rich.console import Console
    from rich.text import Text

    # Lines that a terminal wraps can be copied whole.
    Console(highlight=False).print(what, soft_wrap=isinstance(what, Text))
