"""The configuration: zoo.cfg as ZooKeeper reads it, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from pathlib import Path

from ..api.admin.access import is_loopback
from .config_keys import WORDS
from .properties import Setting, parse
from .servers import Server, read_server_id, read_servers
from .settings import INT_MAX, PORT_MAX, Fault, Settings
from .tls_files import TlsConfig
from .tls_settings import read_tls

__all__ = ["Backend", "Config", "Fault", "Loaded", "Server", "load"]

ADMIN_PORT = 8080
"""The default, as ZooKeeper's."""
LOG_LEVELS = ("debug", "info", "warning", "error")

_LOOPBACK = "127.0.0.1"
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never listened on
_MIN_SNAP_RETAIN_COUNT = 3
_MIN_TOKEN = 16
_MAX_SERVER_ID = 255
_MAX_EXTENDED_SERVER_ID = 254
"""TTL nodes need one value of the id's byte for themselves."""


class Backend(StrEnum):
    """What puts writes into one order."""

    STANDALONE = "standalone"
    ZAB = "zab"
    RAFT = "raft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration without faults. Made by load() alone, which knows the defaults.

    Fields are named after their keys. Times are milliseconds, those of initLimit and syncLimit ticks;
    sizes are bytes; a port 0 lets the system choose one.
    Unlike ZooKeeper, which listens on every address, both ports are on loopback unless configured otherwise.
    """

    data_dir: Path
    data_log_dir: Path
    client_address: str
    client_port: int | None
    """None: there is a secure one alone."""
    secure_client_address: str
    secure_client_port: int | None
    client_takes_tls: bool
    """client.portUnification: client_port serves TLS as well."""
    listen_backlog: int
    """-1: the system's default."""
    tick_time: int
    min_session_timeout: int
    max_session_timeout: int
    max_client_cnxns: int
    """Connections from one address; 0: no limit."""
    max_buffer: int
    """jute.maxbuffer: the longest frame a client may send."""
    outstanding_limit: int
    """globalOutstandingLimit: requests in flight, of all clients together."""

    servers: tuple[Server, ...]
    server_id: int
    """This server's number in servers; 0 when standalone."""
    init_limit: int
    sync_limit: int
    consensus: Backend
    read_only_mode: bool
    """A server without a majority serves reads to clients that take it."""
    storage: str
    """The name of a storage engine."""

    super_digest: str | None = field(repr=False)
    """user:BASE64(SHA1(user:password)) of the user for whom no ACL counts."""
    super_subject: str | None
    """The subject of the certificate of another such user."""
    skip_acl: bool
    enforce_quota: bool
    extended_types: bool
    """Whether TTL nodes can be made."""
    container_check_ms: int
    container_max_per_minute: int
    container_max_never_used_ms: int
    """0: a container that never had a child is never deleted."""

    four_letter_words: frozenset[str]
    """The words that the client port answers; the admin port answers all."""
    admin_enabled: bool
    admin_address: str
    admin_port: int
    quorum_secret: str | None = field(repr=False)
    """What quorum.secretFile holds: by it the servers of an ensemble know each other."""

    admin_token: str | None = field(repr=False)
    """What admin.tokenFile holds: every request to the admin port must bring it."""
    admin_unauthenticated: bool
    """Whether it answers everyone who reaches it."""
    admin_takes_tls: bool
    admin_takes_plain: bool
    """No: it serves TLS alone."""
    tls: TlsConfig | None

    snap_retain_count: int
    """So many full log segments stay after they were flushed past."""
    fsync_warning_ms: int
    log_level: str
    """One of LOG_LEVELS."""
    slow_request_ms: int
    """Requests that take longer are logged; 0: none is."""
    audit_enabled: bool
    audit_file: Path | None
    """Where the audit log is; None: among the other lines."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of reading: a configuration, unless there are faults; warnings either way."""

    config: Config | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def load(path: Path | None, overrides: Mapping[str, str]) -> Loaded:
    """Read zoo.cfg at path, or nothing but defaults if that is None, and check all of it.

    overrides holds zoo.cfg's keys and replaces what the file says. Nothing is raised and nothing is
    written: what is wrong comes back as faults, ordered by line. Rules and defaults are those of
    ZooKeeper 3.9's QuorumPeerConfig unless Config says otherwise.
    """
    given: list[Setting] = []
    if path is not None:
        try:
            given.extend(parse(_decode(path.read_bytes())))
        except OSError as error:
            return Loaded(None, (Fault(None, "", f"can't be read: {error.strerror or error}"),), ())
    given.extend(Setting(None, key, value) for key, value in overrides.items())
    settings = Settings(given)
    config = _read(settings)
    if path is not None and settings.text("dataDir") is None:
        settings.fault("dataDir", "is not set: it says where the data lives")
    settings.judge_the_rest()
    return Loaded(None if settings.faults else config, _by_line(settings.faults), _by_line(settings.warnings))


