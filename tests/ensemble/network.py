"""A network between the servers of an ensemble that can be broken, one direction at a time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import TypeAlias

Way: TypeAlias = tuple[int, int]
"""(who sends, to whom)."""


class Network:
    """Ports in front of servers' own, one for each way that is dialed.

    What is held stays under way, as in TCP when packets are lost: nobody is told, and when all is healed it
    arrives late. What is cut off is told at once, and nobody gets a connection.
    """

    def __init__(self) -> None:
        self._gates: dict[Way, threading.Event] = {}
        self._apart: set[Way] = set()
        self._listening: list[socket.socket] = []
        self._carrying: dict[Way, list[socket.socket]] = {}

    def dialed(self, way: Way, port: int) -> int:
        """The port by which a server reaches another one that listens on port."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._listening.append(listening)
        self._carrying[way] = []
        for each in (way, way[::-1]):
            self._gates[each] = threading.Event()
            self._gates[each].set()
        threading.Thread(target=self._accept, args=(way, listening, port), daemon=True).start()
        taken: int = listening.getsockname()[1]
        return taken

    def hold(self, ways: Iterable[Way]) -> None:
        """Nothing arrives on these."""
        for way in ways:
            self._gates[way].clear()

    def cut(self, ways: Iterable[Way]) -> None:
        """The connections between these are gone, and there are no new ones."""
        self._apart |= {way for way in ways if way in self._carrying}
        for way in self._apart:
            self._hang_up(way)

    def heal(self) -> None:
        """All goes through, what was held before what comes."""
        self._apart.clear()
        for gate in self._gates.values():
            gate.set()

    def close(self) -> None:
        """Every connection ends."""
        self.heal()
        for listening in self._listening:
            _end(listening)
        for way in self._carrying:
            self._hang_up(way)

    def _hang_up(self, way: Way) -> None:
        sockets, self._carrying[way] = self._carrying[way], []
        for each in sockets:
            _end(each)

    def _accept(self, way: Way, listening: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._carry, args=(way, near, port), daemon=True).start()

    def _carry(self, way: Way, near: socket.socket, port: int) -> None:
        back = way[::-1]
        for each in (way, back):
            self._gates[each].wait()  # as its handshake does
        try:
            if way in self._apart:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            return
        self._carrying[way] += (near, far)
        for each, source, sink in ((way, near, far), (back, far, near)):
            threading.Thread(target=self._pass_on, args=(each, source, sink), daemon=True).start()

    def _pass_on(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        data = b"..."
        with suppress(OSError):
            while data:
                data = source.recv(1 << 16)
                self._gates[way].wait()
                sink.sendall(data)
        for each in (source, sink):
            _end(each)


def _end(sock: socket.socket) -> None:
    """Whoever waits for it goes on."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def to_and_from(one: int, others: Iterable[int]) -> list[Way]:
    """Every way between one and the others."""
    return list(chain.from_iterable(((one, other), (other, one)) for other in others))
