"""Asks one server one thing after the other, and waits for each answer."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from ...storage.jute import Reader
from . import wire

_HOST: Final = "127.0.0.1"
_NODE_EXISTS: Final = -110
_HEADER: Final = struct.Struct(">iqi")


class Asking(AbstractContextManager["Asking"]):
    """A session with a server. Every method raises OSError if there is no answer, or one that says no."""

    def __init__(self, port: int, patience: float) -> None:
        """patience: seconds for each answer."""
        self._socket = socket.create_connection((_HOST, port), patience)
        self._stream = self._socket.makefile("rb")
        try:
            self._socket.sendall(wire.connect(wire.Session(), 0))
            self._frame()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._socket:
            if kind is None:
                self._ask(wire.close())

    def make(self, paths: Sequence[bytes]) -> None:
        """Create these, parents first; fine if they are there."""
        self._all([wire.create(path, b"") for path in paths])

    def set(self, paths: Sequence[bytes], data: bytes) -> None:
        """Set all of them."""
        self._all([wire.set_data(path, data) for path in paths])

    def sync(self) -> None:
        """What was acknowledged anywhere before is here then."""
        self._ask(wire.sync(b"/"))
        self._ask(wire.get_data(b"/"))

    def children(self, path: bytes) -> list[bytes]:
        """Names."""
        reader = Reader(self._ask(wire.get_children(path)))
        return reader.vector(reader.text)

    def _all(self, requests: Sequence[bytes]) -> None:
        for request in requests:
            self._ask(request)

    def _ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        payload = self._frame()
        _, _, error = _HEADER.unpack_from(payload)
        if error not in (0, _NODE_EXISTS):
            raise ConnectionError(f"error {error}")
        return payload[_HEADER.size :]

    def _frame(self) -> bytes:
        prefix = self._stream.read(4)
        payload = self._stream.read(int.from_bytes(prefix))
        if len(prefix) < 4 or len(payload) < int.from_bytes(prefix):
            raise ConnectionResetError("closed")
        return payload


def word(port: int, letters: bytes, patience: float) -> str:
    """A four-letter word's answer. Raises OSError."""
    with socket.create_connection((_HOST, port), patience) as connection:
        connection.sendall(letters)
        return connection.makefile("rb").read().decode(errors="replace")
