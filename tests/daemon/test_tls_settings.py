"""What `znoded check` says of TLS: keys that contradict each other, and files that can't be used."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from znoded.daemon.config import Config, Loaded, load

from ..certificates import Authority


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def good(ca: Authority, tmp_path: Path) -> dict[str, str]:
    """Settings without fault."""
    return {
        "dataDir": str(tmp_path / "data"),
        "secureClientPort": "2281",
        "ssl.keyStore.location": str(ca.issue("localhost")),
        "ssl.trustStore.location": str(ca.trusted),
    }


def told(settings: dict[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(faults, warnings), each as (key, message)."""
    loaded: Loaded = load(None, settings)
    faults, warnings = ([(one.key, one.message) for one in many] for many in (loaded.faults, loaded.warnings))
    return faults, warnings


def fault(settings: dict[str, str]) -> tuple[str, str]:
    """The only thing there is to say."""
    faults, warnings = told(settings)
    assert not warnings
    (only,) = faults
    return only


def config(settings: dict[str, str]) -> Config:
    loaded = load(None, settings)
    assert (loaded.faults, loaded.warnings) == ((), ())
    assert loaded.config is not None
    return loaded.config


class TestPorts:
    def test_a_secure_port_alone(self, good: dict[str, str]) -> None:
        read = config(good)
        assert (read.client_port, read.secure_client_port) == (None, 2281)
        assert read.secure_client_address == "127.0.0.1"
        assert (read.admin_takes_tls, read.admin_takes_plain) == (False, True)

    def test_both(self, good: dict[str, str]) -> None:
        read = config(good | {"clientPort": "2181"})
        assert (read.client_port, read.secure_client_port) == (2181, 2281)

    def test_both_on_one(self, good: dict[str, str]) -> None:
        assert fault(good | {"clientPort": "2281"})[0] == "secureClientPort"

    def test_an_address_without_a_port(self) -> None:
        assert fault({"secureClientPortAddress": "::"}) == (
            "secureClientPortAddress",
            "needs secureClientPort",
        )

    @pytest.mark.parametrize(
        "key", ["secureClientPort", "client.portUnification", "admin.forceHttps", "admin.portUnification"]
    )
    def test_without_files(self, key: str) -> None:
        value = "2281" if key == "secureClientPort" else "true"
        who, message = fault({key: value})
        assert who == key
        assert message.startswith("needs ssl.keyStore.location")

    def test_files_without_a_port_have_no_effect(self, good: dict[str, str]) -> None:
        del good["secureClientPort"]
        faults, warnings = told(good | {"X509AuthenticationProvider.superUser": "CN=admin"})
        assert not faults
        assert [key for key, _ in warnings] == [
            "ssl.keyStore.location",
            "ssl.trustStore.location",
            "X509AuthenticationProvider.superUser",
        ]

    def test_plain_http_beside_what_wants_certificates(self, good: dict[str, str]) -> None:
        for more in ({}, {"admin.portUnification": "true"}):
            key, message = fault(good | {"admin.needClientAuth": "true"} | more)
            assert key == "admin.needClientAuth"
            assert "admin.forceHttps" in message

    def test_https_shuts_out_plain_http_also_where_both_are_asked_for(self, good: dict[str, str]) -> None:
        read = config(good | {"admin.portUnification": "true", "admin.forceHttps": "true"})
        assert (read.admin_takes_tls, read.admin_takes_plain) == (True, False)


