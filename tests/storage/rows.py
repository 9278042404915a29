"""Every row of a state as reads see it: the engine's, with what is not flushed laid over them."""

from __future__ import annotations

from znoded.storage.state import State


def rows(state: State) -> dict[bytes, bytes]:
    """All but the counters' row, which is written with a flush only."""
    table = state.table
    seen = {**dict(table.engine.scan(b"")), **table._flushing, **table._changes}
    return {key: value for key, value in seen.items() if value is not None and key != b"m"}
