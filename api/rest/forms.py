"""What HTTP carries, in JSON and in CBOR: znodes and errors out, data and access control lists in."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NoReturn

from ...storage import acl as acls
from ...storage import cbor
from ...storage.acl import Acl
from ...storage.znode import STAT, STAT_NAMES


class Form(Enum):
    """How a body is written, by its media type."""

    JSON = "application/json"
    CBOR = "application/cbor"
    OCTETS = "application/octet-stream"


class Fault(Exception):
    """A request gets an error for its answer: the status, what is said, what else the answer and its headers
    hold."""

    def __init__(
        self,
        status: int,
        message: str,
        more: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.more = more or {}
        self.headers = headers or {}


_quote: Final = json.encoder.encode_basestring_ascii
"""A text as dumps() writes it, without the way there."""
_STAT: Final = ",".join(f'"{name}":%d' for name in STAT_NAMES) + "}"
_OFFERED: Final = tuple(Form)


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Form | None:
    """The form that a client likes best (its Accept header), JSON where it leaves the choice (RFC 9110,
    section 12.5.1)."""
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        ranges[kind] = quality
    liked = Form.JSON
    most = 0.0
    for form in _OFFERED:
        quality = ranges.get(form.value, ranges.get("application/*", ranges.get("*/*", 0.0)))
        if quality > most:
            liked, most = form, quality
    return liked if most else None


@lru_cache(maxsize=256)
def form_of(content_type: str) -> Form:
    """The form of a body with that Content-Type; raises Fault."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        return Form(kind)
    except ValueError:
        raise Fault(
            415,
            f"a body of type {kind!r} is not taken: application/octet-stream is data as it is;"
            " application/json and application/cbor are forms",
        ) from None


# out


def encode(form: Form, value: object) -> bytes:
    """A value of ours in JSON, unless it is to be CBOR."""
    return cbor.encode(value) if form is Form.CBOR else json.dumps(value).encode()


def node(form: Form, path: str, uri: str, stat: bytes, data: bytes | None, data_format: str) -> bytes:
    """A znode: its Stat as on the wire, and its data where there are any to tell."""
    if form is Form.CBOR:
        told: dict[str, object] = {"path": path, "uri": uri}
        if data is not None:
            told["data"] = data
        return cbor.encode(told | fields(stat))
    # Put together by hand: this is most of what is ever answered.
    if data is None:
        value = ""
    elif data_format == "utf8":
        value = f'"dataUtf8":{_quote(data.decode(errors="replace"))},'
    else:
        value = f'"data64":"{b64encode(data).decode()}",'
    head = f'{{"path":{_quote(path)},"uri":{_quote(uri)},{value}'
    return (head + _STAT % STAT.unpack(stat)).encode()


def fields(stat: bytes) -> dict[str, object]:
    """A Stat as on the wire, by name."""
    return dict(zip(STAT_NAMES, STAT.unpack(stat), strict=True))


def entries(acl: list[Acl]) -> list[dict[str, str]]:
    """A list as it is told."""
    return [
        {
            "perms": acls.letters(entry.perms),
            "scheme": entry.scheme,
            "id": entry.id,
        }
        for entry in acl
    ]


# in


def decode(form: Form, body: bytes) -> object:
    """What a body in JSON or CBOR says; raises Fault."""
    try:
        if form is Form.CBOR:
            return cbor.decode(body)
        return json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Fault(400, f"this is no {form.name}: {error}") from error


class Table:
    """A JSON object or a CBOR map from outside, taken apart key by key; what is a fault names where."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise Fault(400, f"{where} must be an object, not {_kind(value)}")
        self._rest = dict(value)
        self._where = where

    def text(self, key: str) -> str:
        """A text that must be there."""
        value = self._rest.pop(key, None)
        if not isinstance(value, str):
            raise Fault(400, f"{self._where} needs {key}, a text, not {_kind(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Fault(400, f"{self._where}: {key} has half of a surrogate pair") from None
        return value

    def number(self, key: str, otherwise: int, least: int, most: int) -> int:
        """A whole number, both limits included."""
        value = self._rest.pop(key, otherwise)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Fault(400, f"{self._where}: {key} must be a number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where it is not there."""
        value = self._rest.pop(key, False)
        if not isinstance(value, bool):
            raise Fault(400, f"{self._where}: {key} must be true or false, not {_kind(value)}")
        return value

    def data(self) -> bytes | None:
        """data64, dataUtf8 or, in CBOR, data; None where there is none of them, or null."""
        given = [key for key in ("data", "data64", "dataUtf8") if key in self._rest]
        if len(given) > 1:
            raise Fault(400, f"{self._where} has {given[0]} and {given[1]}: one is enough")
        if not given:
            return None
        key = given[0]
        if self._rest[key] is None:
            del self._rest[key]
            return None
        if key == "data":
            value = self._rest.pop(key)
            if not isinstance(value, bytes):
                raise Fault(400, f"{self._where}: data must be bytes, not {_kind(value)}; JSON has data64")
            return value
        text = self.text(key)
        if key == "dataUtf8":
            return text.encode()
        try:
            return b64decode(text, validate=True)
        except ValueError as error:
            raise Fault(400, f"{self._where}: data64 is not base64: {error}") from error

    def acl(self) -> bytes | None:
        """An access control list, as on the wire; None where there is none."""
        if "acl" not in self._rest:
            return None
        value = self._rest.pop("acl")
        if not isinstance(value, list):
            raise Fault(400, f"{self._where}: acl must be a list, not {_kind(value)}")
        return acls.encode([_entry(one, f"{self._where}, acl {at}") for at, one in enumerate(value)])

    def end(self) -> None:
        """There must be nothing else."""
        for key in self._rest:
            raise Fault(400, f"{self._where} has {key!r}, which means nothing here")


def _entry(value: object, where: str) -> Acl:
    entry = Table(value, where)
    perms = 0
    for letter in entry.text("perms"):
        if letter not in acls.LETTERS:
            raise Fault(400, f"{where}: perms are letters of cdrwa")
        perms |= acls.LETTERS[letter]
    acl = Acl(perms, entry.text("scheme"), entry.text("id"))
    entry.end()
    return acl


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