class TestTrust:
    def test_certificates_that_nobody_could_check(self, good: dict[str, str]) -> None:
        del good["ssl.trustStore.location"]
        key, message = fault(good)
        assert key == "ssl.clientAuth"
        assert message.startswith("needs ssl.trustStore.location")
        assert config(good | {"ssl.clientAuth": "none"}).tls is not None

    def test_the_same_for_the_admin_port(self, good: dict[str, str]) -> None:
        del good["ssl.trustStore.location"]
        more = {"ssl.clientAuth": "none", "admin.forceHttps": "true", "admin.needClientAuth": "true"}
        assert fault(good | more)[0] == "admin.needClientAuth"

    def test_nobody_is_asked(self, good: dict[str, str]) -> None:
        more = {"ssl.clientAuth": "none", "ssl.trustStore.location": "/nowhere/ca.pem", "ssl.crl": "true"}
        faults, warnings = told(good | more)
        assert not faults
        message = "has no effect: nobody is asked for a certificate"
        assert warnings == [("ssl.trustStore.location", message), ("ssl.crl", message)]

    def test_lists_of_the_revoked_that_are_not_there(self, good: dict[str, str]) -> None:
        key, message = fault(good | {"ssl.crl": "true"})
        assert key == "ssl.crl"
        assert "holds no list of revoked certificates" in message

    @pytest.mark.parametrize("name", ["admin", "CN=admin;", "admin@example.org"])
    def test_a_super_user_without_a_name(self, good: dict[str, str], name: str) -> None:
        key, message = fault(good | {"X509AuthenticationProvider.superUser": name})
        assert key == "X509AuthenticationProvider.superUser"
        assert "CN=admin,O=Example" in message

    def test_a_super_user_s_name_as_nobody_has_it(self, good: dict[str, str]) -> None:
        named = good | {"X509AuthenticationProvider.superUser": "CN=admin, O=Example"}
        faults, ((key, message),) = told(named)
        assert not faults
        assert key == "X509AuthenticationProvider.superUser"
        assert "no blanks" in message
        config(good | {"X509AuthenticationProvider.superUser": "CN=Doe\\, Jane,O=Example"})


class TestFiles:
    def test_one_that_is_missing(self, good: dict[str, str]) -> None:
        for key in ("ssl.keyStore.location", "ssl.trustStore.location", "ssl.keyStore.passwordPath"):
            who, message = fault(good | {key: "/nowhere/file.pem"})
            assert who == key
            assert message == "/nowhere/file.pem can't be read: No such file or directory"

    @pytest.mark.parametrize(
        ("content", "lacks"), [("", "no private key"), ("-----BEGIN PRIVATE KEY-----", "no certificate")]
    )
    def test_a_key_store_that_lacks_something(
        self, good: dict[str, str], tmp_path: Path, content: str, lacks: str
    ) -> None:
        path = tmp_path / "half.pem"
        path.touch(0o600)
        path.write_text(content)
        key, message = fault(good | {"ssl.keyStore.location": str(path)})
        assert key == "ssl.keyStore.location"
        assert f"there is {lacks} in {path}" in message

    def test_a_key_that_is_another_s(self, good: dict[str, str], ca: Authority, tmp_path: Path) -> None:
        mixed = tmp_path / "mixed.pem"
        mixed.touch(0o600)
        mine, other = ca.issue("mine").read_text(), ca.issue("other").read_text()
        mixed.write_text(
            mine.partition("-----BEGIN CERT")[0] + "".join(other.partition("-----BEGIN CERT")[1:])
        )
        message = fault(good | {"ssl.keyStore.location": str(mixed)})[1]
        assert message == f"the private key in {mixed} does not belong to its first certificate"

    def test_a_certificate_that_has_ended(self, good: dict[str, str], ca: Authority) -> None:
        old = ca.issue("old", ended=True)
        faults, warnings = told(good | {"ssl.keyStore.location": str(old)})
        assert not faults
        message = f"a certificate in {old} has ended on 2020-02-03 04:05 UTC"
        assert warnings == [("ssl.keyStore.location", message)]

    def test_a_key_that_everybody_can_read(self, good: dict[str, str]) -> None:
        store = Path(good["ssl.keyStore.location"])
        store.chmod(0o644)
        faults, warnings = told(good)
        assert not faults
        message = f"{store} can be read by everybody: chmod o-r {store}"
        assert warnings == [("ssl.keyStore.location", message)]

    @pytest.mark.parametrize("kind", ["keyStore", "trustStore"])
    @pytest.mark.parametrize(
        ("name", "command"),
        [
            ("old.jks", "keytool -importkeystore -srckeystore {}.jks -destkeystore {}.p12"),
            ("old.p12", "openssl pkcs12 -in {}.p12"),
        ],
    )
    def test_java_s_formats_are_refused_with_what_makes_pem_of_them(
        self, good: dict[str, str], kind: str, name: str, command: str
    ) -> None:
        key, message = fault(good | {f"ssl.{kind}.location": f"/etc/{name}"})
        assert key == f"ssl.{kind}.location"
        assert command.replace("{}", "/etc/old") in message
        assert message.endswith("-out /etc/old.pem")

    def test_a_type_goes_before_a_name(self, good: dict[str, str], tmp_path: Path) -> None:
        store = Path(good["ssl.keyStore.location"]).rename(tmp_path / "server.key")
        named = good | {"ssl.keyStore.location": str(store)}
        assert "ssl.keyStore.type=PEM" in fault(named)[1]
        assert config(named | {"ssl.keyStore.type": "pem"}).tls is not None
        assert "is not PEM" in fault(good | {"ssl.keyStore.type": "JKS"})[1]
        assert fault(good | {"ssl.keyStore.type": "PFX"})[0] == "ssl.keyStore.type"


