"""Reads what an ensemble's servers have cost so far: from their `mntr`, from /proc, and from the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

from .ask import word
from .ensemble import Ensemble, Server

_PATIENCE: Final = 10.0
_BLOCK: Final = 512
"""Bytes that st_blocks counts."""


@dataclass(frozen=True, slots=True)
class Costs:
    """All servers' together, or of a write, on average; None where a server does not tell. CPU is seconds."""

    messages: float | None
    bytes: float | None
    syncs: float | None
    log: float | None
    cpu: float

    def since(self, earlier: Costs, writes: int) -> Costs:
        """What each of so many writes has cost since then."""

        def each(now: float | None, then: float | None) -> float | None:
            return None if now is None or then is None else (now - then) / writes

        return Costs(
            each(self.messages, earlier.messages),
            each(self.bytes, earlier.bytes),
            each(self.syncs, earlier.syncs),
            each(self.log, earlier.log),
            (self.cpu - earlier.cpu) / writes,
        )


def costs(ensemble: Ensemble) -> Costs:
    """Since the servers' start. Raises OSError."""
    told = [monitored(word(server.port, b"mntr", _PATIENCE)) for server in ensemble.servers]
    logs = _total(told, "zk_txn_log_size")
    return Costs(
        _total(told, "zk_peer_sent_messages"),
        _total(told, "zk_peer_sent_bytes"),
        _total(told, "zk_cnt_fsynctime"),
        float(sum(map(_log_files, ensemble.servers))) if logs is None else logs,
        sum(cpu(Path(f"/proc/{server.pid}/stat").read_text()) for server in ensemble.servers),
    )


def memory(ensemble: Ensemble) -> float:
    """Bytes that a server holds on average, not counting what maps a file."""
    return mean(anonymous(Path(f"/proc/{server.pid}/status").read_text()) for server in ensemble.servers)


def monitored(answer: str) -> dict[str, float]:
    """The numbers in mntr's answer, by key."""
    found = {}
    for line in answer.splitlines():
        key, _, value = line.partition("\t")
        try:
            found[key] = float(value)
        except ValueError:
            continue
    return found


def anonymous(status: str) -> int:
    """Bytes, by /proc/PID/status."""
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) << 10


def _total(told: Sequence[Mapping[str, float]], key: str) -> float | None:
    return sum(each[key] for each in told) if all(key in each for each in told) else None


def cpu(stat: str) -> float:
    # The command's name, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _log_files(server: Server) -> int:
    """What ZooKeeper's log takes on disk: its files are longer, with holes."""
    return sum(file.stat().st_blocks * _BLOCK for file in server.data.glob("version-2/log.*"))
