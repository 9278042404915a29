"""Keys and certificates for tests, in the files that a configuration names."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme


class Authority:
    """Issues certificates, and has a folder for them."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.trusted = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.trusted))

    def issue(self, who: str, *, ended: bool = False, common_name: str | None = None) -> Path:
        """A file of WHO's key and certificates: a host's, or a person's with a common name."""
        path = self._folder / f"{who}.pem"
        ends = datetime(2020, 2, 3, 4, 5, tzinfo=UTC) if ended else None
        starts = datetime(2019, 1, 1, tzinfo=UTC) if ended else None
        issued = self._ca.issue_cert(
            who, common_name=common_name, not_before=starts, not_after=ends, key_type=trustme.KeyType.ECDSA
        )
        path.touch(0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def client(self, own: Path | None = None) -> ssl.SSLContext:
        """What a client connects with that trusts this authority: with its own certificate or without."""
        context = ssl.create_default_context(cafile=self.trusted)
        if own is not None:
            context.load_cert_chain(own)
        return context
