"""Which servers a client is to find, below which path, and how, from one string."""

from __future__ import annotations

import random
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from ..storage import paths
from .errors import BadAddress

PORT: Final = 2181
LONGEST: Final = 1 << 21
"""Seconds that no timeout reaches: in milliseconds it must fit into 32 bits."""
_OPTIONS: Final = ("ca", "cert", "key", "timeout")


@dataclass(frozen=True, slots=True)
class Address:
    """servers: (host, port) each. root: the chroot, empty for none. tls: whether to speak it. user: for
    digest, user:password, empty for none. ca, cert, key: PEM files, empty for none. timeout: of the session,
    in seconds, or None."""

    servers: tuple[tuple[str, int], ...]
    root: str = ""
    tls: bool = False
    user: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""
    timeout: float | None = None

    def context(self) -> ssl.SSLContext | None:
        """How to speak TLS: with the system's authorities, or only with those of `ca`. None without TLS.
        OSError if a file can't be read."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca or None)
        if self.cert:
            context.load_cert_chain(self.cert, self.key or None)
        return context

    def shuffled(self) -> list[tuple[str, int]]:
        """The servers in an order that differs from client to client, so that each gets its share."""
        return random.sample(self.servers, len(self.servers))


def parse(text: str) -> Address:
    """`HOST:PORT,HOST:PORT/CHROOT`, as ZooKeeper's clients are given it, or a URL,
    `ws://USER:PASSWORD@HOST:PORT,.../CHROOT?timeout=SECONDS`, `wss://...?ca=FILE&cert=FILE&key=FILE`.

    The port may be left out (2181); an IPv6 address with a port stands in brackets. BadAddress says what is
    wrong.
    """
    if not text.isprintable():  # nor half a character
        raise BadAddress(f"{text!a} is not printable")
    scheme, colon, rest = text.partition("://")
    if not colon:
        scheme, rest = "ws", text
    if scheme not in ("ws", "wss"):
        raise BadAddress(f"{scheme}:// is neither ws:// nor wss://")
    rest, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise BadAddress(f"?{name}= is none of {', '.join(_OPTIONS)}")
        options[name] = value
    if "key" in options and "cert" not in options:
        raise BadAddress("a key is nothing without its cert")
    if scheme == "ws" and (options.keys() & {"ca", "cert", "key"}):
        raise BadAddress("ca, cert and key are for wss://")
    hosts, slash, root = rest.partition("/")
    user, at, hosts = hosts.rpartition("@")
    if at and ":" not in user:
        raise BadAddress("before @ stands USER:PASSWORD")
    root = (slash + root).rstrip("/")
    if root and (fault := paths.fault(root.encode())):
        raise BadAddress(f"{root!r}: {fault}")
    return Address(
        tuple(_server(host.strip()) for host in hosts.split(",")),
        root,
        scheme == "wss",
        unquote(user),
        options.get("ca", ""),
        options.get("cert", ""),
        options.get("key", ""),
        _seconds(options["timeout"]) if "timeout" in options else None,
    )


def _server(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise BadAddress(f"{text!r} is no [ADDRESS]:PORT")
        port = port[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host:
        raise BadAddress(f"{text!r} names no host")
    if not port:
        return host, PORT
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 1 << 16):
        raise BadAddress(f"{port!r} is no port of {host}")
    return host, int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < LONGEST:
        raise BadAddress(f"timeout={text} is no number of seconds")
    return seconds
