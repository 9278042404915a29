"""TLS as clients and operators meet it: who gets in, as whom, and what a reload changes."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, Id

from ..certificates import Authority
from ..daemons import Daemon, free_port, until
from ..zookeeper import raw

HOST = "127.0.0.1"
WAIT = 20
"""Seconds for what must happen."""

OPEN = raw.Acl(31, "world", "anyone")

Make = Callable[..., Daemon]


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def make(ca: Authority, tmp_path: Path) -> Iterator[Make]:
    """Makes daemons that serve by TLS, with further settings."""
    made: list[Daemon] = []

    def make(*settings: str, before: str = "") -> Daemon:
        folder = tmp_path / f"daemon{len(made)}"
        folder.mkdir()
        port = free_port()
        lines = (
            f"secureClientPort={port}",
            f"ssl.keyStore.location={ca.issue(HOST)}",
            f"ssl.trustStore.location={ca.trusted}",
            "4lw.commands.whitelist=*",
            "log.level=debug",
            *settings,
        )
        daemon = Daemon(folder, "\n".join(lines), before)
        if "clientPort=" not in "\n".join(settings):
            config = daemon.config.read_text().splitlines()
            daemon.config.write_text("\n".join(line for line in config if not line.startswith("clientPort=")))
        daemon.address = (HOST, port)
        daemon.start()
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.kill()
        assert "Traceback" not in daemon.log


@pytest.fixture
def client() -> Iterator[Callable[..., Any]]:
    """Makes sessions over TLS: kazoo, with its own certificate or none."""
    made: list[Any] = []

    def client(daemon: Daemon, ca: Authority, own: Path | None) -> Any:
        made.append(
            KazooClient(
                "{}:{}".format(*daemon.address),
                use_ssl=True,
                ca=str(ca.trusted),
                certfile=own and str(own),
                keyfile=own and str(own),
            )
        )
        made[-1].start(WAIT)
        return made[-1]

    yield client
    for one in made:
        one.stop()
        one.close()


def dial(address: tuple[str, int], context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(address, WAIT), server_hostname=HOST)


def rest(sock: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    got = b""
    while chunk := sock.recv(1 << 16):
        got += chunk
    return got


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side closes, having said nothing."""
    try:
        return rest(sock) == b""
    except ConnectionResetError:
        return True


def word(address: tuple[str, int], context: ssl.SSLContext, asked: bytes = b"ruok") -> bytes:
    with dial(address, context) as sock:
        sock.sendall(asked)
        return rest(sock)


def let_in(address: tuple[str, int], context: ssl.SSLContext) -> bool:
    """Whether there is an answer. In TLS 1.3 a client learns only by reading that it is refused."""
    try:
        return word(address, context) == b"imok"
    except OSError:
        return False


MINE = [ACL(31, Id("auth", ""))]


