"""Access control lists allow, expand and hide what ZooKeeper's do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.acl import (
    ADMIN,
    ALL,
    CREATE,
    DELETE,
    READ,
    WRITE,
    Acl,
    Identity,
    address,
    allows,
    authenticate,
    decode,
    digest,
    encode,
    fix,
    letters,
    redact,
)
from znoded.storage.errors import Code, ZkError
from znoded.storage.jute import Malformed, Reader

LOCAL: Identity = ("ip", "127.0.0.1")
ALICE: Identity = ("digest", digest(b"alice:secret"))
BOB: Identity = ("digest", digest(b"bob:pw"))
CAROL: Identity = ("x509", "CN=carol,O=Example")
SUPER: Identity = ("super", "")
OPEN = [Acl(ALL, "world", "anyone")]


def entry(perms: int, identity: Identity) -> Acl:
    return Acl(perms, *identity)


def test_permissions_are_written_as_zookeeper_s_shell_does() -> None:
    assert [letters(perms) for perms in (ALL, READ | ADMIN, WRITE | DELETE | CREATE, 0)] == [
        "cdrwa",
        "ra",
        "cdw",
        "",
    ]


# who may


@pytest.mark.parametrize("perm", [READ, WRITE, CREATE, DELETE, ADMIN])
def test_an_open_list_allows_all_to_anyone(perm: int) -> None:
    assert allows(OPEN, perm, [])


@pytest.mark.parametrize("perm", [WRITE, CREATE, DELETE, ADMIN])
def test_only_the_permissions_given_are_allowed(perm: int) -> None:
    read_only = [Acl(READ, "world", "anyone")]
    assert allows(read_only, READ, [LOCAL])
    assert not allows(read_only, perm, [LOCAL])


def test_one_of_the_permissions_asked_for_is_enough() -> None:
    assert allows([Acl(ADMIN, "world", "anyone")], READ | ADMIN, [LOCAL])


def test_a_digest_allows_its_owner_alone() -> None:
    acl = [entry(ALL, ALICE)]
    assert allows(acl, WRITE, [LOCAL, ALICE])
    assert not allows(acl, WRITE, [LOCAL, BOB])
    assert not allows(acl, WRITE, [LOCAL])


def test_a_certificate_s_subject_allows_its_owner_alone() -> None:
    acl = [entry(READ, CAROL)]
    assert allows(acl, READ, [LOCAL, CAROL])
    assert not allows(acl, READ, [LOCAL, ("x509", "CN=carol, O=Example")])
    assert not allows(acl, READ, [LOCAL, ("digest", "CN=carol,O=Example")])


def test_each_entry_gives_its_own_permissions() -> None:
    acl = [entry(READ, ALICE), entry(READ | WRITE, BOB)]
    assert not allows(acl, WRITE, [ALICE])
    assert allows(acl, WRITE, [BOB])
    assert allows(acl, WRITE, [ALICE, BOB])


def test_super_may_all() -> None:
    assert allows([entry(READ, ALICE)], DELETE, [LOCAL, SUPER])


def test_a_list_of_unknown_schemes_allows_none_but_super() -> None:
    acl = [Acl(ALL, "sasl", "alice"), Acl(ALL, "world", "someone"), Acl(ALL, "super", "")]
    assert not allows(acl, READ, [LOCAL, ("sasl", "alice")])
    assert allows(acl, READ, [SUPER])


def test_an_empty_list_is_open() -> None:
    assert allows([], WRITE, [LOCAL])


@pytest.mark.parametrize(
    ("host", "expression", "inside"),
    [
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.255.255.255/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.0/30", True),
        ("10.1.2.4", "10.1.2.0/30", False),
        ("192.168.7.9", "0.0.0.0/0", True),
        ("10.1.2.3", "010.001.02.3", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("0:0:0:0:0:0:0:1", "::1/128", True),
        ("2001:db8:0:0:0:0:0:5", "2001:db8::/32", True),
        ("2001:db9:0:0:0:0:0:5", "2001:db8::/32", False),
        ("2001:db8:0:0:0:0:0:5", "2001:DB8::5", True),
        ("0:0:0:0:0:0:0:1", "0.0.0.0/0", False),
        ("10.1.2.3", "::/0", False),
        ("10.1.2.3", "nonsense", False),
    ],
)
def test_an_address_is_held_against_a_network(host: str, expression: str, inside: bool) -> None:
    assert allows([Acl(READ, "ip", expression)], READ, [("ip", host)]) is inside


# what a list may be


def test_an_empty_list_is_invalid() -> None:
    assert_invalid([], [LOCAL])


@pytest.mark.parametrize(
    ("scheme", "expression"),
    [
        ("world", "someone"),
        ("", ""),
        ("nosuch", "x"),
        ("super", ""),
        ("sasl", "alice"),
        ("digest", ""),
        ("digest", "alice"),
        ("digest", "alice:"),
        ("digest", "::"),
        ("digest", "a:b:c"),
        ("ip", ""),
        ("ip", "localhost"),
        ("ip", "10.0.0"),
        ("ip", "10.0.0.0.0"),
        ("ip", "10.0.0.256"),
        ("ip", "10.0.0.-1"),
        ("ip", "10.0.0. 1"),
        ("ip", "10.0.0.0/33"),
        ("ip", "10.0.0.0/-1"),
        ("ip", "10.0.0.0/"),
        ("ip", "10.0.0.0/8/8"),
        ("ip", "10.0.0." + "9" * 5000),
        ("ip", ":"),
        ("ip", ":::"),
        ("ip", "1::2::3"),
        ("ip", "1:2:3:4:5:6:7"),
        ("ip", "1:2:3:4:5:6:7:8:9"),
        ("ip", "1:2:3:4::5:6:7:8"),
        ("ip", "12345::"),
        ("ip", "g::"),
        ("ip", "::ffff:10.0.0.1"),
        ("ip", "fe80::1%eth0"),
        ("ip", "::/129"),
        ("x509", "bob"),
        ("x509", "CN=bob,"),
    ],
)
def test_a_malformed_id_is_invalid(scheme: str, expression: str) -> None:
    assert_invalid([Acl(ALL, scheme, expression)], [LOCAL, ALICE])
    assert_invalid([*OPEN, Acl(ALL, scheme, expression)], [LOCAL, ALICE])


@pytest.mark.parametrize(
    ("scheme", "expression"),
    [
        ("digest", "alice:x"),
        ("digest", ":x"),
        ("digest", "alice:x:"),
        ("ip", "10.0.0.0"),
        ("ip", "10.0.0.0/0"),
        ("ip", "::"),
        ("ip", "::/0"),
        ("ip", "1::"),
        ("ip", "1:2:3:4:5:6:7:8"),
        ("ip", "1:2:3:4:5:6:7::"),
        ("ip", "2001:db8::/32"),
        ("x509", "CN=bob,O=Example"),
        ("x509", ""),
    ],
)
def test_a_well_formed_list_stays_as_it_is(scheme: str, expression: str) -> None:
    acl = [Acl(READ, scheme, expression), *OPEN]
    assert fix(acl, [LOCAL]) == acl


def test_permissions_are_kept_as_they_come() -> None:
    assert fix([Acl(-1, "world", "anyone")], []) == [Acl(-1, "world", "anyone")]


def test_repeated_entries_are_kept_once() -> None:
    assert fix([*OPEN, entry(READ, ALICE), *OPEN], []) == [*OPEN, entry(READ, ALICE)]


def test_auth_becomes_every_digest_and_certificate_of_the_client() -> None:
    acl = [Acl(READ, "world", "anyone"), Acl(ALL, "auth", "ignored")]
    assert fix(acl, [LOCAL, SUPER, ALICE, BOB, CAROL]) == [
        Acl(READ, "world", "anyone"),
        entry(ALL, ALICE),
        entry(ALL, BOB),
        entry(ALL, CAROL),
    ]


@pytest.mark.parametrize("identities", [[], [LOCAL], [LOCAL, SUPER]])
def test_auth_without_a_digest_is_invalid(identities: list[Identity]) -> None:
    assert_invalid([Acl(ALL, "auth", "")], identities)


def assert_invalid(acl: list[Acl], identities: list[Identity]) -> None:
    with pytest.raises(ZkError) as refusal:
        fix(acl, identities)
    assert refusal.value.code is Code.INVALIDACL


# who someone is


def test_a_digest_is_that_of_zookeeper() -> None:
    # The pair that ZooKeeper's administrator's guide and its tests use.
    assert digest(b"super:test") == "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
    assert digest(b"pat:pass:word").startswith("pat:")


def test_credentials_give_a_digest() -> None:
    assert authenticate(b"alice:secret", "") == [ALICE]


def test_the_super_digest_makes_super() -> None:
    assert authenticate(b"super:test", digest(b"super:test")) == [SUPER, ("digest", digest(b"super:test"))]
    assert SUPER not in authenticate(b"super:guess", digest(b"super:test"))
    assert SUPER not in authenticate(b"", "")


def test_credentials_may_be_any_bytes() -> None:
    assert authenticate(b"\xff:\xfe", "süper:x") == [("digest", digest(b"\xff:\xfe"))]


@pytest.mark.parametrize(
    ("host", "identity"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("2001:db8::00a5", "2001:db8:0:0:0:0:0:a5"),
        ("fe80::1%eth0", "fe80:0:0:0:0:0:0:1"),
    ],
)
def test_an_address_is_written_as_java_writes_it(host: str, identity: str) -> None:
    assert address(host) == ("ip", identity)


# what is shown, and the wire


def test_without_admin_no_hash_is_shown() -> None:
    acl = [entry(READ, ALICE), Acl(READ, "ip", "10.0.0.0/8"), *OPEN]
    assert redact(acl) == [Acl(READ, "digest", "alice:x"), Acl(READ, "ip", "10.0.0.0/8"), *OPEN]


def test_the_wire_form_is_zookeepers() -> None:
    assert encode(OPEN) == b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone"


@given(
    st.lists(st.builds(Acl, st.integers(-(1 << 31), (1 << 31) - 1), st.text(max_size=9), st.text(max_size=9)))
)
def test_the_wire_gives_back_what_it_took(acl: list[Acl]) -> None:
    reader = Reader(encode(acl) + b"rest")
    assert decode(reader) == acl
    assert reader.left == 4


def test_an_absent_list_is_empty() -> None:
    assert decode(Reader(b"\xff\xff\xff\xff")) == []


def test_absent_strings_are_empty() -> None:
    assert decode(Reader(b"\0\0\0\x01\0\0\0\x1f" + b"\xff" * 8)) == [Acl(ALL, "", "")]


@pytest.mark.parametrize("at", range(4, len(encode(OPEN))))
def test_a_list_that_ends_too_soon_is_malformed(at: int) -> None:
    with pytest.raises(Malformed):
        decode(Reader(encode(OPEN)[:at]))


def test_a_list_that_is_not_utf8_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode(Reader(encode(OPEN).replace(b"world", b"w\xffrld")))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_malformed(wire: bytes) -> None:
    reader = Reader(wire)
    try:
        acl = decode(reader)
    except Malformed:
        return
    assert decode(Reader(encode(acl))) == acl
    try:
        fixed = fix(acl, [LOCAL, ALICE])
    except ZkError as error:
        assert error.code == Code.INVALIDACL
    else:
        assert fixed
    assert allows(acl, READ, [LOCAL]) in (False, True)


@given(
    st.text(max_size=60) | st.from_regex(r"[0-9a-f:./]{1,45}", fullmatch=True),
    st.sampled_from(["ip", "digest"]),
)
def test_any_id_is_valid_or_not(id: str, scheme: str) -> None:
    entry = Acl(ALL, scheme, id)
    try:
        assert fix([entry], [LOCAL]) == [entry]
    except ZkError as error:
        assert error.code == Code.INVALIDACL
    allows([entry], READ, [LOCAL, ALICE])


@given(st.binary(max_size=60))
def test_any_credentials_make_an_identity(credentials: bytes) -> None:
    identities = authenticate(credentials, "super:" + "A" * 28)
    assert [scheme for scheme, _ in identities] == ["digest"]
    identities[0][1].encode()
