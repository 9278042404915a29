"""Reads the syntax of java.util.Properties, keeping the line of every setting.

The rules are those of `Properties.load`: a logical line goes on after an odd number of backslashes at
its end, `#` and `!` begin a comment only at the start of one, a key ends at the first bare `=`, `:`
or blank, and a backslash escapes whatever follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLANK = " \t\f"
_KEY_VALUE = re.compile(r"((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
# String.trim() in Java takes off everything up to the blank, control characters included.
_TRIMMED = "".join(map(chr, range(0x21)))


@dataclass(frozen=True, slots=True)
class Setting:
    """One `key=value`, trimmed; line counts from 1, None if it came from the command line.

    error says what is wrong with the escapes in it, None if nothing is.
    """

    line: int | None
    key: str
    value: str
    error: str | None = None


def parse(text: str) -> Iterator[Setting]:
    """The settings of text in their order; repeated keys come out repeatedly."""
    for line, logical in _logical_lines(text):
        match = _KEY_VALUE.match(logical)
        assert match  # every part of the pattern may be empty
        try:
            key, value = (_unescape(part).strip(_TRIMMED) for part in match.groups())
        except ValueError as error:
            yield Setting(line, match[1], "", str(error))
        else:
            yield Setting(line, key, value)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first natural line, the whole) for all that is neither blank nor a comment."""
    parts: list[str] = []
    first = 0
    for number, natural in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        stripped = natural.lstrip(_BLANK)
        if not any(parts):
            parts.clear()
            if not stripped or stripped[0] in "#!":
                continue
            first = number
        backslashes = len(stripped) - len(stripped.rstrip("\\"))
        if backslashes % 2:
            parts.append(stripped[:-1])
            continue
        if logical := "".join((*parts, stripped)):
            yield first, logical
        parts.clear()
    if logical := "".join(parts):
        yield first, logical


def _unescape(part: str) -> str:
    if "\\" not in part:
        return part
    text = _ESCAPE.sub(_character, part)
    # Java's \u writes UTF-16 units, so a character beyond the first plane comes as two of them.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(match: re.Match[str]) -> str:
    escape = match[1]
    if escape == "u":
        raise ValueError("\\u needs four hexadecimal digits")
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _LETTERS.get(escape, escape)
