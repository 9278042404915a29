"""Makes what TLS needs out of the files that the configuration names.

What the files must hold is what ZooKeeper's X509Util wants of PEM files.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from ssl import TLSVersion, VerifyMode
from typing import Final

from ..api.certificates import end

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_KEY: Final = b"PRIVATE KEY-----"
_REVOKED: Final = b"-----BEGIN X509 CRL-----"
_KEY_STORE: Final = "ssl.keyStore.location"
_TRUST_STORE: Final = "ssl.trustStore.location"


class Unusable(Exception):
    """A file can't be used: the key that names it, and what is wrong with it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """What TLS is made of; one for all ports."""

    key_store: Path
    """Private key, certificate and those that lead from it to the root, in PEM."""
    password: str = field(repr=False)
    """Of the private key; empty for none."""
    password_file: Path | None
    """Goes before password."""
    trust_store: Path | None
    """Whoever has a certificate from one of these may connect; none if nobody is asked for one."""
    revocation: bool
    """Whether the trust store's lists of revoked certificates count: there must be one of each issuer."""
    client_auth: VerifyMode
    """Of the client port."""
    admin_auth: VerifyMode
    oldest: TLSVersion
    newest: TLSVersion
    suites: str
    """Those of TLS 1.2, as OpenSSL writes them; empty: OpenSSL's choice."""
    patience: float
    """Seconds until a handshake must have begun, and in which it must be done."""


def context(config: TlsConfig, client_auth: VerifyMode) -> ssl.SSLContext:
    """A server's context; raises Unusable."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = config.oldest, config.newest
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Connections live long. A resumed one would take the client's identity from the ticket.
    made.options |= ssl.OP_NO_TICKET
    made.num_tickets = 0
    if config.suites:
        made.set_ciphers(config.suites)
    _load_keys(made, config)
    made.verify_mode = client_auth
    if config.trust_store is not None:
        _load_trusted(made, config.trust_store, config.revocation)
    return made


def warnings(config: TlsConfig) -> Iterator[Unusable]:
    """What can be used, and yet is not as it should be."""
    if config.key_store.stat().st_mode & 0o004:
        yield Unusable(
            _KEY_STORE, f"{config.key_store} can be read by everybody: chmod o-r {config.key_store}"
        )
    files = [(_KEY_STORE, config.key_store)]
    if config.trust_store is not None:
        files.append((_TRUST_STORE, config.trust_store))
    for key, path in files:
        for pem in _CERTIFICATE.findall(path.read_bytes()):
            try:
                ended = end(ssl.PEM_cert_to_DER_cert(pem.decode()))
            except ValueError:
                continue  # none that OpenSSL reads, either
            if ended < datetime.now(UTC):
                yield Unusable(key, f"a certificate in {path} has ended on {ended:%Y-%m-%d %H:%M} UTC")


def _load_keys(made: ssl.SSLContext, config: TlsConfig) -> None:
    path = config.key_store
    content = _content(_KEY_STORE, path)
    if _KEY not in content:
        raise Unusable(
            _KEY_STORE, f"there is no private key in {path}: it holds key and certificates, in PEM"
        )
    if not _CERTIFICATE.search(content):
        raise Unusable(
            _KEY_STORE, f"there is no certificate in {path}: it holds key and certificates, in PEM"
        )
    password = config.password
    if config.password_file is not None:
        read = _content("ssl.keyStore.passwordPath", config.password_file)
        password = read.decode(errors="replace").rstrip("\r\n")
    asked = False

    def tell() -> str:
        nonlocal asked
        asked = True
        return password

    try:
        made.load_cert_chain(path, password=tell)  # without one, OpenSSL would ask on the terminal
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            message = f"the private key in {path} does not belong to its first certificate"
        elif asked:
            message = f"{path}: ssl.keyStore.password is {'wrong' if password else 'not set, but needed'}"
        else:
            message = f"{path} can't be used: {reason}"
        raise Unusable(_KEY_STORE, message) from None


def _load_trusted(made: ssl.SSLContext, path: Path, revocation: bool) -> None:
    content = _content(_TRUST_STORE, path)
    if not _CERTIFICATE.search(content):
        raise Unusable(_TRUST_STORE, f"there is no certificate in {path}, which must be PEM")
    if revocation and _REVOKED not in content:
        raise Unusable("ssl.crl", f"is true, but {path} holds no list of revoked certificates (X509 CRL)")
    try:
        made.load_verify_locations(path)
    except ssl.SSLError as error:
        raise Unusable(_TRUST_STORE, f"{path} can't be used: {error.reason or error}") from None
    # What is in the store is trusted, whether or not it is a root: so does Java.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if revocation:
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _content(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(key, f"{path} can't be read: {error.strerror or error}") from None
