"""Paths are what ZooKeeper's PathUtils takes, and are split and climbed as names below names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.errors import Code, ZkError
from znoded.storage.paths import PLAIN, ancestors, check, fault, split


@pytest.mark.parametrize(
    "path",
    ["/", "/a", "/a/b/c", "/.a", "/a.", "/...", "/..a", "/a b", "/~", "/\u00a0", "/\uffef", "/\u4e2d"],
)
def test_good_paths(path: str) -> None:
    assert fault(path.encode()) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"", "path must not be empty"),
        (b"a", "path must start with /"),
        (b"a/b", "path must start with /"),
        (b"/a/", "path must not end with /"),
        (b"//", "path must not end with /"),
        (b"/a//b", "empty node name"),
        (b"//a", "empty node name"),
        (b"/.", "relative paths are not allowed"),
        (b"/a/../b", "relative paths are not allowed"),
        (b"/a\xff", "invalid UTF-8 at byte 2"),
        (b"/\xed\xa0\x80", "invalid UTF-8 at byte 1"),
        (b"/a\0", "invalid character U+0000"),
        ("/\U0001f600".encode(), "invalid character U+1F600"),
    ],
)
def test_bad_paths_and_why(path: bytes, reason: str) -> None:
    assert fault(path) == reason
    with pytest.raises(ZkError) as caught:
        check(path)
    assert caught.value.code == Code.BADARGUMENTS


def test_every_character_is_judged_as_zookeeper_does() -> None:
    # PathUtils.validatePath: what Java holds in one char; UTF-8 has no surrogates.
    bad = {*range(0x20), *range(0x7F, 0xA0), *range(0xE000, 0xF900), *range(0xFFF0, 0x10000), 0x10000}
    for code in [*range(0xD800), *range(0xE000, 0x10001)]:
        if chr(code) not in "/.":
            assert (fault(f"/{chr(code)}x".encode()) is not None) == (code in bad), hex(code)


def test_plain_names_are_good_ones() -> None:
    for byte in range(256):
        good = fault(b"/x%c" % byte) is None and byte != ord("/")
        assert (byte in PLAIN) == (good and byte < 0x80)


def test_split() -> None:
    assert split(b"/a") == (b"/", b"a")
    assert split(b"/a/b") == (b"/a", b"b")


def test_ancestors_begin_with_the_nearest() -> None:
    assert ancestors(b"/a/b/c") == [b"/a/b", b"/a", b"/"]
    assert ancestors(b"/a") == [b"/"]
    assert ancestors(b"/") == []


@given(st.lists(st.text("ab.", min_size=1).map(str.encode).filter(lambda name: name not in (b".", b".."))))
def test_a_path_of_names_is_good_and_comes_apart_again(names: list[bytes]) -> None:
    path = b"/" + b"/".join(names)
    assert fault(path) is None
    apart = []
    for above in ancestors(path):
        parent, name = split(path)
        assert parent == above
        apart.append(name)
        path = parent
    assert apart[::-1] == names


@given(st.binary(max_size=20))
def test_any_bytes_are_judged(path: bytes) -> None:
    assert fault(path) is None or isinstance(fault(path), str)
    assert fault(b"/" + path) != "path must start with /"
