"""The rules a znode's path must keep."""

from __future__ import annotations

from typing import Final

from .errors import Code, ZkError

PLAIN: Final = bytes(range(0x20, 0x2F)) + bytes(range(0x30, 0x7F))
"""Bytes of which every name is right, but for . and .. and the empty one: nearly everyone uses no others."""


def _forbidden(char: str) -> bool:
    code = ord(char)
    return (
        code <= 0x1F
        or 0x7F <= code <= 0x9F
        or 0xD800 <= code <= 0xF8FF
        or code >= 0xFFF0  # also beyond 16 bits: ZooKeeper sees those as surrogates, and refuses them
    )


def fault(path: bytes) -> str | None:
    """What is wrong with path (UTF-8), or None (ZooKeeper: PathUtils.validatePath)."""
    if not path:
        return "path must not be empty"
    if path[0] != 0x2F:
        return "path must start with /"
    if path == b"/":
        return None
    if path[-1] == 0x2F:
        return "path must not end with /"
    try:
        text = path.decode()
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start}"
    for name in text[1:].split("/"):
        if not name:
            return "empty node name"
        if name in (".", ".."):
            return "relative paths are not allowed"
        if not (name.isascii() and name.isprintable()):
            for char in name:
                if _forbidden(char):
                    return f"invalid character U+{ord(char):04X}"
    return None


def check(path: bytes) -> None:
    """Raise BADARGUMENTS for a path that breaks a rule."""
    if fault(path) is not None:
        raise ZkError(Code.BADARGUMENTS, path.decode(errors="replace"))


def split(path: bytes) -> tuple[bytes, bytes]:
    """The parent's path and the name below it; the parent of /a is /."""
    parent, _, name = path.rpartition(b"/")
    return parent or b"/", name


def ancestors(path: bytes) -> list[bytes]:
    """The paths above path, nearest first, / last; none for / itself."""
    above = []
    while path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        above.append(path)
    return above