def _decode(raw: bytes) -> str:
    """UTF-8, as people write it; else Latin-1, as java.util.Properties reads it."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _by_line(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: fault.line or 0))


def _read(settings: Settings) -> Config:
    data_dir = settings.directory("dataDir", Path("data"))
    own_log_dir = settings.text("dataLogDir") is not None
    extended_types = settings.boolean("extendedTypesEnabled", False)
    highest_id = _MAX_EXTENDED_SERVER_ID if extended_types else _MAX_SERVER_ID
    servers = read_servers(settings, highest_id)
    server_id = read_server_id(settings, data_dir, servers, highest_id)
    me = next((server for server in servers if server.id == server_id), None)
    secure_client_address, secure_client_port = _secure_client_port(settings)
    client_address, client_port = _client_port(settings, me, secure_client_port is None)
    client_takes_tls = settings.boolean("client.portUnification", False)
    admin_enabled = settings.boolean("admin.enableServer", True)
    admin_tls = _admin_tls(settings, admin_enabled)
    client_tls = "client.portUnification" if client_takes_tls else None
    tls = read_tls(settings, client_tls if secure_client_port is None else "secureClientPort", admin_tls)
    tick_time = settings.integer("tickTime", 3000, 1)
    min_session_timeout, max_session_timeout = _session_timeouts(settings, tick_time)
    config = Config(
        data_dir=data_dir,
        data_log_dir=settings.directory("dataLogDir", data_dir) if own_log_dir else data_dir,
        client_address=client_address,
        client_port=client_port,
        secure_client_address=secure_client_address,
        secure_client_port=secure_client_port,
        client_takes_tls=client_takes_tls,
        listen_backlog=settings.integer("clientPortListenBacklog", -1, -1),
        tick_time=tick_time,
        min_session_timeout=min_session_timeout,
        max_session_timeout=max_session_timeout,
        max_client_cnxns=settings.integer("maxClientCnxns", 60, 0),
        max_buffer=settings.integer("jute.maxbuffer", 0xFFFFF, 1024),
        outstanding_limit=settings.integer("globalOutstandingLimit", 1000, 1),
        servers=servers,
        server_id=server_id,
        init_limit=_limit(settings, "initLimit", servers),
        sync_limit=_limit(settings, "syncLimit", servers),
        consensus=_consensus(settings),
        read_only_mode=settings.boolean("readonlymode.enabled", False) and bool(servers),
        storage=_storage(settings),
        super_digest=settings.digest("DigestAuthenticationProvider.superDigest"),
        super_subject=settings.text("X509AuthenticationProvider.superUser"),
        skip_acl=settings.boolean("skipACL", False),
        enforce_quota=settings.boolean("enforceQuota", False),
        extended_types=extended_types,
        container_check_ms=settings.integer("znode.container.checkIntervalMs", 60_000, 1),
        container_max_per_minute=settings.integer("znode.container.maxPerMinute", 10_000, 1),
        container_max_never_used_ms=settings.integer("znode.container.maxNeverUsedIntervalMs", 0, 0),
        four_letter_words=_four_letter_words(settings),
        admin_enabled=admin_enabled,
        admin_address=settings.host("admin.serverAddress", _LOOPBACK),
        admin_port=settings.integer("admin.serverPort", ADMIN_PORT, 0, PORT_MAX),
        quorum_secret=settings.secret("quorum.secretFile", _MIN_TOKEN),
        admin_token=settings.secret("admin.tokenFile", _MIN_TOKEN),
        admin_unauthenticated=settings.boolean("admin.allowUnauthenticated", False),
        admin_takes_tls=admin_tls is not None,
        admin_takes_plain=admin_tls != "admin.forceHttps",
        tls=tls,
        snap_retain_count=_snap_retain_count(settings),
        fsync_warning_ms=settings.integer("fsync.warningthresholdms", 1000, 0),
        log_level=settings.choice("log.level", "info", LOG_LEVELS),
        slow_request_ms=settings.integer("log.slowRequestMs", 0, 0),
        audit_enabled=settings.boolean("audit.enable", False),
        audit_file=settings.file("auditlog.file"),
    )
    _check_quorum(settings, config)
    _check_ports(settings, config, me)
    _check_admin_access(settings, config)
    return config


def _client_port(settings: Settings, me: Server | None, needed: bool) -> tuple[str, int | None]:
    """Where clients connect: clientPort and clientPortAddress, or what this server's own line says; nowhere
    if it is not needed and nothing is said."""
    address = settings.host("clientPortAddress", _LOOPBACK)
    port = settings.integer("clientPort", 2181, 0, PORT_MAX)
    if me is None or me.client_port is None:
        return address, port if needed or settings.text("clientPort") is not None else None
    if settings.text("clientPort") is not None and port != me.client_port:
        settings.fault("clientPort", f"is {port}, but server.{me.id} says {me.client_port}")
    return me.client_address or address, me.client_port


def _secure_client_port(settings: Settings) -> tuple[str, int | None]:
    address = settings.host("secureClientPortAddress", _LOOPBACK)
    port = settings.integer("secureClientPort", 2281, 0, PORT_MAX)
    if settings.text("secureClientPort") is not None:
        return address, port
    if settings.text("secureClientPortAddress") is not None:
        settings.fault("secureClientPortAddress", "needs secureClientPort")
    return address, None


def _admin_tls(settings: Settings, enabled: bool) -> str | None:
    """The key that turns TLS on at the admin port."""
    wanted = [
        key
        for key in ("admin.forceHttps", "admin.portUnification")
        if settings.boolean(key, False) and enabled
    ]
    return wanted[0] if wanted else None


def _session_timeouts(settings: Settings, tick_time: int) -> tuple[int, int]:
    """The bounds of what a client may negotiate; -1 stands for the default, as in ZooKeeper."""
    low = settings.integer("minSessionTimeout", -1, -1)
    high = settings.integer("maxSessionTimeout", -1, -1)
    low = 2 * tick_time if low == -1 else low
    high = min(20 * tick_time, INT_MAX) if high == -1 else high
    if low > high:
        given = "maxSessionTimeout" if settings.text("minSessionTimeout") is None else "minSessionTimeout"
        settings.fault(given, f"minSessionTimeout is {low}, more than maxSessionTimeout, which is {high}")
    return low, high


def _limit(settings: Settings, key: str, servers: tuple[Server, ...]) -> int:
    ticks = settings.integer(key, 0, 0)
    if servers and not ticks:
        settings.fault(key, "is not set: an ensemble needs it")
    return ticks


def _consensus(settings: Settings) -> Backend:
    ensemble = bool(settings.family("server."))
    default = Backend.ZAB if ensemble else Backend.STANDALONE
    backend = Backend(settings.choice("consensus", default, [backend.value for backend in Backend]))
    if ensemble and backend is Backend.STANDALONE:
        settings.fault("consensus", "is standalone, but there are server.N lines")
    elif not ensemble and backend is not Backend.STANDALONE:
        settings.fault("consensus", f"is {backend}, which needs server.N lines")
    return backend


def _storage(settings: Settings) -> str:
    default = "lmdb"
    if settings.text("storage") is None:
        return default
    from ..storage.engine import engine_names  # searches all that is installed, which takes its time

    return settings.choice("storage", default, engine_names())


def _four_letter_words(settings: Settings) -> frozenset[str]:
    """srvr is always among them, and isro in read-only mode, as ZooKeeper's own scripts need them."""
    key = "4lw.commands.whitelist"
    read_only_mode = settings.boolean("readonlymode.enabled", False)
    if read_only_mode and not settings.family("server."):
        settings.warning(
            "readonlymode.enabled", "only lets the client port answer isro: a standalone server takes writes"
        )
    words = {word.strip() for word in (settings.text(key) or "").split(",")} - {""}
    if "*" in words:
        return WORDS
    if unknown := words - WORDS:
        settings.warning(key, f"no such word: {', '.join(sorted(unknown))}")
    return frozenset(words & WORDS | {"srvr"} | ({"isro"} if read_only_mode else set()))


