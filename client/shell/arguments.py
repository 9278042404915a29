"""The kinds of arguments that commands take; by its kind, an argument is checked and completed."""

from __future__ import annotations

import re
from typing import Final

import click

from ...storage.acl import LETTERS, Acl, letters

_ENTRY: Final = re.compile(r"(?P<scheme>\w+):(?P<id>.*?):(?P<perms>[cdrwa]+)(?:,(?=\w+:)|$)")


class ZnodePath(click.types.StringParamType):
    """The path of a znode: completed from the server, checked by the client."""

    name = "path"


class CommandName(click.types.StringParamType):
    """The name of a command."""

    name = "command"


class AclList(click.ParamType[tuple[Acl, ...]]):
    """An access control list as zkCli writes it: `world:anyone:r,digest:user:hash:cdrwa`."""

    name = "acl"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Acl, ...]:
        text = str(value)
        entries: list[Acl] = []
        at = 0
        while at < len(text):
            found = _ENTRY.match(text, at)
            if found is None:
                self.fail(f"{text[at:]!r} does not have the form scheme:id:perms, perms of cdrwa", param, ctx)
            perms = sum(LETTERS[letter] for letter in set(found["perms"]))
            entries.append(Acl(perms, found["scheme"], found["id"]))
            at = found.end()
        if not entries:
            self.fail("an ACL has one entry or more", param, ctx)
        return tuple(entries)


class Servers(click.ParamType[str]):
    """`HOST:PORT,...` or a URL: checked before anything is done."""

    name = "servers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from ..address import parse
        from ..errors import BadAddress

        try:
            parse(str(value))
        except BadAddress as error:
            self.fail(str(error), param, ctx)
        return str(value)


PATH: Final = ZnodePath()
COMMAND: Final = CommandName()
ACL: Final = AclList()
SERVERS: Final = Servers()


def written(entry: Acl) -> str:
    """An entry of a list as it is typed."""
    return f"{entry.scheme}:{entry.id}:{letters(entry.perms)}"


def to_bytes(text: str) -> bytes:
    """A word as it was given: UTF-8, and bytes that are none."""
    return text.encode(errors="surrogateescape")
