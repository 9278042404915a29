"""Checks that every acknowledged write is there, on every server, and nothing that nobody wrote."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from .ask import Asking
from .ensemble import Ensemble, Failed, Server
from .generator import Created
from .load import parent
from .results import Verdict

_PATIENCE: Final = 30.0
_LATE: Final = 10.0
_PAUSE: Final = 0.05


def verdict(created: Sequence[Created], held: Sequence[Sequence[set[int]]]) -> Verdict:
    """created: by client; held: for each server, the numbers it has by client."""
    acknowledged = lost = invented = differing = 0
    for client, made in enumerate(created):
        acked = {number for first, last in made["acked"] for number in range(first, last + 1)}
        everywhere = set.intersection(*(server[client] for server in held))
        anywhere = set.union(*(server[client] for server in held))
        acknowledged += len(acked)
        lost += len(acked - everywhere)
        invented += sum(not 0 <= number < made["sent"] for number in anywhere)
        differing += len(anywhere - everywhere)
    return Verdict(acknowledged, lost, invented, differing)


def checked(ensemble: Ensemble, created: Sequence[Created]) -> Verdict:
    """Ask every server for all; for a while again if anything is missing: what is late is not lost.
    Raises Failed."""
    end = time.monotonic() + _LATE
    while True:
        found = verdict(created, [_held(server, len(created)) for server in ensemble.servers])
        if found.good or time.monotonic() > end:
            return found
        time.sleep(_PAUSE)


def _held(server: Server, clients: int) -> list[set[int]]:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with Asking(server.port, _PATIENCE) as asking:
                asking.sync()
                return [set(map(int, asking.children(parent(client)))) for client in range(clients)]
        except OSError as error:
            if time.monotonic() > end:
                raise Failed(f"{server.name} does not tell what it holds: {error}") from error
        time.sleep(_PAUSE)
