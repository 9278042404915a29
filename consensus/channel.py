"""The channel between the servers of an ensemble: one connection a pair, both sides proven, frames in order.

The server with the greater id dials. Each side says hello, then proves that it knows the ensemble's secret
(identity.py). A frame is length, CRC-32, kind and payload.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Final, Protocol, cast
from zlib import crc32

from .identity import HELLO, MAGIC, PROOF, Identity, Refused, claimed
from .refusals import Refusals

_log = logging.getLogger(__name__)

_FRAME: Final = struct.Struct(">IIB")
_HEAD: Final = _FRAME.size
_LONGEST: Final = 128 << 20
"""Bytes of a frame: a batch of the largest transactions there may be, and then some."""
_STRANGERS: Final = 64
"""Connections that may be proving themselves at a time."""
_PATIENCE: Final = 5.0
"""Seconds for that."""
_REACH: Final = 2.0
"""Seconds for a peer's host to answer when it is dialed."""
_DEAD: Final = 5
"""Seconds without a sign of a peer's host until the connection is given up. TCP alone would go on for
minutes, with ever longer pauses, in which a network that is whole again goes unnoticed."""
_PAUSE: Final = 0.02
"""Seconds until a peer is dialed again, after the first failure; twice that after the next."""
_MOST: Final = 1.0
"""At the most."""


class Owner(Protocol):
    """Whom a channel tells."""

    def connected(self, peer: int) -> None:
        """A peer is there."""
        ...

    def disconnected(self, peer: int) -> None:
        """It is gone, and what was under way to it may be lost."""
        ...

    def received(self, peer: int, kind: int, payload: bytes) -> None:
        """A frame came, whole and in order."""
        ...


class Shared:
    """The first part of a frame that goes to several peers: its CRC is computed once."""

    def __init__(self, kind: int, data: bytes) -> None:
        self.kind = kind
        self.data = data
        self.crc = crc32(data, kind)


