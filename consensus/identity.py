"""Who a peer is: the hellos by which servers tell each other, and the proofs that they belong together.

A hello tells version, ids, cluster, and a nonce. A proof is HMAC-SHA-256 over both hellos and its maker's own
role, so that neither an answer heard before nor one's own can be sent back.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"znoded\x00\x02"
"""A hello's beginning; the last byte is the version."""
_HELLO: Final = struct.Struct(">8s8sBB16s32s")
HELLO: Final = _HELLO.size
PROOF: Final = 32
NO_CLUSTER: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Identity:
    """me: this server's id. backend: how the ensemble agrees; peers must do alike. secret: what proves
    that a server belongs to it. cluster() tells whose data this server holds; NO_CLUSTER: it holds none."""

    me: int
    backend: str
    secret: bytes
    cluster: Callable[[], bytes]

    def hello(self, to: int) -> bytes:
        """A new one for each connection."""
        return _HELLO.pack(MAGIC, self.backend.encode(), self.me, to, self.cluster(), os.urandom(32))

    def proof(self, role: bytes, hellos: bytes) -> bytes:
        """That this server knows the secret, in an exchange of these hellos."""
        return hmac.digest(self.secret, role + hellos, "sha256")

    def judge(self, hello: bytes) -> None:
        """Whether that peer belongs here; raises Refused."""
        _, backend, _, to, cluster, _ = _HELLO.unpack(hello)
        name = backend.rstrip(b"\0").decode(errors="replace")
        if name != self.backend:
            raise Refused(f"it runs {name}, this server {self.backend}")
        if to != self.me:
            raise Refused(f"it looks for server {to}, this is server {self.me}")
        own = self.cluster()
        if NO_CLUSTER not in (cluster, own) and cluster != own:
            raise Refused(
                f"its data are of cluster {cluster.hex()}, those of this server of {own.hex()}: keep those "
                "that you want, empty the directories of servers with others, and they are given these"
            )


def claimed(hello: bytes) -> int:
    """The id that a peer says it has; raises Refused."""
    magic, _, peer, _, _, _ = _HELLO.unpack(hello)
    if magic != MAGIC:
        raise Refused("it speaks something else, or another version of it")
    return int(peer)


class Refused(Exception):
    """The peer is turned away; str() says why."""