class TestClients:
    def test_a_session_over_tls_is_told_of_as_secure(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        daemon = make()
        own = ca.issue("someone@example.org")
        one = client(daemon, ca, own)
        assert one.create("/a", b"x" * 500_000) == "/a"
        assert len(one.get("/a")[0]) == 500_000
        assert b"sid=0x" in word(daemon.address, ca.client(own), b"cons")
        told = word(daemon.address, ca.client(own), b"conf").decode()
        assert told.startswith(f"clientPort=-1\nsecureClientPort={daemon.address[1]}\n")
        assert f"serving clients on {HOST}:{daemon.address[1]} by TLS," in daemon.log

    def test_a_certificate_is_an_identity_that_lists_can_name(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        daemon = make()
        bob = client(daemon, ca, ca.issue("bob@example.org", common_name='Bob, "the" best'))
        eve = client(daemon, ca, ca.issue("eve@example.org", common_name="Eve"))
        bob.create("/mine", b"", acl=MINE)
        ((acl,), _) = bob.get_acls("/mine")
        assert acl.id.scheme == "x509"
        assert acl.id.id.startswith('CN=Bob\\, \\"the\\" best,OU=Testing cert')
        with pytest.raises(NoAuthError):
            eve.get("/mine")
        eve.create("/bobs", b"", acl=[acl])
        assert bob.get("/bobs")[0] == b""

    def test_a_subject_can_be_that_of_a_super_user(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        admin = ca.issue("admin@example.org", common_name="Admin")
        name = ssl._ssl._test_decode_cert(str(admin))["subject"]  # type: ignore[attr-defined]
        subject = ",".join(
            f"{ {'commonName': 'CN', 'organizationName': 'O', 'organizationalUnitName': 'OU'}[key] }={value}"
            for ((key, value),) in reversed(name)
        ).replace("#", "\\#")
        escaped = subject.replace("\\", "\\\\")
        daemon = make(f"X509AuthenticationProvider.superUser={escaped}")
        bob = client(daemon, ca, ca.issue("bob@example.org", common_name="Bob"))
        bob.create("/mine", b"", acl=MINE)
        assert client(daemon, ca, admin).get("/mine")[0] == b""

    def test_nobody_is_somebody_else_by_saying_so(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        one = client(make("ssl.clientAuth=want"), ca, None)
        one.add_auth_async("x509", "CN=Bob").wait(WAIT)
        until(lambda: one.state != "CONNECTED" or not one.connected, "the end of the session")

    @pytest.mark.parametrize(
        ("asks", "without", "with_one", "with_others"),
        [("need", False, True, False), ("want", True, True, False), ("none", True, True, True)],
    )
    def test_who_gets_in(
        self,
        make: Make,
        ca: Authority,
        tmp_path: Path,
        asks: str,
        without: bool,
        with_one: bool,
        with_others: bool,
    ) -> None:
        daemon = make(f"ssl.clientAuth={asks}")
        stranger = Authority(tmp_path, "strangers").issue("stranger@example.org")
        assert let_in(daemon.address, ca.client()) is without
        assert let_in(daemon.address, ca.client(ca.issue("me@example.org"))) is with_one
        assert let_in(daemon.address, ca.client(stranger)) is with_others

    def test_a_server_that_another_authority_vouches_for_is_refused_by_its_client(
        self, make: Make, tmp_path: Path
    ) -> None:
        daemon = make("ssl.clientAuth=none")
        with pytest.raises(ssl.SSLCertVerificationError):
            dial(daemon.address, Authority(tmp_path, "strangers").client())
        until(lambda: "no TLS with 127.0.0.1: [SSL: TLSV1_ALERT_UNKNOWN_CA]" in daemon.log, "the line")

    def test_both_ports_may_be_there(self, make: Make, ca: Authority) -> None:
        plain = free_port()
        daemon = make("ssl.clientAuth=none", f"clientPort={plain}")
        assert let_in(daemon.address, ca.client())
        with socket.create_connection((HOST, plain), WAIT) as sock:
            sock.sendall(b"ruok")
            assert rest(sock) == b"imok"

    def test_one_port_may_serve_both(self, make: Make, ca: Authority) -> None:
        plain = free_port()
        make("ssl.clientAuth=none", f"clientPort={plain}", "client.portUnification=true")
        assert let_in((HOST, plain), ca.client())
        with socket.create_connection((HOST, plain), WAIT) as sock:
            sock.sendall(b"ruok")
            assert rest(sock) == b"imok"

    @pytest.mark.parametrize(
        ("setting", "version", "cipher"),
        [
            ("ssl.protocol=TLSv1.2", "TLSv1.2", ""),
            ("ssl.enabledProtocols=TLSv1.3", "TLSv1.3", ""),
            (
                "ssl.ciphersuites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLSv1.2",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
            ),
        ],
    )
    def test_versions_and_suites(
        self, make: Make, ca: Authority, setting: str, version: str, cipher: str
    ) -> None:
        daemon = make("ssl.clientAuth=none", setting)
        with dial(daemon.address, ca.client()) as sock:
            chosen = sock.cipher()
            assert sock.version() == version
            assert chosen is not None
            assert cipher in chosen[0]

    def test_whose_certificate_is_revoked_is_out(self, make: Make, ca: Authority) -> None:
        good, bad = ca.issue("good@example.org"), ca.issue("bad@example.org")
        ca.revoke()
        daemon = make("ssl.crl=true")
        assert let_in(daemon.address, ca.client(bad))
        ca.revoke(bad)
        daemon.signal(signal.SIGHUP)
        until(lambda: "key and certificates are read anew" in daemon.log, "the reload")
        assert not let_in(daemon.address, ca.client(bad))
        assert let_in(daemon.address, ca.client(good))

    def test_a_subject_that_is_too_long_to_carry_along(self, make: Make, ca: Authority) -> None:
        daemon = make()
        own = ca.issue("me@example.org", organization_unit_name="x" * 2500)
        assert not let_in(daemon.address, ca.client(own))
        assert "its certificate's subject is too long" in daemon.log

    def test_who_reads_late_gets_it_all(self, make: Make, ca: Authority) -> None:
        connection = raw.Connection(dial(make("ssl.clientAuth=none").address, ca.client()))
        assert isinstance(connection.connect(30_000, 0, bytes(16), 0), raw.Granted)
        a_lot = raw.blob(b"x" * 1_000_000)
        connection.send(raw.Op.create, raw.text("/a") + a_lot + raw.acls([OPEN]) + raw.int_(0))
        assert isinstance(connection.read(), raw.Reply)
        asked = [connection.send(raw.Op.getData, raw.text("/a") + raw.bool_(False)) for _ in range(40)]
        for xid in asked:
            reply = connection.read()
            assert isinstance(reply, raw.Reply)
            assert (reply.xid, reply.body[: len(a_lot)] == a_lot) == (xid, True)


class TestStrangers:
    def test_no_handshake_no_connection(self, make: Make) -> None:
        daemon = make()
        with socket.create_connection(daemon.address, WAIT) as sock:
            sock.sendall(b"ruok")
            assert is_closed(sock)
        until(lambda: "no TLS with 127.0.0.1: it begins with b'ruok', which is no handshake" in daemon.log)

    @pytest.mark.parametrize("start", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
    def test_who_does_not_finish_the_handshake_is_closed(self, make: Make, start: bytes) -> None:
        daemon = make("ssl.handshakeDetectionTimeoutMillis=50")
        with socket.create_connection(daemon.address, WAIT) as sock:
            sock.sendall(start)
            assert is_closed(sock)

    def test_an_address_may_begin_so_many_at_a_time(self, make: Make, ca: Authority) -> None:
        daemon = make("maxClientCnxns=2", "ssl.clientAuth=none")
        waiting = [socket.create_connection(daemon.address, WAIT) for _ in range(3)]
        assert is_closed(waiting[2])
        for sock in waiting:
            sock.close()
        until(lambda: let_in(daemon.address, ca.client()), "room for others")

    def test_handshakes_beyond_those_under_way_wait_for_a_turn(self, make: Make, ca: Authority) -> None:
        daemon = make("ssl.clientAuth=none", before="from znoded.api import tls_port; tls_port._AT_ONCE = 1")
        with socket.create_connection(daemon.address, WAIT) as first:
            first.sendall(b"\x16\x03\x01\x02\x00\x01")
            second = socket.create_connection(daemon.address, 0.2)
            with pytest.raises(TimeoutError):
                ca.client().wrap_socket(second, server_hostname=HOST)
        until(lambda: let_in(daemon.address, ca.client()), "a turn")

    def test_of_many_failures_of_an_address_the_first_is_news(self, make: Make, ca: Authority) -> None:
        daemon = make()
        for _ in range(3):
            assert not let_in(daemon.address, ca.client())
        assert let_in(daemon.address, ca.client(ca.issue("me@example.org")))
        assert not let_in(daemon.address, ca.client())
        until(lambda: daemon.log.count("no TLS with") == 4, "the lines")
        assert daemon.log.count("WARNING api.tls_port: no TLS with") == 2


class TestAdminPort:
    def fetch(self, port: int, context: ssl.SSLContext, name: str) -> Any:
        with urllib.request.urlopen(
            f"https://{HOST}:{port}/commands/{name}", None, WAIT, context=context
        ) as got:
            return json.loads(got.read())

    def test_http_and_words_over_tls_alone(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        port = free_port()
        daemon = make(f"admin.serverPort={port}", "admin.forceHttps=true")
        client(daemon, ca, ca.issue("me@example.org"))
        answer = self.fetch(port, ca.client(), "connections")
        assert (answer["connections"], len(answer["secure_connections"])) == ([], 1)
        assert self.fetch(port, ca.client(), "configuration")["secure_client_port"] == daemon.address[1]
        assert let_in((HOST, port), ca.client())
        with socket.create_connection((HOST, port), WAIT) as sock:
            sock.sendall(b"ruok")
            assert is_closed(sock)

    def test_long_answers(self, make: Make, ca: Authority, client: Callable[..., Any]) -> None:
        port = free_port()
        daemon = make("ssl.clientAuth=none", f"admin.serverPort={port}", "admin.forceHttps=true")
        one = client(daemon, ca, None)
        paths = [f"/{number}{'x' * 5000}" for number in range(400)]
        for asked in [one.exists_async(path, lambda _: None) for path in paths]:
            asked.get(timeout=WAIT)
        assert set(self.fetch(port, ca.client(), "watches_by_path")["path_to_session_ids"]) == set(paths)
        told = word((HOST, port), ca.client(), b"wchp").decode().splitlines()
        assert {line for line in told if line.startswith("/")} == set(paths)

    def test_it_may_ask_for_certificates(self, make: Make, ca: Authority) -> None:
        port = free_port()
        make(f"admin.serverPort={port}", "admin.forceHttps=true", "admin.needClientAuth=true")
        assert not let_in((HOST, port), ca.client())
        assert let_in((HOST, port), ca.client(ca.issue("me@example.org")))

    def test_one_port_may_serve_both(self, make: Make, ca: Authority) -> None:
        port = free_port()
        make(f"admin.serverPort={port}", "admin.portUnification=true")
        assert self.fetch(port, ca.client(), "ruok")["error"] is None
        with urllib.request.urlopen(f"http://{HOST}:{port}/commands/ruok", None, WAIT) as got:
            assert json.loads(got.read())["error"] is None


class TestReload:
    def reload(self, daemon: Daemon, said: str) -> None:
        daemon.signal(signal.SIGHUP)
        until(lambda: said in daemon.log, "the reload")

    def serial(self, daemon: Daemon, ca: Authority) -> object:
        with dial(daemon.address, ca.client()) as sock:
            shown = sock.getpeercert()
            assert shown is not None
            return shown["serialNumber"]

    def test_new_connections_get_the_new_certificate_and_old_ones_go_on(
        self, make: Make, ca: Authority, client: Callable[..., Any]
    ) -> None:
        daemon = make("ssl.clientAuth=none")
        old = client(daemon, ca, None)
        changes: list[str] = []
        old.add_listener(changes.append)
        before = self.serial(daemon, ca)
        ca.issue(HOST)
        assert self.serial(daemon, ca) == before
        self.reload(daemon, "key and certificates are read anew")
        assert self.serial(daemon, ca) != before
        assert old.exists("/") is not None
        assert changes == []

    def test_whom_the_new_trust_store_does_not_know_is_out(
        self, make: Make, ca: Authority, tmp_path: Path
    ) -> None:
        daemon = make()
        trusts, own = ca.client(), ca.issue("me@example.org")
        trusts.load_cert_chain(own)
        assert let_in(daemon.address, trusts)
        other = Authority(tmp_path, "others")
        ca.trusted.write_bytes(other.trusted.read_bytes())
        self.reload(daemon, "key and certificates are read anew")
        assert not let_in(daemon.address, trusts)

    @pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
    def test_what_can_not_be_used_changes_nothing(
        self, make: Make, ca: Authority, tmp_path: Path, content: bytes | None
    ) -> None:
        daemon = make("ssl.clientAuth=none")
        before = self.serial(daemon, ca)
        store = tmp_path / f"{HOST}.pem"
        if content is None:
            store.unlink()
        else:
            store.write_bytes(content)
        self.reload(daemon, "ERROR daemon.tls: key and certificates stay as they are: ssl.keyStore.location:")
        assert self.serial(daemon, ca) == before

    def test_without_tls_there_is_nothing_to_reload(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path)
        daemon.start()
        self.reload(daemon, "SIGHUP: there is no TLS")
        assert daemon.stop() == 0
