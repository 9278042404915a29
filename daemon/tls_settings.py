"""Reads ZooKeeper's keys for TLS, and tries the files that they name."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from ssl import TLSVersion, VerifyMode
from typing import Final

from ..storage.x500 import is_name
from .settings import Settings
from .tls_files import TlsConfig, Unusable, context, warnings

_VERSIONS: Final = {"TLSv1.2": TLSVersion.TLSv1_2, "TLSv1.3": TLSVersion.TLSv1_3}
_SUITES_1_3: Final = frozenset(
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
)
_CLIENT_AUTH: Final = {
    "none": VerifyMode.CERT_NONE,
    "want": VerifyMode.CERT_OPTIONAL,
    "need": VerifyMode.CERT_REQUIRED,
}
_TYPES: Final = {".pem": "PEM", ".jks": "JKS", ".p12": "PKCS12", ".bcfks": "BCFKS"}
"""As ZooKeeper tells them by a file's name (KeyStoreFileType)."""
_KEYS: Final = (
    *("ssl.keyStore.location", "ssl.keyStore.type", "ssl.keyStore.password", "ssl.keyStore.passwordPath"),
    *("ssl.trustStore.location", "ssl.trustStore.type", "ssl.clientAuth", "ssl.crl", "ssl.protocol"),
    *("ssl.enabledProtocols", "ssl.ciphersuites", "ssl.handshakeDetectionTimeoutMillis"),
    "X509AuthenticationProvider.superUser",
)


def read_tls(settings: Settings, client: str | None, admin: str | None) -> TlsConfig | None:
    """Read all of the keys, and the files; None if no port wants TLS, or with faults.

    client, admin: the key by which the client port, the admin port wants TLS.
    """
    admin_needs = settings.boolean("admin.needClientAuth", False)
    if admin_needs and admin != "admin.forceHttps":
        settings.fault(
            "admin.needClientAuth", "guards nothing unless admin.forceHttps=true shuts out plain HTTP"
        )
    before = len(settings.faults)
    key_store, trust_store = _store(settings, "keyStore"), _store(settings, "trustStore")
    client_auth = _CLIENT_AUTH[settings.choice("ssl.clientAuth", "need", _CLIENT_AUTH)]
    password = settings.text("ssl.keyStore.password")
    password_file = settings.text("ssl.keyStore.passwordPath")
    revocation = settings.boolean("ssl.crl", False)
    patience = settings.integer("ssl.handshakeDetectionTimeoutMillis", 5000, 1)
    versions, suites = _suites(settings, _versions(settings))
    _check_name(settings, "X509AuthenticationProvider.superUser")
    wants = client or admin
    if wants is None:
        for key in _KEYS:
            if settings.text(key) is not None:
                settings.warning(key, "has no effect: neither secureClientPort nor another key turns TLS on")
        return None
    if key_store is None:
        if settings.text("ssl.keyStore.location") is None:
            message = "needs ssl.keyStore.location: a file with the private key and its certificates, in PEM"
            settings.fault(wants, message)
        return None
    client_auth = client_auth if client else VerifyMode.CERT_NONE
    admin_auth = VerifyMode.CERT_REQUIRED if admin_needs else VerifyMode.CERT_NONE
    asks = {"ssl.clientAuth": client_auth, "admin.needClientAuth": admin_auth}
    if not any(asks.values()):
        trust_store = None
        for key in ("ssl.trustStore.location", "ssl.crl"):
            if settings.text(key) is not None:
                settings.warning(key, "has no effect: nobody is asked for a certificate")
    elif settings.text("ssl.trustStore.location") is None:
        for key in (key for key, asked in asks.items() if asked):
            none = "; ssl.clientAuth=none asks for none" if key == "ssl.clientAuth" else ""
            settings.fault(key, f"needs ssl.trustStore.location, which says whose certificates count{none}")
    config = TlsConfig(
        key_store=key_store,
        password=password or "",
        password_file=Path(password_file) if password_file else None,
        trust_store=trust_store,
        revocation=revocation,
        client_auth=client_auth,
        admin_auth=admin_auth,
        oldest=min(versions),
        newest=max(versions),
        suites=suites,
        patience=patience / 1000,
    )
    if len(settings.faults) == before:
        _try(settings, config)
    return config


