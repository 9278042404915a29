"""Fetches a backup from a running server's admin port into a file: whole, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from tempfile import mkstemp
from time import monotonic
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import urlsplit

from ..storage.backup import BackupDamaged, BackupReader
from ..storage.directories import sync_directory
from ..storage.state import NODES, OtherFormat

Progress: TypeAlias = Callable[[int], AbstractContextManager[Callable[[int], object]]]
"""Given how much there is to do, shows how far it is: told how much more was done."""

_CHUNK: Final = 1 << 18
_PATIENCE: Final = 60.0
"""Seconds without a byte after which the server is given up: it may have to flush first."""
_LONGEST: Final = 1 << 16
"""Bytes of an error's text that are looked at."""


_UNAUTHORIZED: Final = 401


class Refused(Exception):
    """The server gave no backup; says why."""


FAILURES: Final = (OSError, BackupDamaged, OtherFormat, Refused)
"""What fetch raises."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was done: the last transaction, the znodes, all rows, bytes, seconds."""

    zxid: int
    znodes: int
    rows: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.znodes} znodes up to zxid {self.zxid:#x}, {self.bytes} bytes in {self.seconds:.1f} s"


def result_of(reader: BackupReader, began: float) -> Result:
    """What came of reading a backup since then, by time.monotonic."""
    meta = reader.header.meta
    seconds = round(monotonic() - began, 3)
    return Result(meta.zxid, meta.node_count, reader.rows, reader.size, seconds)


def fetch(server: str, token_file: Path | None, target: Path, progress: Progress) -> Result:
    """Back up the server at that URL, checked as it comes, and on disk before it takes target's name.

    progress counts znodes. Raises FAILURES.
    """
    began = monotonic()
    headers = {} if token_file is None else {"Authorization": f"Bearer {_token(token_file)}"}
    connection = _connection(server)
    # A backup holds what ACLs protect, and sessions' passwords: mkstemp's files are their owner's alone.
    fd, name = mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            try:
                reader = BackupReader(_copied(_ask(connection, server, headers), file), server)
                with progress(reader.header.meta.node_count) as more:
                    for rows in reader:
                        more(sum(key.startswith(NODES) for key, _ in rows))
            except (ConnectionError, TimeoutError, HTTPException) as error:
                raise Refused(f"{server} ended its answer early: {error}") from error
            finally:
                connection.close()
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_directory(target.parent)
    return result_of(reader, began)


def _connection(server: str) -> HTTPConnection:
    # Not by urllib's ways, which would bring the token to proxies, and to wherever a redirect leads.
    try:
        url = urlsplit(server)
        port = url.port
    except ValueError as error:
        raise Refused(f"{server!r} is not a server's URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Refused(f"{server!r} is not a server's URL, such as http://127.0.0.1:8080")
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(url.hostname, port, timeout=_PATIENCE)


def _token(file: Path) -> str:
    token = file.read_text("ascii", "replace").strip()
    if not (token.isascii() and token.isprintable()):
        raise Refused(f"{file} holds no token, but other bytes")
    return token


def _ask(connection: HTTPConnection, server: str, headers: dict[str, str]) -> HTTPResponse:
    try:
        connection.connect()
    except OSError as error:
        raise Refused(f"{server}: {error}") from error
    connection.request("GET", "/commands/snapshot", headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        told = response.read(_LONGEST).decode(errors="replace")
        with suppress(ValueError, TypeError, KeyError):
            told = str(json.loads(told)["error"])
        if response.status == _UNAUTHORIZED:
            told = "it wants its admin port's token: name a file with it by --token-file"
        raise Refused(f"{server} says {response.status}: {told.strip()}")
    return response


def _copied(response: HTTPResponse, file: BinaryIO) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        yield chunk
