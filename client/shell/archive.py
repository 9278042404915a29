"""The file that a subtree is exported to and imported from (docs/shell.md describes it)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedReader
from typing import Final

import click

from ...storage import cbor
from ...storage.acl import Acl
from .arguments import ACL, written
from .output import Json, data_json

_VERSION: Final = 1
_MARK: Final = "znode-export"
_LONGEST: Final = 64 << 20
"""Bytes of a line: znodes have 1 MiB, where servers are not told otherwise."""
_KEYS: Final = {"path", "data", "data64", "acl", "container", "ttl"}


class Format(StrEnum):
    """How it is written."""

    JSON = "json"
    CBOR = "cbor"


class Malformed(click.ClickException):
    """A file is not what an export writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A znode. path: below the root, empty for the root itself. acl: None if it was not asked for. ttl: in
    milliseconds."""

    path: str
    data: bytes
    acl: tuple[Acl, ...] | None = None
    container: bool = False
    ttl: int | None = None


class Writer:
    """Makes the parts of a file, in this order: `begin`, `entry` for each, `end`."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._count = 0

    def begin(self, root: str) -> bytes:
        """What tells that it is an export, and of which path."""
        return self._item({_MARK: _VERSION, "root": root})

    def entry(self, entry: Entry) -> bytes:
        """A znode."""
        self._count += 1
        if self._form is Format.JSON:
            item: dict[str, object] = {"path": entry.path, **data_json(entry.data)}
        else:
            item = {"path": entry.path, "data": entry.data}
        if entry.acl is not None:
            item["acl"] = [written(each) for each in entry.acl]
        if entry.container:
            item["container"] = True
        if entry.ttl is not None:
            item["ttl"] = entry.ttl
        return self._item(item)

    def end(self) -> bytes:
        """What tells that nothing is missing."""
        return self._item({"end": self._count})

    def _item(self, item: Mapping[str, object]) -> bytes:
        if self._form is Format.CBOR:
            return cbor.encode(item)
        return json.dumps(item, ensure_ascii=False).encode() + b"\n"


class Reader:
    """The entries of a file, one after the other; Malformed says what is wrong with it, and where.

    root: the path that was exported.
    """

    def __init__(self, stream: BufferedReader, name: str) -> None:
        """stream: at the file's beginning. name: how messages call it."""
        self._stream = stream
        self._name = name
        self._number = 0
        self._items = self._json() if stream.peek(1)[:1] == b"{" else cbor.sequence(stream)
        match self._next():
            case {"znode-export": 1, "root": str(root)}:
                self.root = root
            case {"znode-export": version}:
                raise self._fault(f"version {version!r} is newer than this program")
            case _:
                raise self._fault("this is no export of znode's")

    def __iter__(self) -> Iterator[Entry]:
        while True:
            item = self._next()
            if "end" in item:
                if item != {"end": self._number - 2}:
                    raise self._fault("znodes are missing before this")
                return
            yield self._entry(item)

    def _entry(self, item: dict[str, object]) -> Entry:
        if unknown := item.keys() - _KEYS:
            raise self._fault(f"{min(unknown)!r} is not known")
        match item:
            case {"path": str(path), "data": str(text)}:
                data = text.encode()
            case {"path": str(path), "data": bytes(data)}:
                pass
            case {"path": str(path), "data64": str(text)}:
                try:
                    data = base64.b64decode(text, validate=True)
                except binascii.Error as error:
                    raise self._fault(f"data64: {error}") from None
            case _:
                raise self._fault("a znode has a path, and data")
        container = item.get("container", False)
        ttl = item.get("ttl")
        if not isinstance(container, bool) or not (ttl is None or type(ttl) is int):
            raise self._fault("container is true or false, ttl a number of milliseconds")
        return Entry(path, data, self._acl(item["acl"]) if "acl" in item else None, container, ttl)

    def _acl(self, entries: object) -> tuple[Acl, ...]:
        if not isinstance(entries, list) or not entries:
            raise self._fault("acl is a list of one entry or more")
        try:
            return tuple(found for each in entries for found in ACL.convert(each, None, None))
        except click.BadParameter as error:
            raise self._fault(f"acl: {error.message}") from None

    def _next(self) -> dict[str, object]:
        self._number += 1
        try:
            item = next(self._items)
        except ValueError as error:
            raise self._fault(str(error)) from None
        except StopIteration:
            raise self._fault("it ends too early") from None
        if not isinstance(item, dict):
            raise self._fault("an item is a map")
        return item

    def _json(self) -> Iterator[object]:
        while line := self._stream.readline(_LONGEST):
            if len(line) == _LONGEST:
                raise ValueError("the line is too long")
            value: Json = json.loads(line)
            yield value

    def _fault(self, what: str) -> Malformed:
        return Malformed(f"{self._name}, item {self._number}: {what}")
