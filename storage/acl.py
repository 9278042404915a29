"""Who may do what to a znode: access control lists, and the identities that they are held against."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from .errors import Code, ZkError
from .jute import INT, Malformed, Reader
from .x500 import is_name

READ: Final = 1
WRITE: Final = 2
CREATE: Final = 4
DELETE: Final = 8
ADMIN: Final = 16
ALL: Final = 31
"""Permissions (ZooDefs.Perms)."""

LETTERS: Final = {"c": CREATE, "d": DELETE, "r": READ, "w": WRITE, "a": ADMIN}
"""How permissions are written, in this order."""

_MOST: Final = 1 << 16
"""Entries of a list: each auth entry becomes as many as its client has identities."""
_LONGEST: Final = 64
"""Characters of an address with bits, and some leading zeros: what is looked up is remembered."""

_DECIMAL: Final = re.compile(r"[0-9]+")
_GROUP: Final = re.compile(r"[0-9a-fA-F]{1,4}")


class Acl(NamedTuple):
    """One entry of an access control list: these permissions for whoever has this identity."""

    perms: int
    scheme: str
    id: str


Identity: TypeAlias = tuple[str, str]
"""What a client has shown to be, (scheme, id): ip and its address always, digest and user:hash, x509 and the
subject of its certificate, super."""

_PROVED: Final = ("digest", "x509")
"""Schemes by which a client shows who it is, and that a list may name."""


def letters(perms: int) -> str:
    """Permissions as ZooKeeper's shell writes them, such as cdrwa."""
    return "".join(letter for letter, perm in LETTERS.items() if perms & perm)


def allows(acl: Sequence[Acl], perm: int, identities: Sequence[Identity]) -> bool:
    """Whether one of the permissions in perm is given; an empty list gives all to all
    (ZooKeeperServer.checkACL)."""
    for perms, scheme, expression in acl:
        if perms & perm:
            if scheme == "world" and expression == "anyone":
                return True
            if scheme in _PROVED:
                if (scheme, expression) in identities:
                    return True
            elif scheme == "ip":
                for mine, host in identities:
                    if mine == "ip" and _within(host, expression):
                        return True
    return not acl or any(scheme == "super" for scheme, _ in identities)


def fix(acl: Sequence[Acl], identities: Sequence[Identity]) -> list[Acl]:
    """The list as it is kept: without repetitions, auth replaced by what the client authenticated as.
    INVALIDACL for an empty list, an unknown scheme or a malformed id (PrepRequestProcessor.fixupACL)."""
    fixed: list[Acl] = []
    for entry in dict.fromkeys(acl):
        if entry.scheme == "auth":
            # An address does not identify a creator, and super is no scheme that a list may name.
            mine = [Acl(entry.perms, scheme, id) for scheme, id in identities if scheme in _PROVED]
            if not mine:
                raise ZkError(Code.INVALIDACL)
            fixed += mine
        elif _is_valid(entry):
            fixed.append(entry)
        else:
            raise ZkError(Code.INVALIDACL)
        if len(fixed) > _MOST:
            raise ZkError(Code.INVALIDACL)
    if not fixed:
        raise ZkError(Code.INVALIDACL)
    return fixed


def redact(acl: Sequence[Acl]) -> list[Acl]:
    """The list as getACL shows it to a client with READ but not ADMIN: no digest's hash. (With neither,
    getACL is NOAUTH: FinalRequestProcessor.)"""
    return [
        entry._replace(id=entry.id.partition(":")[0] + ":x") if entry.scheme == "digest" else entry
        for entry in acl
    ]


def digest(credentials: bytes) -> str:
    """user:password → the id user:base64(SHA-1) (DigestAuthenticationProvider.generateDigest)."""
    text = credentials.decode(errors="replace")
    # Existing lists hold SHA-1, so nothing stronger would match them.
    hashed = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
    return f"{text.partition(':')[0]}:{base64.b64encode(hashed).decode()}"


