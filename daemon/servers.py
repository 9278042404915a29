"""The server.N lines and `myid`: who is in the ensemble, and which of them is this server.

The syntax is that of ZooKeeper's QuorumPeer.QuorumServer, one address a server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .properties import Setting
from .settings import PORT_MAX, Settings, is_host

_FORM = "HOST:QUORUM_PORT:ELECTION_PORT[:participant|:observer][;[CLIENT_HOST:]CLIENT_PORT]"
_ROLES = {"participant": False, "observer": True}


@dataclass(frozen=True, slots=True)
class Server:
    """One server.N line. client_address and client_port are None where the line does not name them."""

    id: int
    host: str
    quorum_port: int
    election_port: int
    observer: bool = False
    client_address: str | None = None
    client_port: int | None = None


def read_servers(settings: Settings, highest_id: int) -> tuple[Server, ...]:
    """The ensemble by id, without the lines that are faulty; empty for a standalone server."""
    servers: dict[int, Server] = {}
    lines = settings.family("server.")
    for setting in lines:
        try:
            server = _parse(setting, highest_id)
            if server.id in servers:
                raise ValueError(f"there is a server {server.id} already")
        except ValueError as error:
            settings.fault(setting.key, str(error))
        else:
            servers[server.id] = server
    ensemble = tuple(servers[number] for number in sorted(servers))
    # With a faulty line among them it can't be told how many there are.
    if ensemble and len(ensemble) == len(lines):
        _check_together(settings, ensemble)
    return ensemble


def read_server_id(settings: Settings, data_dir: Path, servers: tuple[Server, ...], highest_id: int) -> int:
    """This server's id from data_dir/myid; 0 for a standalone server, which needs none."""
    path = data_dir / "myid"
    try:
        text = path.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        if servers:
            settings.fault("dataDir", f"{path} is missing: it holds the N of this server's own server.N line")
        return 0
    except OSError as error:
        settings.fault("dataDir", f"{path} can't be read: {error.strerror}")
        return 0
    number = _number(text, highest_id)
    if number is None:
        settings.fault("dataDir", f"{path} must hold a number from 1 to {highest_id}, not {text[:40]!r}")
        return 0
    if not servers:
        return 0
    if all(server.id != number for server in servers):
        settings.fault("dataDir", f"{path} says {number}, but there is no server.{number} line")
        return 0
    return number


def _parse(setting: Setting, highest_id: int) -> Server:
    number = _number(setting.key.rpartition("server.")[2], highest_id)
    if number is None:
        raise ValueError(f"a server's number is from 1 to {highest_id}")
    peer, semicolon, client = setting.value.partition(";")
    if "|" in peer:
        raise ValueError("a server has one address here")
    match _split(peer):
        case host, quorum, election:
            role = "participant"
        case host, quorum, election, role:
            pass
        case _:
            raise ValueError(f"{setting.value!r} does not have the form {_FORM}")
    if role.strip().lower() not in _ROLES:
        raise ValueError(f"a server is a participant or an observer, not {role!r}")
    client_address: str | None = None
    client_port: int | None = None
    if semicolon:
        *hosts, port = _split(client)
        if len(hosts) > 1:
            raise ValueError(f"{setting.value!r} does not have the form {_FORM}")
        client_address = _host(hosts[0]) if hosts else None
        client_port = _port(port)
    if _port(quorum) == _port(election):
        raise ValueError(f"quorum port and election port are both {quorum}")
    return Server(
        number,
        _host(host),
        _port(quorum),
        _port(election),
        _ROLES[role.strip().lower()],
        client_address,
        client_port,
    )


def _split(address: str) -> list[str]:
    """The parts between colons; an IPv6 address stands in brackets."""
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if bracket and rest.startswith(":"):
            return [host, *rest[1:].split(":")]
    return address.split(":")


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError(f"{text!r} is neither an address nor a host name")
    return text


def _port(text: str) -> int:
    port = _number(text, PORT_MAX)
    if port is None:
        raise ValueError(f"a port is from 1 to {PORT_MAX}, not {text!r}")
    return port


def _number(text: str, most: int) -> int | None:
    """Text as a number from 1 to most; None if it is none."""
    digits = text.lstrip("0")  # short enough for int(), whatever a file holds
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(most))):
        return None
    return int(digits) if int(digits) <= most else None


def _check_together(settings: Settings, ensemble: tuple[Server, ...]) -> None:
    first = f"server.{ensemble[0].id}"
    voters = sum(not server.observer for server in ensemble)
    if not voters:
        settings.fault(first, "observers without a participant can't decide anything")
    elif voters % 2 == 0:
        settings.warning(first, f"{voters} participants survive no more failures than {voters - 1} would")
    used = Counter((s.host, port) for s in ensemble for port in (s.quorum_port, s.election_port))
    for server in ensemble:
        for port in (server.quorum_port, server.election_port):
            if used[server.host, port] > 1:
                settings.fault(f"server.{server.id}", f"{server.host}:{port} is another server's too")
