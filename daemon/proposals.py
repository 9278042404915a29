"""Transactions that the server itself wants ordered, with no client's request behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Final, Protocol

from ..consensus.contract import Consensus, NotServing
from ..storage.session import encode_identities
from ..storage.writes import transaction

_SUPER: Final = encode_identities((("super", ""),))


@dataclass(frozen=True, slots=True)
class Internal:
    """Waits for such a transaction."""

    done: Callable[[int], None]
    """Called with the error code once applied."""
    dropped: Callable[[str], None]
    """Called with the reason when it gets no result here."""


def _nothing(result: object) -> None:
    pass


class Propose(Protocol):
    """How the parts of a server have a transaction ordered."""

    def __call__(
        self,
        op: int,
        body: bytes,
        done: Callable[[int], None] = _nothing,
        dropped: Callable[[str], None] = _nothing,
    ) -> None:
        """done and dropped as in Internal; dropped may be called before this returns."""
        ...


def proposer(consensus: Consensus, flags: int) -> Propose:
    """Propose to consensus; flags as in storage.writes.HEAD."""

    def propose(
        op: int,
        body: bytes,
        done: Callable[[int], None] = _nothing,
        dropped: Callable[[str], None] = _nothing,
    ) -> None:
        txn = transaction(op, body, time=int(time() * 1000), flags=flags, identities=_SUPER)
        try:
            consensus.propose(txn, Internal(done, dropped))
        except NotServing as error:
            dropped(str(error))

    return propose
