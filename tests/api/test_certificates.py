"""A certificate's subject is written as Java 17 writes it: what is expected here was its answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from znoded.api.certificates import end, subject

UTF8, PRINTABLE, T61, IA5, BMP, UNIVERSAL = 0x0C, 0x13, 0x14, 0x16, 0x1E, 0x1C
CN, C, O, DC, UID = "550403", "550406", "55040a", "0992268993f22c640119", "0992268993f22c640101"  # noqa: E741
MAIL, SERIAL, FAR = "2a864886f70d010901", "550405", "88370101"


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    digits = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(digits)]) + digits) + content


def attribute(oid: str, value: bytes, tag: int = UTF8) -> bytes:
    return tlv(0x30, tlv(6, bytes.fromhex(oid)) + tlv(tag, value))


def certificate(*rdns: bytes, validity: bytes = b"", version: bool = True) -> bytes:
    """What DER holds that matters here; each part of the name is one attribute or several."""
    name = tlv(0x30, b"".join(tlv(0x31, rdn) for rdn in rdns))
    head = tlv(0xA0, tlv(2, b"\2")) if version else b""
    signed = head + tlv(2, b"\1") + tlv(0x30, b"") * 2 + tlv(0x30, validity) + name + tlv(0x30, b"")
    return tlv(0x30, tlv(0x30, signed) + tlv(0x30, b"") + tlv(3, b"\0"))


@pytest.mark.parametrize(
    ("rdns", "expected"),
    [
        ((), ""),
        (
            (attribute(C, b"DE", PRINTABLE), attribute(O, b"Example"), attribute(CN, b"alice")),
            "CN=alice,O=Example,C=DE",
        ),
        ((attribute(CN, b"a") + attribute(UID, b"b"), attribute(O, b"c")), "O=c,CN=a+UID=b"),
        ((attribute(DC, b"org", IA5), attribute(DC, b"example", IA5)), "DC=example,DC=org"),
        ((attribute(CN, b',=+<>#;"\\'),), 'CN=\\,\\=\\+\\<\\>\\#\\;\\"\\\\'),
        ((attribute(CN, b"  a b "),), "CN=\\ \\ a b\\ "),
        ((attribute(CN, b" \r"),), "CN=\\ \\\r"),
        ((attribute(CN, b"a\0b\nc\t"),), "CN=a\\00b\nc\t"),
        ((attribute(CN, "Müller 日本 😀".encode()),), "CN=Müller 日本 😀"),
        ((attribute(CN, b"M\xfcller", T61),), "CN=M\ufffdller"),
        ((attribute(CN, b"\0a\0b", BMP),), "CN=\\00a\\00b"),
        ((attribute(CN, b"\0\0\0a", UNIVERSAL),), "CN=#1c0400000061"),
        ((attribute(MAIL, b"a@b", IA5),), "1.2.840.113549.1.9.1=#1603614062"),
        ((attribute(SERIAL, b"7", PRINTABLE),), "2.5.4.5=#130137"),
        ((attribute(FAR, b"x"),), "2.999.1.1=#0c0178"),
        ((attribute(CN, b"x" * 300),), "CN=" + "x" * 300),
        ((attribute(CN, b""),), "CN="),
    ],
)
def test_a_subject(rdns: tuple[bytes, ...], expected: str) -> None:
    assert subject(certificate(*rdns)) == expected
    assert subject(certificate(*rdns, version=False)) == expected


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        (0x17, b"271231235959Z", datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0x17, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (0x17, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (0x18, b"20500101000000Z", datetime(2050, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_end(tag: int, text: bytes, expected: datetime) -> None:
    validity = tlv(0x17, b"200101000000Z") + tlv(tag, text)
    assert end(certificate(validity=validity)) == expected


@given(st.binary(max_size=100), st.integers(0, 60))
@example(tlv(0x30, b""), 0)
@example(tlv(0x30, tlv(0x30, b"")), 0)
@example(certificate(attribute("", b"a")), 0)
def test_what_is_no_certificate_is_an_error_of_value(noise: bytes, at: int) -> None:
    whole = certificate(attribute(CN, b"alice"))
    for broken in (noise, whole[:at], whole[:at] + noise + whole[at:]):
        for read in (subject, end):
            try:
                read(broken)
            except ValueError:
                continue
