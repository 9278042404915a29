"""Who a client is by its certificate: its subject as Java writes it, the id of the scheme x509."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from ssl import SSLObject
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from .connection import Connection

_log = logging.getLogger(__name__)

_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
"""The first part of a certificate since version 2 of the format."""

_KEYWORDS: Final = {
    bytes.fromhex(oid): keyword
    for oid, keyword in (
        ("550403", "CN"),
        ("550406", "C"),
        ("550407", "L"),
        ("550408", "ST"),
        ("550409", "STREET"),
        ("55040a", "O"),
        ("55040b", "OU"),
        ("0992268993f22c640119", "DC"),
        ("0992268993f22c640101", "UID"),
    )
}
"""The attributes that RFC 2253 has names for."""

_TEXTS: Final = frozenset((0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1E))
"""Tags of values that Java writes as text: UTF8String, PrintableString, T61String, IA5String,
GeneralString, BMPString."""

_ESCAPED: Final = str.maketrans({character: f"\\{character}" for character in ',=+<>#;"\\'} | {"\0": "\\00"})
_BLANK: Final = " \r"


def introduce(connection: Connection, transport: asyncio.Transport) -> None:
    """Let the connection know whether it is over TLS, and whom its client has proved to be."""
    tls: SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return
    connection.secure = True
    certificate = tls.getpeercert(True)  # only there if it was asked for, and verified
    if not certificate:
        return
    try:
        connection.subject = subject(certificate)
    except ValueError as error:
        _log.warning("closing %s: its certificate can't be read: %s", connection.host, error)
        transport.abort()


def subject(certificate: bytes) -> str:
    """The subject of a certificate (DER), as X500Principal.getName() writes it: RFC 2253, the last part
    first. ValueError if there is none to be found."""
    rdns = [rdn for _, rdn, _ in _parts(_fields(certificate)[4])]
    return ",".join("+".join(map(_attribute, _parts(rdn))) for rdn in reversed(rdns))


def end(certificate: bytes) -> datetime:
    """When a certificate (DER) ends; ValueError if it does not say."""
    _, (tag, text, _) = _parts(_fields(certificate)[3])
    moment = text.decode()
    if tag == _UTC_TIME:  # RFC 5280: 1950 to 2049
        moment = f"{'19' if moment >= '5' else '20'}{moment}"
    return datetime.strptime(moment, "%Y%m%d%H%M%S%z")


def _fields(certificate: bytes) -> list[bytes]:
    """Serial number, algorithm, issuer, validity, subject, and what follows."""
    ((_, whole, _),) = _parts(certificate)
    (_, signed, _), *_ = _parts(whole)
    fields = list(_parts(signed))
    if fields and fields[0][0] == _VERSION:
        del fields[0]
    if len(fields) < 5:
        raise ValueError("a certificate without a subject")
    return [content for _, content, _ in fields]


def _attribute(part: tuple[int, bytes, bytes]) -> str:
    (_, oid, _), (tag, value, encoded) = _parts(part[1])
    keyword = _KEYWORDS.get(oid)
    if keyword is None or tag not in _TEXTS:
        return f"{keyword or _dotted(oid)}=#{encoded.hex()}"
    text = value.decode(errors="replace").translate(_ESCAPED)  # whatever its tag says: so does Java
    inner = text.strip(_BLANK)
    lead = len(text) - len(text.lstrip(_BLANK)) if inner else len(text)
    ends = (text[:lead], text[lead + len(inner) :])
    before, after = ("".join(f"\\{blank}" for blank in side) for side in ends)
    return f"{keyword}={before}{inner}{after}"


def _dotted(oid: bytes) -> str:
    numbers: list[int] = []
    number = 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise ValueError("an attribute without a type")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _parts(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, content, the whole) of each value, one behind the other; ValueError if der is anything else."""
    at = 0
    while at < len(der):
        start = at + 2
        if start > len(der):
            raise ValueError("DER that ends early")
        size = der[at + 1]
        if size & 0x80:
            digits = size & 0x7F
            size = int.from_bytes(der[start : start + digits])
            start += digits
        end = start + size
        if end > len(der) or der[at + 1] == 0x80:
            raise ValueError("DER that ends early")
        yield der[at], der[start:end], der[at:end]
        at = end