def authenticate(credentials: bytes, super_digest: str) -> list[Identity]:
    """What a digest auth packet adds to a client's identities. super_digest is the configuration's
    DigestAuthenticationProvider.superDigest (super:hash), empty for none."""
    mine = digest(credentials)
    identities: list[Identity] = [("digest", mine)]
    if hmac.compare_digest(mine.encode(), super_digest.encode()):
        identities.insert(0, ("super", ""))
    return identities


def address(host: str) -> Identity:
    """The identity of a connection from host (an address as the socket tells it), in Java's notation:
    IPv4 also if it came mapped into IPv6, IPv6 as eight groups."""
    ip = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return "ip", ":".join(f"{int(group, 16):x}" for group in ip.exploded.split(":"))
        ip = ip.ipv4_mapped
    return "ip", str(ip)


def encode(acl: Sequence[Acl]) -> bytes:
    """The list as it goes over the wire: a vector of {int perms, string scheme, string id}."""
    pack = INT.pack
    parts = [pack(len(acl))]
    for entry in acl:
        scheme, expression = entry.scheme.encode(), entry.id.encode()
        parts += (pack(entry.perms), pack(len(scheme)), scheme, pack(len(expression)), expression)
    return b"".join(parts)


OPEN: Final = encode([Acl(ALL, "world", "anyone")])
"""Everybody may do everything, as it goes over the wire."""


def decode(reader: Reader) -> list[Acl]:
    """Take a list off the wire; an absent one is empty, absent strings are too."""

    def entry() -> Acl:
        perms, scheme, expression = reader.int32(), reader.text(), reader.text()
        try:
            return Acl(perms, scheme.decode(), expression.decode())
        except UnicodeDecodeError as error:
            raise Malformed(f"an ACL that is not UTF-8: {error.reason}") from error

    return reader.vector(entry)


def _is_valid(entry: Acl) -> bool:
    scheme, expression = entry.scheme, entry.id
    if scheme == "world":
        return expression == "anyone"
    if scheme == "digest":
        # Java's split(":") gives two parts, empty ones at the end not counted.
        return expression.rstrip(":").count(":") == 1
    if scheme == "x509":
        return is_name(expression)
    return scheme == "ip" and len(expression) <= _LONGEST and _network(expression) is not None


def _within(host: str, expression: str) -> bool:
    network, mine = _network(expression), _network(host)
    if network is None or mine is None or network[0] != mine[0]:
        return False
    size, value, bits = network
    return (value ^ mine[1]) >> (size - bits) == 0


@lru_cache(maxsize=4096)
def _network(expression: str) -> tuple[int, int, int] | None:
    """address or address/bits → (32 or 128, value, bits), None if malformed (IPAuthenticationProvider,
    which knows neither IPv4 in IPv6's tail nor zones, and takes zeros before a decimal)."""
    text, slash, length = expression.partition("/")
    if ":" in text:
        size, value = 128, _ipv6(text)
    else:
        size, value = 32, _ipv4(text)
    bits = _decimal(length, size) if slash else size
    return None if value is None or bits is None else (size, value, bits)


def _ipv4(text: str) -> int | None:
    parts = [_decimal(part, 255) for part in text.split(".")]
    value = 0
    for part in parts:
        if part is None:
            return None
        value = value << 8 | part
    return value if len(parts) == 4 else None


def _ipv6(text: str) -> int | None:
    head, gap, tail = text.partition("::")
    before = head.split(":") if head or not gap else []
    after = tail.split(":") if tail else []
    if not all(_GROUP.fullmatch(part) for part in before + after):
        return None
    zeros = 8 - len(before) - len(after)
    if zeros < 1 if gap else zeros:
        return None
    return int("".join(part.zfill(4) for part in (*before, *["0"] * zeros, *after)), 16)


def _decimal(text: str, most: int) -> int | None:
    if not _DECIMAL.fullmatch(text):
        return None
    digits = text.lstrip("0") or "0"  # short enough for int(), whatever a client sends
    return int(digits) if len(digits) <= 3 and int(digits) <= most else None
