"""What the tests of clients that mean harm share: such clients, an ordinary one beside them, the log."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from ..daemons import LINE, Daemon, until
from ..zookeeper.raw import Acl, Connection, Granted, Op, Reply, acls, blob, bool_, int_, text

MB = 1 << 20
OPEN = acls([Acl(31, "world", "anyone")])


class Canary(threading.Thread):
    """An ordinary client, from an address of its own: it writes and reads one znode, on and on."""

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self._connection = session(server, "127.0.0.9")
        self._ended = threading.Event()
        self.rounds = 0
        self.longest = 0.0
        self.failure: object = None

    def run(self) -> None:
        ask(self._connection, Op.create, text("/canary") + blob(b"") + OPEN + int_(0))
        while not self._ended.is_set():
            value = blob(b"%d" % self.rounds)
            began = time.monotonic()
            written = ask(self._connection, Op.setData, text("/canary") + value + int_(-1))
            read = ask(self._connection, Op.getData, text("/canary") + bool_(False))
            self.longest = max(self.longest, time.monotonic() - began)
            if not (written.err == read.err == 0 and read.body.startswith(value)):
                self.failure = written, read
                return
            self.rounds += 1

    def end(self) -> None:
        self._ended.set()
        self.join()
        ask(self._connection, Op.close)
        self._connection.drop()


def unharmed(server: Daemon) -> Iterator[Daemon]:
    """A fixture's life: the server is started, and has logged no error in the end, nor anything but lines."""
    server.start()
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log.splitlines() if not LINE.match(line)]
    assert not [line for line in server.log.splitlines() if "ERROR" in line or "Traceback" in line]
    server.restart()
    server.kill()


def served(daemon: Daemon, record_property: Callable[[str, object], None]) -> Iterator[Canary]:
    """A fixture's life: a canary is served all through a test, and after it."""
    daemon.mark = len(daemon.log)
    bird = Canary(daemon.address)
    bird.start()
    yield bird
    rounds = bird.rounds
    until(lambda: bird.rounds > rounds + 1 or bird.failure or not bird.is_alive(), "an answer to the canary")
    bird.end()
    assert bird.failure is None
    record_property("longest_round_of_the_canary", bird.longest)


def connected(server: tuple[str, int], source: str = "127.0.0.1", buffer: int = 0) -> Connection:
    """A connection from that address; buffer: bytes for what it has sent, and for what it has not read."""
    sock = socket.socket()
    sock.settimeout(10)
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((source, 0))
    sock.connect(server)
    return Connection(sock)


def session(server: tuple[str, int], source: str = "127.0.0.1", buffer: int = 0) -> Connection:
    connection = connected(server, source, buffer)
    assert isinstance(connection.connect(30_000, 0, bytes(16), 0), Granted)
    return connection


def ask(connection: Connection, op: int, body: bytes = b"") -> Reply:
    """A request and its answer."""
    xid = connection.send(op, body)
    answer = connection.read()
    assert isinstance(answer, Reply), answer
    assert answer.xid == xid
    return answer


def create(path: str, data: bytes = b"", acl: bytes = OPEN, flags: int = 0) -> bytes:
    return text(path) + blob(data) + acl + int_(flags)


def get(path: str) -> bytes:
    return text(path) + bool_(False)


def framed(xid: int, op: int, body: bytes) -> bytes:
    return int_(8 + len(body)) + int_(xid) + int_(op) + body


def port_of(connection: Connection) -> int:
    port: int = connection.sock.getsockname()[1]
    return port


def log_of(daemon: Daemon, port: int) -> list[str]:
    """The lines of this test about the connection from that port."""
    return [line for line in daemon.log[daemon.mark :].splitlines() if f"port {port}:" in line]


def push(connection: Connection, data: bytes, times: int) -> int:
    """Send data so many times, or until the server takes no more for a while; how often it was sent."""
    connection.sock.settimeout(0.3)
    for sent in range(times):
        at = 0
        try:
            while at < len(data):
                at += connection.sock.send(data[at:])
        except OSError:
            return sent
    return times


def word(daemon: Daemon, name: bytes) -> str:
    with socket.create_connection(daemon.address, 10) as sock:
        sock.sendall(name)
        return b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode()


def opened(address: tuple[str, int], source: str = "127.0.0.1", buffer: int = 0) -> socket.socket:
    """A connection; buffer: bytes for what it has sent, and for what it has not read."""
    sock = socket.socket()
    sock.settimeout(15)
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.bind((source, 0))
    sock.connect(address)
    return sock


def rest_of(sock: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    got = bytearray()
    try:
        while piece := sock.recv(1 << 16):
            got += piece
    except ConnectionError:
        pass
    return bytes(got)


def send(sock: socket.socket, pieces: Iterable[bytes]) -> int:
    """Send until the server has enough; how many pieces it took."""
    sent = 0
    try:
        for piece in pieces:
            sock.sendall(piece)
            sent += 1
    except OSError:
        pass
    return sent