class Channel:
    """Connections to the peers, made again whenever one is lost. Everything runs on one event loop."""

    def __init__(self, identity: Identity, addresses: Mapping[int, tuple[str, int]], owner: Owner) -> None:
        """addresses: of every server by id, this one's among them."""
        self.identity = identity
        self.owner = owner
        self._addresses = addresses
        self._links: dict[int, Link] = {}
        self._strangers: set[Link] = set()
        self._dialing: list[asyncio.Task[None]] = []
        self.sent: Counter[int] = Counter()
        """Bytes sent, by peer."""
        self.frames: Counter[int] = Counter()
        """Frames sent, by peer."""
        self._refusals = Refusals()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, and dial whom this server dials."""
        loop = asyncio.get_running_loop()
        host, port = self._addresses[self.identity.me]
        self._server = await loop.create_server(lambda: _protocol(Link(self, None)), host, port)
        for peer in self._addresses:
            if self.dials(peer):
                self._dialing.append(loop.create_task(self._dial(peer)))

    async def stop(self) -> None:
        """Close every connection."""
        for task in self._dialing:
            task.cancel()
        if self._server is not None:
            self._server.close()
        for link in [*self._links.values(), *self._strangers]:
            link.close()

    def send(self, peer: int, kind: int, payload: bytes) -> None:
        """Behind what was sent before; lost if there is no connection."""
        link = self._links.get(peer)
        if link is not None:
            link.send(kind, payload)
            self.sent[peer] += len(payload)
            self.frames[peer] += 1

    def send_shared(self, peer: int, shared: Shared, rest: bytes) -> None:
        """A frame, as send() does: what goes to others as well, and the rest of it."""
        link = self._links.get(peer)
        if link is not None:
            link.send_shared(shared, rest)
            self.sent[peer] += len(shared.data) + len(rest)
            self.frames[peer] += 1

    async def drained(self, peer: int) -> bool:
        """Wait until little is under way to a peer; False if it is gone."""
        link = self._links.get(peer)
        if link is None:
            return False
        await link.writable.wait()
        return self._links.get(peer) is link

    @property
    def peers(self) -> list[int]:
        """Those that are connected."""
        return list(self._links)

    def drop_all(self) -> None:
        """Close every connection; they are made again."""
        for link in list(self._links.values()):
            link.close()

    def drop(self, peer: int) -> None:
        """Close the connection to a peer; it is made again."""
        link = self._links.get(peer)
        if link is not None:
            link.close()

    def admit(self, link: Link) -> bool:
        """Whether one more may try to prove itself."""
        if len(self._strangers) >= _STRANGERS:
            return False
        self._strangers.add(link)
        return True

    def proven(self, link: Link, peer: int) -> None:
        """A peer is who it says; it takes the place of a connection that it has given up."""
        self._strangers.discard(link)
        old = self._links.pop(peer, None)
        if old is not None:
            old.close()
            self.owner.disconnected(peer)
        self._links[peer] = link
        self._refusals.forget(peer)
        _log.info("server %d is connected", peer)
        self.owner.connected(peer)

    def refused(self, who: str, host: str, peer: int, reason: str) -> None:
        """Log it, but not at every try."""
        claim = peer if self.is_peer(peer) else 0
        level = logging.WARNING if self._refusals.is_news(host, claim, reason, monotonic()) else logging.DEBUG
        _log.log(level, "%s is refused: %s", who, reason)

    def gone(self, link: Link) -> None:
        """A connection is closed."""
        self._strangers.discard(link)
        for peer, known in list(self._links.items()):
            if known is link:
                del self._links[peer]
                _log.info("server %d is disconnected", peer)
                self.owner.disconnected(peer)

    def dials(self, peer: int) -> bool:
        """Whether it is this server that dials a peer."""
        return peer < self.identity.me

    def is_peer(self, peer: int) -> bool:
        """Whether there is such a server."""
        return peer in self._addresses and peer != self.identity.me

    async def _dial(self, peer: int) -> None:
        loop = asyncio.get_running_loop()
        pause = _PAUSE
        told = ""
        while True:
            link = Link(self, peer)
            try:
                async with asyncio.timeout(_REACH):
                    await loop.create_connection(partial(_protocol, link), *self._addresses[peer])
            except OSError as error:
                reason = str(error) or f"no answer within {_REACH:g} s"
                if reason != told:
                    told = reason
                    _log.info("server %d can't be reached: %s", peer, reason)
            else:
                await link.closed.wait()
                if link.peer is not None:
                    pause, told = _PAUSE, ""
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MOST)


def _limit_silence(sock: socket.socket) -> None:
    """A process that hangs is the leader's to judge, and its learners': its host answers for it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_USER_TIMEOUT, 1000 * _DEAD),
        (socket.TCP_KEEPIDLE, 1),
        (socket.TCP_KEEPINTVL, 1),
        (socket.TCP_KEEPCNT, _DEAD - 1),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _protocol(link: Link) -> asyncio.Protocol:
    return cast(asyncio.Protocol, link)


