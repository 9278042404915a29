"""The file of a log segment: its header, its frames of records, and how they are recognised.

A segment `log.N` begins with a header and holds frames; a frame is some records written together,
under one CRC. A frame is known by its segment's random mark, so that neither older bytes nor a
client's data are ever taken for one. It also says where its batch (what one sync wrote) began, and so
up to where its segment was on disk when it was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from errno import ENXIO
from pathlib import Path
from struct import Struct
from zlib import crc32

START = 512  # of the first frame: the header has a sector to itself, so that no later write can tear it
_MAGIC = b"znodelog"
_VERSION = 1
_HEADER_REST = Struct("<IQ8s")  # version, base zxid, mark; before it the magic and a CRC of this
_HEADER_SIZE = len(_MAGIC) + 4 + _HEADER_REST.size
_FRAME = Struct("<8sIIQQ")  # mark, CRC of the rest and the body, body's length, batch's offset, last zxid
_FRAME_REST = Struct("<IQQ")
RECORD = Struct("<QI")  # zxid, payload's length
_ALIGN = 8
BODY = 1 << 20  # a frame takes records up to this size, or one larger: it bounds memory when reading
_CHUNK = 1 << 20


class LogDamaged(Exception):
    """A segment does not hold what was once on disk; names file and offset."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: base (its records have greater zxids), mark, allocated size in bytes."""

    base: int
    path: Path
    mark: bytes
    size: int


@dataclass(slots=True)
class Frame:
    """Where it ends in its file, where its batch began, its last zxid and its records."""

    end: int
    batch: int
    last: int
    body: bytes


def pack_header(base: int, mark: bytes) -> bytes:
    """What a segment's file begins with."""
    rest = _HEADER_REST.pack(_VERSION, base, mark)
    return _MAGIC + crc32(rest).to_bytes(4, "little") + rest


def open_segment(path: Path) -> Segment:
    """The segment in that file. Raises LogDamaged if it is none of ours."""
    with path.open("rb") as file:
        head = file.read(_HEADER_SIZE)
        size = file.seek(0, os.SEEK_END)
    if not head.startswith(_MAGIC):
        raise LogDamaged(f"{path}: not a segment of this log (offset 0 holds {head[:8]!r})")
    rest = head[-_HEADER_REST.size :]
    if len(head) < _HEADER_SIZE or head[8:12] != crc32(rest).to_bytes(4, "little"):
        raise LogDamaged(f"{path}: damaged at offset 0")
    version, base, mark = _HEADER_REST.unpack(rest)
    if version != _VERSION:
        raise LogDamaged(f"{path}: format version {version} at offset 12, {_VERSION} is known")
    if path.name != f"log.{base + 1:x}":
        raise LogDamaged(f"{path}: offset 16 says that it was log.{base + 1:x}")
    return Segment(base, path, mark, size)


def frames(fd: int, mark: bytes, at: int) -> Iterator[Frame]:
    """The frames from that offset on, up to the first place that holds no whole one."""
    size = os.fstat(fd).st_size
    data, origin = b"", at
    while at + _FRAME.size <= size:
        if at + _FRAME.size > origin + len(data):
            data, origin = os.pread(fd, _CHUNK, at), at
        found, crc, length, batch, last = _FRAME.unpack_from(data, at - origin)
        body = at + _FRAME.size
        end = body + _aligned(length)
        if found != mark or end > size:
            return
        if end > origin + len(data):
            data, origin = os.pread(fd, max(_CHUNK, end - at), at), at
        content = data[body - origin : body - origin + length]
        if crc32(content, crc32(_FRAME_REST.pack(length, batch, last))) != crc:
            return
        yield Frame(end, batch, last, content)
        at = end


def pack_frame(mark: bytes, batch: int, body: bytes, last: int) -> bytes:
    """One frame's bytes: body with its last zxid, for the batch that begins at that offset."""
    crc = crc32(body, crc32(_FRAME_REST.pack(len(body), batch, last)))
    return _FRAME.pack(mark, crc, len(body), batch, last) + body + bytes(-len(body) % _ALIGN)


def frame_size(body: bytes) -> int:
    """Bytes that body takes as a frame."""
    return _FRAME.size + _aligned(len(body))


def grouped(records: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Packed records put together into bodies of frames, each with its last zxid."""
    group: list[bytes] = []
    size = 0
    for record in records:
        if group and size + len(record) > BODY:
            yield b"".join(group), RECORD.unpack_from(group[-1])[0]
            group.clear()
            size = 0
        group.append(record)
        size += len(record)
    if group:
        yield b"".join(group), RECORD.unpack_from(group[-1])[0]


def records_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The records (zxid, payload) of a frame's body."""
    at = 0
    while at < len(body):
        zxid, length = RECORD.unpack_from(body, at)
        at += RECORD.size + length
        yield zxid, body[at - length : at]


def used(fd: int, at: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the chunks from that offset on that are not all zeros."""
    while True:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)  # space that was only allocated is slow to read
        except OSError as error:
            if error.errno == ENXIO:
                return
            raise
        chunk = os.pread(fd, _CHUNK, at)
        if chunk != bytes(len(chunk)):
            yield at, chunk
        at += len(chunk)


def erase(fd: int, start: int) -> int:
    """Write zeros over what stands behind start; how many bytes that were."""
    length = 0
    for at, chunk in used(fd, start):
        count = len(chunk.rstrip(b"\0"))
        write_at(fd, bytes(count), at)
        length = at + count - start
    return length


def write_at(fd: int, data: bytes, at: int) -> None:
    """Write all of data at that offset."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count


def _aligned(length: int) -> int:
    return length + -length % _ALIGN
