"""Servers, chroot, TLS and credentials from one string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.client import BadAddress
from znoded.client.address import Address, parse


@pytest.mark.parametrize(
    ("text", "servers", "root"),
    [
        ("localhost", [("localhost", 2181)], ""),
        ("h1:1,h2:65535, h3", [("h1", 1), ("h2", 65535), ("h3", 2181)], ""),
        ("h1:1/app/one", [("h1", 1)], "/app/one"),
        ("h1/", [("h1", 2181)], ""),
        ("[::1]:5,[fe80::1],::1", [("::1", 5), ("fe80::1", 2181), ("::1", 2181)], ""),
        ("ws://h1:1,h2/app/", [("h1", 1), ("h2", 2181)], "/app"),
    ],
)
def test_where(text: str, servers: list[tuple[str, int]], root: str) -> None:
    assert parse(text) == Address(tuple(servers), root)


def test_a_whole_url() -> None:
    assert parse("wss://us%40er:pass%2Fword@h1:1,h2/app?ca=/ca.pem&cert=a%20b&key=k&timeout=2.5") == Address(
        (("h1", 1), ("h2", 2181)), "/app", True, "us@er:pass/word", "/ca.pem", "a b", "k", 2.5
    )


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse("ws://me:secret@h1"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "'' names no host"),
        ("h1\n", "'h1\\n' is not printable"),
        ("h1/\ud800", "'h1/\\ud800' is not printable"),
        ("h1,,h2", "'' names no host"),
        (":2181", "':2181' names no host"),
        ("h1:0", "'0' is no port of h1"),
        ("h1:65536", "'65536' is no port of h1"),
        ("h1:one", "'one' is no port of h1"),
        ("h1:٣", "'٣' is no port of h1"),
        ("[::1", "is no [ADDRESS]:PORT"),
        ("[::1]2181", "is no [ADDRESS]:PORT"),
        ("http://h1", "http:// is neither ws:// nor wss://"),
        ("h1//a", "'//a'"),
        ("h1/a/../b", "'/a/../b'"),
        ("ws://user@h1", "before @ stands USER:PASSWORD"),
        ("ws://h1?ca=x", "ca, cert and key are for wss://"),
        ("wss://h1?key=x", "a key is nothing without its cert"),
        ("ws://h1?tiemout=1", "?tiemout= is none of ca, cert, key, timeout"),
        ("ws://h1?timeout=soon", "timeout=soon is no number of seconds"),
        ("ws://h1?timeout=-1", "timeout=-1 is no number of seconds"),
        ("ws://h1?timeout=nan", "timeout=nan is no number of seconds"),
        ("ws://h1?timeout=1e10", "timeout=1e10 is no number of seconds"),
    ],
)
def test_what_is_wrong_is_said(text: str, what: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse(text)
    assert what in str(caught.value)


@given(
    st.text()
    | st.lists(
        st.sampled_from(["ws://", "wss://", "h", "[::1]", ":", "1", ",", "/", "@", "?", "ca=", "&", "%"])
    ).map("".join)
)
def test_whatever_is_written_it_is_an_address_or_not(text: str) -> None:
    try:
        address = parse(text)
    except BadAddress:
        return
    assert address.servers
    assert all(host and 0 < port < 1 << 16 for host, port in address.servers)
    assert not address.root.endswith("/")


def test_servers_are_tried_in_orders_that_differ() -> None:
    address = parse("a,b,c")
    orders = {tuple(address.shuffled()) for _ in range(200)}
    assert len(orders) == 6
    assert all(set(order) == set(address.servers) for order in orders)