class Link:
    """One connection. peer: whose it is, once that is proven.

    An asyncio.Protocol in all but descent: a class that is compiled can't have an interpreted base.
    """

    def __init__(self, channel: Channel, dialed: int | None) -> None:
        self.peer: int | None = None
        self.closed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self._channel = channel
        self._identity = channel.identity
        self._dialed = dialed
        self._rest = bytearray()
        self._need = 0
        """Bytes of rest that are worth looking at."""
        self._hello = b""
        self._hellos = b""
        self._claimed = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, or wait for it; not for ever."""
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self._host = str(address[0]) if address else "an unknown address"
        if not self._channel.admit(self):
            self._transport.abort()
            return
        _limit_silence(transport.get_extra_info("socket"))
        self._patience = asyncio.get_running_loop().call_later(_PATIENCE, self._transport.abort)
        if self._dialed is not None:
            self._hello = self._identity.hello(self._dialed)
            self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Prove each other, then take every whole frame."""
        rest = self._rest
        try:
            if rest or self.peer is None:
                rest += data
                if len(rest) < self._need or (self.peer is None and not self._greet()):
                    return
                data = bytes(rest)
                rest.clear()
            self._take(data)
        except Refused as refused:
            self._channel.refused(self._who(), self._host, self._claimed, str(refused))
            if self.peer is None:
                self._transport.close()  # it is to read what was said, and know why itself
            else:
                self.close()

    def pause_writing(self) -> None:
        """Much is under way."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Little is."""
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._trust()
        self._channel.gone(self)
        self.writable.set()
        self.closed.set()

    def send(self, kind: int, payload: bytes) -> None:
        """One frame."""
        crc = crc32(payload, kind)
        self._transport.write(_FRAME.pack(len(payload), crc, kind) + payload)

    def send_shared(self, shared: Shared, rest: bytes) -> None:
        """One frame, in two parts."""
        head = _FRAME.pack(len(shared.data) + len(rest), crc32(rest, shared.crc), shared.kind)
        self._transport.writelines((head, shared.data, rest))

    def close(self) -> None:
        """At once: what is under way is lost."""
        self._transport.abort()

    def eof_received(self) -> None:
        """A peer that ends its side is gone: the transport closes."""

    def _trust(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _who(self) -> str:
        if self.peer is not None:
            return f"server {self.peer}"
        claim = f", which says that it is server {self._claimed}," if self._claimed else ""
        return f"a peer at {self._host}{claim}"

    def _greet(self) -> bool:
        """The exchange up to both proofs; whether it is done."""
        identity = self._identity
        if not self._hellos:
            if len(self._rest) < HELLO:
                if not MAGIC.startswith(bytes(self._rest[: len(MAGIC)])):
                    raise Refused("it speaks something else, or another version of it")
                return False
            theirs = bytes(self._rest[:HELLO])
            del self._rest[:HELLO]
            self._claimed = peer = claimed(theirs)
            if not self._channel.is_peer(peer) or (self._dialed is None) == self._channel.dials(peer):
                raise Refused("it is not one of this server's peers, or should have been dialed")
            if self._dialed is None:
                # Before it is judged: it may have a reason, too.
                self._hello = identity.hello(peer)
                self._transport.write(self._hello)
                identity.judge(theirs)
                self._hellos = theirs + self._hello
                self._transport.write(identity.proof(b"listens", self._hellos))
            else:
                identity.judge(theirs)
                if peer != self._dialed:
                    raise Refused(f"server {self._dialed} should be there")
                self._hellos = self._hello + theirs
                self._transport.write(identity.proof(b"dials", self._hellos))
        if len(self._rest) < PROOF:
            return False
        role = b"dials" if self._dialed is None else b"listens"
        if not hmac.compare_digest(bytes(self._rest[:PROOF]), identity.proof(role, self._hellos)):
            raise Refused("its secret is not that of quorum.secretFile here")
        del self._rest[:PROOF]
        self._trust()
        self.peer = self._claimed
        self._channel.proven(self, self.peer)
        return True

    def _take(self, data: bytes) -> None:
        at, end = 0, len(data)
        received = self._channel.owner.received
        assert self.peer is not None
        self._need = _HEAD
        while end - at >= _HEAD:
            size, crc, kind = _FRAME.unpack_from(data, at)
            if size > _LONGEST:
                raise Refused(f"a frame of {size} bytes")
            stop = at + _HEAD + size
            if stop > end:
                self._need = _HEAD + size
                break
            payload = data[at + _HEAD : stop]
            if crc32(payload, kind) != crc:
                raise Refused("a frame was damaged on its way")
            at = stop
            if self._transport.is_closing():
                return
            received(self.peer, kind, payload)
        self._rest += data[at:]
