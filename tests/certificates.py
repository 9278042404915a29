"""Keys and certificates for tests, in the files that a configuration names."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key


class Authority:
    """Issues certificates, and has a folder for them."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.trusted = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.trusted))

    def issue(
        self,
        who: str,
        *,
        ended: bool = False,
        common_name: str | None = None,
        organization_unit_name: str | None = None,
    ) -> Path:
        """A file of WHO's key and certificates: a host's, or a person's with a common name."""
        path = self._folder / f"{who}.pem"
        ends = datetime(2020, 2, 3, 4, 5, tzinfo=UTC) if ended else None
        starts = datetime(2019, 1, 1, tzinfo=UTC) if ended else None
        issued = self._ca.issue_cert(
            who,
            common_name=common_name,
            organization_unit_name=organization_unit_name,
            not_before=starts,
            not_after=ends,
            key_type=trustme.KeyType.ECDSA,
        )
        path.touch(0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def revoke(self, *paths: Path) -> None:
        """Have the trusted file hold a list of those: it says nothing of them if there are none."""
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        key = load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        revoked = x509.CertificateRevocationListBuilder(issuer.subject, now, now + timedelta(days=1))
        for path in paths:
            serial = x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number
            revoked = revoked.add_revoked_certificate(
                x509.RevokedCertificateBuilder(serial, revocation_date=now).build()
            )
        made = revoked.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        self.trusted.write_bytes(self._ca.cert_pem.bytes() + made)

    def client(self, own: Path | None = None) -> ssl.SSLContext:
        """What a client connects with that trusts this authority: with its own certificate or without."""
        context = ssl.create_default_context(cafile=self.trusted)
        if own is not None:
            context.load_cert_chain(own)
        return context
