"""Who may ask the admin port: the token, and the names by which a browser may call it."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from hmac import compare_digest
from ipaddress import ip_address

_LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one admin port; without arguments those of one on loopback that has no token."""

    token: str | None = field(default=None, repr=False)
    """What every request must bring; None: nothing."""
    unauthenticated: bool = False
    """Whether whoever reaches the port may see everything."""
    names: frozenset[str] = frozenset()
    """Host names that mean this server, besides localhost."""

    def proves(self, authorization: str) -> bool:
        """Whether an Authorization header brings the token: as bearer, or as the password of any user."""
        if self.token is None:
            return True
        scheme, _, credentials = authorization.partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "bearer":
            given = credentials.encode(errors="replace")
        elif scheme.lower() == "basic":
            try:
                given = binascii.a2b_base64(credentials, strict_mode=True).partition(b":")[2]
            except ValueError:
                return False
        else:
            return False
        return compare_digest(given, self.token.encode())

    def means_us(self, host: str) -> bool:
        """Whether a Host header names this server. An address always does: only a name can be made to point
        here by somebody else (DNS rebinding)."""
        name = host_of(host)
        return name == _LOCALHOST or name in self.names or is_address(name)


def host_of(authority: str) -> str:
    """The host of `host:port`, in the form in which hosts are compared."""
    if authority.startswith("["):
        host = authority[1:].partition("]")[0]
    else:
        host = authority.rpartition(":")[0] if ":" in authority else authority
    return host.lower().removesuffix(".")


def is_address(host: str) -> bool:
    """Whether host is an IPv4 or IPv6 address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach host: a loopback address, or localhost. Of other names nobody
    knows beforehand."""
    return host.lower() == _LOCALHOST or (is_address(host) and ip_address(host).is_loopback)
