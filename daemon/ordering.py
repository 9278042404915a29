"""Which backend orders the writes, made from the configuration."""

from __future__ import annotations

from pathlib import Path

from ..consensus.contract import Consensus, Meter
from ..consensus.standalone import Standalone
from ..storage.directories import make_directory
from ..storage.log import Log
from .config import Backend, Config


def incoming_snapshot(config: Config) -> Path:
    """Where a server of an ensemble has the snapshot that is taking its state's place."""
    return _promises_directory(config) / "incoming"


def _promises_directory(config: Config) -> Path:
    return config.data_log_dir / "zab"


class OthersShare(Exception):
    """These data are an ensemble's: one that went on alone with them could not go back."""


def ordered_by(config: Config, log: Log, meter: Meter) -> Consensus:
    """The backend that the configuration names, on that log. Raises OthersShare, OSError."""
    if config.consensus is Backend.STANDALONE:
        directory = _promises_directory(config)
        if directory.exists():
            raise OthersShare(
                f"{config.data_dir} holds an ensemble's data, and the configuration has no server.N lines: "
                f"add them; or remove {directory}, to go on alone for good"
            )
        return Standalone(log, meter.synced)
    from ..consensus.ensemble import Ensemble
    from ..consensus.zab.backend import Zab

    directory = _promises_directory(config)
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
    return Zab(ensemble, log, meter)