def _try(settings: Settings, config: TlsConfig) -> None:
    try:
        context(config, max(config.client_auth, config.admin_auth))
    except Unusable as unusable:
        settings.fault(unusable.key, unusable.message)
    else:
        for warning in warnings(config):
            settings.warning(warning.key, warning.message)


def _check_name(settings: Settings, key: str) -> None:
    name = settings.text(key)
    if name is None:
        return
    if not is_name(name):
        settings.fault(key, f"is no name such as CN=admin,O=Example: {name!r}")
    elif re.search(r"(?<!\\), ", name):
        settings.warning(key, "is nobody's name: there are no blanks behind the commas of a subject")


def _store(settings: Settings, which: str) -> Path | None:
    key = f"ssl.{which}.location"
    location = settings.text(key)
    kind = settings.choice(f"ssl.{which}.type", "", ("", *_TYPES.values()))
    if not location:
        return None
    path = Path(location)
    kind = kind or _TYPES.get(path.suffix, "")
    if kind == "PEM":
        return path.absolute()
    if not kind:
        settings.fault(key, f"{path} is not called .pem: say ssl.{which}.type=PEM if it is that nevertheless")
    else:
        settings.fault(key, f"{path} is not PEM. Make it that: {_conversion(path, kind, which)}")
    return None


def _conversion(path: Path, kind: str, which: str) -> str:
    new, between = path.with_suffix(".pem"), path.with_suffix(".p12")
    take = "-nokeys" if which == "trustStore" else "-nodes"
    if kind == "PKCS12":
        return f"openssl pkcs12 -in {path} {take} -out {new}"
    convert = f"keytool -importkeystore -srckeystore {path} -destkeystore {between} -deststoretype PKCS12"
    return f"{convert}; openssl pkcs12 -in {between} {take} -out {new}"


def _versions(settings: Settings) -> set[TLSVersion]:
    """As SSLContext.getInstance(ssl.protocol) and setProtocols(ssl.enabledProtocols) have it in Java."""
    newest = settings.choice("ssl.protocol", "TLSv1.3", (*_VERSIONS, "TLS"))
    versions = {_VERSIONS["TLSv1.2"], _VERSIONS.get(newest, TLSVersion.TLSv1_3)}
    enabled = settings.text("ssl.enabledProtocols")
    if enabled is None:
        return versions
    named = {name.strip() for name in enabled.split(",")} - {""}
    if not named or named - set(_VERSIONS):
        settings.fault("ssl.enabledProtocols", f"must name TLSv1.2, TLSv1.3 or both, not {enabled!r}")
        return versions
    return {_VERSIONS[name] for name in named}


def _suites(settings: Settings, versions: set[TLSVersion]) -> tuple[set[TLSVersion], str]:
    """The versions that the suites leave, and those of TLS 1.2 as OpenSSL writes them."""
    key = "ssl.ciphersuites"
    given = settings.text(key)
    if given is None:
        return versions, ""
    named = {name.strip() for name in given.split(",")} - {""}
    older = {name: _openssl(name) for name in named - _SUITES_1_3}
    if unknown := [name for name, translated in older.items() if not _known(translated)]:
        settings.fault(key, f"not known to {ssl.OPENSSL_VERSION}: {', '.join(sorted(unknown))}")
    newer = named & _SUITES_1_3
    if newer and newer != _SUITES_1_3:
        settings.warning(key, "TLS 1.3 comes with all of its suites, or with none if none is named")
    left = versions & {*((TLSVersion.TLSv1_3,) if newer else ()), *((TLSVersion.TLSv1_2,) if older else ())}
    if not left:
        settings.fault(key, "no suite is left for the versions of TLS that are enabled")
        return versions, ""
    return left, ":".join(sorted(older.values()))


def _openssl(suite: str) -> str:
    """TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 → ECDHE-RSA-AES128-GCM-SHA256; others as they are."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    if not cipher:
        return suite
    cipher = re.sub(r"AES_(\d+)", r"AES\1", cipher).replace("_CBC", "").replace("_", "-")
    if cipher.startswith("CHACHA20"):
        cipher = cipher.removesuffix("-SHA256")
    return cipher if exchange == "RSA" else f"{exchange.replace('_', '-')}-{cipher}"


def _known(suite: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(suite)
    except ssl.SSLError:
        return False
    return True
