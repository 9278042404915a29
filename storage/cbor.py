"""CBOR as strangers may send it: plain values of known length, nothing that decodes to more than it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import IO, Any, Final, NoReturn

import cbor2

_DEPTH: Final = 8
"""Arrays and maps within each other."""


def encode(value: object) -> bytes:
    """A value of ours."""
    return cbor2.dumps(value)


def decode(data: bytes) -> object:
    """The one value that data is. ValueError says what is wrong with it: tags, lengths that are not told at
    the start, keys that are no text or there twice, and more than one value are not taken."""
    stream = BytesIO(data)
    value = _next(_decoder(stream))
    if stream.tell() != len(data):
        raise ValueError("more than one value")
    return value


def sequence(stream: IO[bytes]) -> Iterator[object]:
    """The values that follow one another in a stream (RFC 8742), each read when it is asked for; it never
    ends, but for ValueError as of `decode`, also where there is nothing more."""
    decoder = _decoder(stream)
    while True:
        yield _next(decoder)


def _decoder(stream: IO[bytes]) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        stream,
        semantic_decoders=_NO_TAGS,
        tag_hook=_refuse,
        max_depth=_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


def _next(decoder: cbor2.CBORDecoder) -> object:
    try:
        value: object = decoder.decode()
    except cbor2.CBORDecodeError as error:
        raise ValueError(str(error)) from error
    return value


class _NoTags(Mapping[int, Callable[[Any, bool], Any]]):
    """Says of every tag that it can decode it, so that no other does."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], NoReturn]:
        return _refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def _refuse(*_: object) -> NoReturn:
    raise ValueError("tags are not taken")


_NO_TAGS: Final = _NoTags()
