"""Files of `export` hold what they were given, in both forms, and say what is wrong with others."""

from __future__ import annotations

from io import BufferedReader, BytesIO

import pytest

from znoded.client.shell.archive import Entry, Format, Malformed, Reader, Writer
from znoded.storage import cbor
from znoded.storage.acl import Acl

ENTRIES = [
    Entry("", b""),
    Entry("a", b"text \xc3\xa9\n", (Acl(31, "world", "anyone"), Acl(1, "digest", "me:x="))),
    Entry("a/b", b"\xff\x00", container=True),
    Entry("a/c", b"x", ttl=60_000),
]
BEGIN = b'{"znode-export": 1, "root": "/a"}\n'


def read(data: bytes) -> Reader:
    return Reader(BufferedReader(BytesIO(data)), "it")


@pytest.mark.parametrize("form", Format)
def test_what_is_written_is_read(form: Format) -> None:
    writer = Writer(form)
    parts = [writer.begin("/root"), *map(writer.entry, ENTRIES), writer.end()]
    reader = read(b"".join(parts))
    assert reader.root == "/root"
    assert list(reader) == ENTRIES


def test_a_file_that_a_person_can_read() -> None:
    writer = Writer(Format.JSON)
    parts = [writer.begin("/root"), *map(writer.entry, ENTRIES), writer.end()]
    assert b"".join(parts).decode().splitlines() == [
        '{"znode-export": 1, "root": "/root"}',
        '{"path": "", "data": ""}',
        '{"path": "a", "data": "text é\\n", "acl": ["world:anyone:cdrwa", "digest:me:x=:r"]}',
        '{"path": "a/b", "data64": "/wA=", "container": true}',
        '{"path": "a/c", "data": "x", "ttl": 60000}',
        '{"end": 4}',
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "item 1: premature end"),
        (b"PK\x03\x04", "item 1: "),
        (b"{}\n", "item 1: this is no export of znode's"),
        (b"{\n", "item 1: Expecting"),
        (b"\x9f", "item 1: "),
        (b'{"znode-export": 2}\n', "item 1: version 2 is newer"),
        (BEGIN, "item 2: it ends too early"),
        (BEGIN + b'{"path": "a"}\n', "item 2: a znode has a path, and data"),
        (BEGIN + b'{"path": "a", "data": "", "x": 1}\n', "item 2: 'x' is not known"),
        (BEGIN + b'{"path": "a", "data64": "!"}\n', "item 2: data64: "),
        (BEGIN + b'{"path": "a", "data": "", "ttl": "1"}\n', "item 2: container is true or false, ttl"),
        (BEGIN + b'{"path": "a", "data": "", "acl": ["x"]}\n', "item 2: acl: 'x' does not have the form"),
        (BEGIN + b'{"path": "a", "data": "", "acl": []}\n', "item 2: acl is a list"),
        (BEGIN + b"[]\n", "item 2: an item is a map"),
        (BEGIN + b'{"end": 1}\n', "item 2: znodes are missing before this"),
        (cbor.encode({"znode-export": 1, "root": "/a"}), "item 2: premature end"),
    ],
)
def test_what_is_wrong_is_told(data: bytes, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        list(read(data))
    assert f"it, {says}" in caught.value.message
