"""Puts TLS before a port, and reads key and certificates anew while connections go on."""

from __future__ import annotations

import logging
import ssl
from asyncio import Protocol
from collections.abc import Callable

from ..api.tls_port import Handshakes, TlsPort
from .stats import Stats
from .tls_files import TlsConfig, Unusable, context, warnings

log = logging.getLogger(__name__)


class Tls:
    """Wraps ports in TLS; new handshakes take up what the files held when they were last read."""

    def __init__(self, config: TlsConfig, per_host: int, stats: Stats) -> None:
        """per_host: handshakes of one address at a time, 0: any number. Raises Unusable."""
        self._config = config
        self._per_host = per_host
        self._stats = stats
        self._read()

    def client(self, port: Callable[[], Protocol], *, plain: bool = False) -> Callable[[], Protocol]:
        """The client port's protocols, behind a handshake; plain: for who makes one."""
        return self._behind(lambda: self._client, port, plain)

    def admin(self, port: Callable[[], Protocol], *, plain: bool = False) -> Callable[[], Protocol]:
        """The same for the admin port's."""
        return self._behind(lambda: self._admin, port, plain)

    def reload(self) -> None:
        """Read the files again. If they can't be used, all stays as it is; connections do anyway."""
        try:
            self._read()
        except Unusable as error:
            log.error("key and certificates stay as they are: %s", error)
            return
        log.info("key and certificates are read anew, for connections from now on")
        for warning in warnings(self._config):
            log.warning("%s", warning)

    def _read(self) -> None:
        client = context(self._config, self._config.client_auth)
        self._admin = context(self._config, self._config.admin_auth)
        self._client = client

    def _behind(
        self, context: Callable[[], ssl.SSLContext], port: Callable[[], Protocol], plain: bool
    ) -> Callable[[], Protocol]:
        handshakes = Handshakes(
            context, port, self._config.patience, self._per_host, self._failed, plain=plain
        )
        return lambda: TlsPort(handshakes)

    def _failed(self) -> None:
        self._stats.counters["unsuccessful_handshake"] += 1
