"""Which backend orders the writes, made from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..consensus.contract import Consensus, Meter
from ..consensus.ensemble import Ensemble
from ..consensus.standalone import Standalone
from ..storage.directories import make_directory
from ..storage.log import Log
from .config import Backend, Config

ENSEMBLES: Final = (Backend.ZAB, Backend.RAFT)
"""The backends that keep what they have promised."""


class OtherBackend(Exception):
    """These data are another backend's: their log, and what was promised to others, would be misread."""


def incoming_snapshot(config: Config) -> Path:
    """Where a server of an ensemble has the snapshot that is taking its state's place."""
    return memory(config, config.consensus) / "incoming"


def conversion(config: Config, backend: Backend) -> Path:
    """What a conversion to that backend has made, until it is all in its place."""
    return config.data_log_dir / f"converting-to-{backend}"


def refuse_half_converted(config: Config) -> None:
    """Before anything is opened. Raises OtherBackend."""
    for backend in ENSEMBLES:
        if conversion(config, backend).exists():
            raise OtherBackend(
                f"{config.data_dir} is only half converted: run `znoded convert --to {backend}` again"
            )


def memory(config: Config, backend: Backend) -> Path:
    """Where a backend keeps what it has promised: the data are those of the one for which this is there."""
    return config.data_log_dir / backend.value


def ordered_by(config: Config, log: Log, meter: Meter) -> Consensus:
    """The backend that the configuration names, on that log. Raises OtherBackend, OSError."""
    backend = config.consensus
    for other in ENSEMBLES:
        if other is not backend and memory(config, other).exists():
            raise OtherBackend(_what_to_do(config, other))
    if backend is Backend.STANDALONE:
        return Standalone(log, meter.synced)
    directory = memory(config, backend)
    if backend is Backend.RAFT and not directory.exists() and log.last_zxid >= log.first_zxid:
        raise OtherBackend(
            f"the log in {config.data_log_dir} was not written by Raft: run `znoded convert --to raft`"
        )
    make_directory(directory)
    ensemble = Ensemble(
        me=config.server_id,
        voters=frozenset(server.id for server in config.servers if not server.observer),
        addresses={server.id: (server.host, server.quorum_port) for server in config.servers},
        init_limit=config.init_limit * config.tick_time / 1000,
        sync_limit=config.sync_limit * config.tick_time / 1000,
        secret=(config.quorum_secret or "").encode(),
        directory=directory,
    )
    return _over_zab(ensemble, log, meter) if backend is Backend.ZAB else _over_raft(ensemble, log, meter)


def _what_to_do(config: Config, other: Backend) -> str:
    directory = memory(config, other)
    if config.consensus is Backend.STANDALONE:
        # On its own, a server reads a log as ZAB writes it.
        first = "" if other is Backend.ZAB else "run `znoded convert --to zab` and "
        return (
            f"{config.data_dir} holds an ensemble's data, and the configuration has no server.N lines: "
            f"add them; or {first}remove {memory(config, Backend.ZAB)}, to go on alone for good"
        )
    return (
        f"{config.data_dir} holds data ordered by {other}, as {directory} tells, but the configuration says "
        f"consensus={config.consensus}: run `znoded convert --to {config.consensus}`, or say {other}"
    )


# What a server does not run is not imported.


def _over_zab(ensemble: Ensemble, log: Log, meter: Meter) -> Consensus:
    from ..consensus.zab.backend import Zab

    return Zab(ensemble, log, meter)


def _over_raft(ensemble: Ensemble, log: Log, meter: Meter) -> Consensus:
    from ..consensus.raft.backend import RaftBackend
    from ..consensus.raft.library import Moved

    try:
        return RaftBackend(ensemble, log, meter)
    except Moved as moved:
        raise OtherBackend(str(moved)) from moved