def _snap_retain_count(settings: Settings) -> int:
    key = "autopurge.snapRetainCount"
    count = settings.integer(key, _MIN_SNAP_RETAIN_COUNT, 0)
    if count < _MIN_SNAP_RETAIN_COUNT:
        settings.warning(key, f"is raised to {_MIN_SNAP_RETAIN_COUNT}, the least there can be")
    return max(count, _MIN_SNAP_RETAIN_COUNT)


def _check_admin_access(settings: Settings, config: Config) -> None:
    """Who opens the admin port says who may use it."""
    key = "admin.allowUnauthenticated"
    if settings.text("admin.tokenFile") is not None:
        if config.admin_unauthenticated:
            settings.warning(key, "has no effect: with admin.tokenFile every request needs the token")
    elif config.admin_enabled and not config.admin_unauthenticated and not is_loopback(config.admin_address):
        settings.fault(
            "admin.serverAddress",
            f"{config.admin_address} is not loopback: name a file with a token in admin.tokenFile, or say"
            f" {key}=true if everyone who reaches it may see and change everything there",
        )


def _check_quorum(settings: Settings, config: Config) -> None:
    """Servers that others could reach must know each other by more than an address."""
    key = "quorum.allowUnauthenticated"
    open_to_all = settings.boolean(key, False)
    remote = [server for server in config.servers if not is_loopback(server.host)]
    if remote and not (config.quorum_secret or open_to_all):
        settings.fault(
            f"server.{remote[0].id}",
            f"{remote[0].host} is not loopback: name a file with a secret that all servers share in"
            f" quorum.secretFile, or say {key}=true where no stranger can reach the quorum ports",
        )
    if remote and config.client_port is not None and is_loopback(config.client_address):
        settings.warning(
            "clientPortAddress", f"is {config.client_address}: clients on other hosts can't reach this server"
        )


def _check_ports(settings: Settings, config: Config, me: Server | None) -> None:
    """No two of this server's listeners may want the same port."""
    listeners = [("clientPort", config.client_address, config.client_port or 0)]
    listeners.append(("secureClientPort", config.secure_client_address, config.secure_client_port or 0))
    if config.admin_enabled:
        listeners.append(("admin.serverPort", config.admin_address, config.admin_port))
    if me is not None:
        listeners += ((f"server.{me.id}", me.host, port) for port in (me.quorum_port, me.election_port))
    for (key, address, port), (other, other_address, other_port) in combinations(listeners, 2):
        shared = address == other_address or address in _WILDCARDS or other_address in _WILDCARDS
        if port and port == other_port and shared:
            settings.fault(other, f"port {port} is the {key}'s already")
