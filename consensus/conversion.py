"""What one backend keeps, as the other would have kept it: the same transactions under the same zxids.

A term is an epoch: both begin where a majority has promised it, and are a zxid's upper half. So logs compare
alike under either backend, and whoever may lead by the one's rule holds what the other's has committed.

What ZAB has no number for is an entry's index, which must be the same on all servers, though their logs begin
at different places, and rise without a gap. Within an epoch zxids do; and an epoch has records only once a
majority holds all that it begins with. So the log of the last epoch that has any becomes entries, and what
came before goes into the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from ..storage.log import Log, LogGap
from .contract import Record
from .raft.command import records_of
from .raft.journal import Journal, base_at, command_of, record_at
from .raft.keeper import Keeper as RaftKeeper
from .raft.keeper import Promises as RaftPromises
from .transfer import Incoming
from .zab.driver import lead_up
from .zab.history import History, epoch_of
from .zab.keeper import Keeper as ZabKeeper
from .zab.ready import Promises as ZabPromises

PROMISES: Final = "promises"
"""The file in a backend's directory."""


class Conversion(Protocol):
    """To be asked in this order. after: where the new log begins."""

    after: int

    def settled(self) -> Iterator[Record]:
        """Committed transactions that the state lacks, and must have."""
        ...

    def records(self) -> Iterator[Record]:
        """What the new log holds."""
        ...

    def promise(self, directory: Path) -> None:
        """Keep there what is known besides, once all records were taken."""
        ...


class ToRaft:
    """A log that ZAB has written, or a standalone server: then no promises are in its directory."""

    def __init__(self, txn_log: Log, directory: Path, applied: int) -> None:
        """applied: zxid of the state, here as below. Raises LogGap, LogDamaged, PromisesDamaged, OSError."""
        lead_up(txn_log, applied, Incoming(directory))
        self._log = txn_log
        self._applied = applied
        self._promises = ZabKeeper(directory / PROMISES).promises
        self._epoch = epoch_of(txn_log.last_zxid)
        # Without an epoch, an ensemble has ordered nothing yet: whoever did was alone.
        self._settled = self._epoch << 32 or txn_log.last_zxid
        self.after = max(self._settled, txn_log.first_zxid - 1)

    def settled(self) -> Iterator[Record]:
        """Of older epochs. Raises LogGap, LogDamaged, OSError."""
        for zxid, txn in self._log.read(self._applied):
            if zxid > self._settled:
                break
            yield zxid, txn
            self._applied = zxid

    def records(self) -> Iterator[Record]:
        """Of the last epoch. Raises LogGap, LogDamaged, OSError."""
        before = self.after
        for zxid, txn in self._log.read(before):
            if zxid != before + 1:
                raise LogGap(f"the log has no transaction between {before:#x} and {zxid:#x}")
            yield record_at(zxid, txn)
            before = zxid

    def promise(self, directory: Path) -> None:
        """Of a term in which nobody has led. Raises OSError."""
        known = self._promises
        # A later one than that of any record: a majority has promised the last epoch, and votes for nobody in
        # it. For who led it has entries with other indices than another who led that term would give.
        term = max(known.accepted, known.current, self._epoch) + 1
        # The state may be that of the epoch before: where one begins, no transaction is.
        base = base_at(self.after, min(self.after, self._applied))
        bases = (base,) if self.after else ()
        RaftKeeper(directory / PROMISES).save(RaftPromises(term, None, bases, known.cluster))


class ToZab:
    """A log that Raft has written."""

    def __init__(self, txn_log: Log, directory: Path, applied: int) -> None:
        """Raises LogGap, LogDamaged, PromisesDamaged, OSError."""
        self._log = txn_log
        self._keeper = RaftKeeper(directory / PROMISES)
        restoring = Incoming(directory).path.exists()
        self._journal = journal = Journal(
            txn_log, self._keeper, applied, lambda command, key: None, restoring=restoring
        )
        within = journal.base.key <= applied <= journal.last.key
        self.after = journal.base.key if within else applied
        self._history = History()
        if self.after:
            self._history.append(self.after)

    def settled(self) -> Iterator[Record]:
        """Whether an entry is committed is for the ensemble to say."""
        return iter(())

    def records(self) -> Iterator[Record]:
        """The transactions of all entries. Raises LogDamaged, Malformed, OSError."""
        for key, payload in self._log.read(self._journal.base.key):
            for zxid, txn in records_of(command_of(payload), key):
                if zxid > self.after:
                    self._history.append(zxid)
                    yield zxid, txn

    def promise(self, directory: Path) -> None:
        """As if the epoch that the log's last entry is of had begun with all before it. Raises OSError."""
        known = self._keeper.promises
        current = self._journal.last.term
        accepted = max(known.term, current)
        promises = ZabPromises(accepted, current, self._history.tails, known.cluster)
        ZabKeeper(directory / PROMISES).save(promises)
