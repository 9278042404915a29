"""A small synchronous client for ZooKeeper's wire protocol, with codecs of its own to check the server's."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias

PATIENCE = 5.0
"""Seconds to wait for bytes that must come."""

NOTIFICATION, PING, AUTH, SET_WATCHES = -1, -2, -4, -8
"""Transaction ids that ZooKeeper's own client gives to what is no ordinary request."""


class Op(IntEnum):
    """Request numbers (ZooDefs.OpCode), by the names that the scripts use."""

    create = 1
    delete = 2
    exists = 3
    getData = 4
    setData = 5
    getACL = 6
    setACL = 7
    getChildren = 8
    sync = 9
    ping = 11
    getChildren2 = 12
    check = 13
    multi = 14
    create2 = 15
    reconfig = 16
    checkWatches = 17
    removeWatches = 18
    createContainer = 19
    deleteContainer = 20
    createTTL = 21
    multiRead = 22
    auth = 100
    setWatches = 101
    getEphemerals = 103
    getAllChildrenNumber = 104
    setWatches2 = 105
    addWatch = 106
    whoAmI = 107
    close = -11
    error = -1


ERRORS = {
    -1: "SystemError",
    -2: "RuntimeInconsistency",
    -3: "DataInconsistency",
    -4: "ConnectionLoss",
    -5: "MarshallingError",
    -6: "Unimplemented",
    -7: "OperationTimeout",
    -8: "BadArguments",
    -13: "NewConfigNoQuorum",
    -14: "ReconfigInProgress",
    -100: "APIError",
    -101: "NoNode",
    -102: "NoAuth",
    -103: "BadVersion",
    -108: "NoChildrenForEphemerals",
    -110: "NodeExists",
    -111: "NotEmpty",
    -112: "SessionExpired",
    -113: "InvalidCallback",
    -114: "InvalidACL",
    -115: "AuthFailed",
    -118: "SessionMoved",
    -119: "NotReadOnly",
    -120: "EphemeralOnLocalSession",
    -121: "NoWatcher",
    -122: "RequestTimeout",
    -123: "ReconfigDisabled",
    -124: "SessionClosedRequireSaslAuth",
    -125: "QuotaExceeded",
    -127: "ThrottledOp",
}

EVENTS = {1: "NodeCreated", 2: "NodeDeleted", 3: "NodeDataChanged", 4: "NodeChildrenChanged"}

Blob: TypeAlias = bytes | None
"""A buffer or a string as it goes over the wire; None is written as length -1."""


class Acl(NamedTuple):
    """One entry of an access control list; perms is the sum of ZooKeeper's permission bits."""

    perms: int
    scheme: str
    id: str


class Stat(NamedTuple):
    """A znode's Stat, in wire order; times in ms since the epoch."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeralOwner: int
    dataLength: int
    numChildren: int
    pzxid: int


class Event(NamedTuple):
    """A watch that fired; zxid is the notification header's."""

    type: int
    state: int
    path: str
    zxid: int


class Reply(NamedTuple):
    """An answer; body is what follows the header, undecoded."""

    xid: int
    zxid: int
    err: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The server ended the connection."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came for PATIENCE seconds."""


Item: TypeAlias = Event | Reply | Closed | Silence


class Granted(NamedTuple):
    """The server's answer to a connect request; timeout in ms (0: refused); read_only None when left out."""

    protocol: int
    timeout: int
    session: int
    password: bytes
    read_only: bool | None


def int_(value: int) -> bytes:
    return struct.pack(">i", value)


def long(value: int) -> bytes:
    return struct.pack(">q", value)


def bool_(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def blob(value: Blob) -> bytes:
    return int_(-1) if value is None else int_(len(value)) + value


def text(value: str) -> bytes:
    return blob(value.encode())


def blobs(values: Iterable[Blob]) -> bytes:
    written = [blob(v) for v in values]
    return int_(len(written)) + b"".join(written)


def acls(values: list[Acl] | None) -> bytes:
    if values is None:
        return int_(-1)
    return int_(len(values)) + b"".join(int_(a.perms) + text(a.scheme) + text(a.id) for a in values)


class Reader:
    """Reads jute values off bytes, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def _take(self, n: int) -> bytes:
        if n > self.left:
            raise ValueError(f"the answer is short of {n - self.left} bytes")
        self._at += n
        return self._data[self._at - n : self._at]

    def int_(self) -> int:
        value: int = struct.unpack(">i", self._take(4))[0]
        return value

    def long(self) -> int:
        value: int = struct.unpack(">q", self._take(8))[0]
        return value

    def bool_(self) -> bool:
        return self._take(1) != b"\x00"

    def blob(self) -> Blob:
        length = self.int_()
        return None if length < 0 else self._take(length)

    def text(self) -> str:
        return (self.blob() or b"").decode()

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self.int_())]

    def acls(self) -> list[Acl]:
        return [Acl(self.int_(), self.text(), self.text()) for _ in range(self.int_())]

    def stat(self) -> Stat:
        return Stat(*struct.unpack(">qqqqiiiqiiq", self._take(68)))


@dataclass(slots=True)
class Connection:
    """One connection; remembers what a session needs to go on elsewhere."""

    sock: socket.socket
    session: int = 0
    password: bytes = bytes(16)
    last_xid: int = 0
    _ahead: bytearray = field(default_factory=bytearray)

    @classmethod
    def open(cls, server: tuple[str, int]) -> Connection:
        sock = socket.create_connection(server, PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def drop(self) -> None:
        self.sock.close()

    def write(self, data: bytes) -> None:
        """Send bytes; that the server has hung up shows when reading."""
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def frame(self, data: bytes) -> None:
        self.write(int_(len(data)) + data)

    def connect(
        self, timeout: int, session: int, password: Blob, zxid: int, read_only: bool | None = False
    ) -> Granted | Closed | Silence:
        """Ask for a session, or for the old one; read_only None leaves the flag out, as old clients do."""
        flag = b"" if read_only is None else bool_(read_only)
        self.frame(int_(0) + long(zxid) + int_(timeout) + long(session) + blob(password) + flag)
        answer = self._receive()
        if not isinstance(answer, bytes):
            return answer
        r = Reader(answer)
        granted = Granted(r.int_(), r.int_(), r.long(), r.blob() or b"", r.bool_() if r.left else None)
        if granted.session:
            self.session, self.password = granted.session, granted.password
        return granted

    def send(self, op: int, body: bytes = b"", xid: int | None = None) -> int:
        """Send a request and return its xid; none given: the next in turn."""
        if xid is None:
            self.last_xid += 1
            xid = self.last_xid
        self.frame(int_(xid) + int_(op) + body)
        return xid

    def read(self) -> Item:
        """The next event or answer, in the order in which they came."""
        data = self._receive()
        if not isinstance(data, bytes):
            return data
        r = Reader(data)
        xid, zxid, err = r.int_(), r.long(), r.int_()
        if xid == NOTIFICATION:
            return Event(r.int_(), r.int_(), r.text(), zxid)
        return Reply(xid, zxid, err, data[16:])

    def _receive(self) -> bytes | Closed | Silence:
        while True:
            if len(self._ahead) >= 4:
                end = 4 + struct.unpack_from(">i", self._ahead)[0]
                if len(self._ahead) >= end:
                    data = bytes(self._ahead[4:end])
                    del self._ahead[:end]
                    return data
            try:
                more = self.sock.recv(65536)
            except TimeoutError:
                return Silence()
            except OSError:
                return Closed()
            if not more:
                return Closed()
            self._ahead += more
