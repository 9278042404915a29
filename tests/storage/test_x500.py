"""Names that X500Principal of Java 17 takes, and those that it refuses."""

from __future__ import annotations

import pytest

from znoded.storage.x500 import is_name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CN=bob",
        "cn=bob",
        "CN=bob,O=x",
        "CN=bob, O=x",
        "CN=bob;O=x",
        " CN = bob + OU = y , O=x",
        "CN=",
        "CN=,O=x",
        "1.2.3=a",
        "oid.1.2.3=a",
        "01.2.3=a",
        "2.999.1=x",
        "1.2.840.113549.1.9.1=#160161",
        "CN=#0c0161,O=b",
        'CN="a,b" , O=b',
        'CN="a\\"b"',
        'CN="\\41"',
        "CN=a\\,b\\41\\ ",
        "CN=a=b#c",
        "CN=\\#a",
        "CN=日本",
        "\tCN=a",
        "EMAILADDRESS=a@b",
        "CN=" + "a\\," * 100_000,
    ],
)
def test_a_name(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "bob",
        "CN",
        "=a",
        "CN=bob,",
        "CN=bob,,O=x",
        ",CN=a",
        "1=a",
        "9.9.9=a",
        "1.50.3=a",
        "FOO=a",
        "\u017f=a",  # an s to who folds cases beyond ASCII
        "CN=a,FOO=b",
        "C N=a",
        "CN=#",
        "CN=#a",
        "CN=#zz",
        "CN=#0c0161x",
        'CN="a',
        'CN="a"b',
        'CN=a"b',
        'CN="\\zz"',
        "CN=a\\",
        "CN=a\\xb",
        "CN=a<b",
        "CN=a+b",
        "CN=" + "a+" * 100_000,
    ],
)
def test_no_name(text: str) -> None:
    assert not is_name(text)