class TestPasswords:
    @pytest.fixture
    def locked(self, good: dict[str, str], tmp_path: Path) -> dict[str, str]:
        """The same with a key that the password `open` opens."""
        path = Path(good["ssl.keyStore.location"])
        key = subprocess.run(
            ["openssl", "pkcs8", "-topk8", "-in", path, "-passout", "pass:open"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        path.write_text(key + "".join(path.read_text().partition("-----BEGIN CERT")[1:]))
        return good

    def test_the_right_one(self, locked: dict[str, str], tmp_path: Path) -> None:
        assert config(locked | {"ssl.keyStore.password": "open"}).tls is not None
        file = tmp_path / "password"
        file.write_text("open\n")
        both = {"ssl.keyStore.passwordPath": str(file), "ssl.keyStore.password": "shut"}
        assert config(locked | both).tls is not None

    def test_a_wrong_one_is_not_repeated(self, locked: dict[str, str]) -> None:
        message = fault(locked | {"ssl.keyStore.password": "shut"})[1]
        assert message.endswith("ssl.keyStore.password is wrong")
        assert "shut" not in repr(load(None, locked | {"ssl.keyStore.password": "shut"}))

    def test_none(self, locked: dict[str, str]) -> None:
        assert fault(locked)[1].endswith("ssl.keyStore.password is not set, but needed")


class TestVersionsAndSuites:
    @pytest.mark.parametrize(
        ("settings", "versions"),
        [
            ({}, ("TLSv1_2", "TLSv1_3")),
            ({"ssl.protocol": "TLS"}, ("TLSv1_2", "TLSv1_3")),
            ({"ssl.protocol": "TLSv1.2"}, ("TLSv1_2", "TLSv1_2")),
            ({"ssl.protocol": "TLSv1.2", "ssl.enabledProtocols": "TLSv1.3"}, ("TLSv1_3", "TLSv1_3")),
            ({"ssl.enabledProtocols": "TLSv1.3, TLSv1.2"}, ("TLSv1_2", "TLSv1_3")),
            ({"ssl.ciphersuites": "TLS_RSA_WITH_AES_128_GCM_SHA256"}, ("TLSv1_2", "TLSv1_2")),
        ],
    )
    def test_versions(
        self, good: dict[str, str], settings: dict[str, str], versions: tuple[str, str]
    ) -> None:
        read = config(good | settings).tls
        assert read is not None
        assert (read.oldest.name, read.newest.name) == versions

    @pytest.mark.parametrize(
        "settings",
        [
            {"ssl.protocol": "TLSv1.1"},
            {"ssl.enabledProtocols": "TLSv1.2,TLSv1.1"},
            {"ssl.enabledProtocols": ""},
            {"ssl.ciphersuites": "TLS_RSA_WITH_NOTHING"},
            {"ssl.ciphersuites": ""},
        ],
    )
    def test_what_is_not_to_be_had(self, good: dict[str, str], settings: dict[str, str]) -> None:
        assert fault(good | settings)[0] in settings

    def test_suites_that_no_enabled_version_has(self, good: dict[str, str]) -> None:
        newer = ",".join(("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"))
        assert fault(
            good | {"ssl.protocol": "TLSv1.2", "ssl.ciphersuites": newer, "ssl.enabledProtocols": "TLSv1.2"}
        )

    @pytest.mark.parametrize(
        ("java", "openssl"),
        [
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
            ("TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "DHE-RSA-AES256-SHA"),
            ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
            ("ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA"),
        ],
    )
    def test_names_of_suites(self, good: dict[str, str], java: str, openssl: str) -> None:
        read = config(good | {"ssl.ciphersuites": java}).tls
        assert read is not None
        assert read.suites == openssl

    def test_the_newest_version_comes_with_all_of_its_suites(self, good: dict[str, str]) -> None:
        faults, ((key, message),) = told(good | {"ssl.ciphersuites": "TLS_AES_128_GCM_SHA256"})
        assert not faults
        assert key == "ssl.ciphersuites"
        assert "all of its suites" in message
