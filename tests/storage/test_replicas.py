"""The same transactions make the same state, answers and events, wherever and whenever it was flushed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.storage import ops
from znoded.storage.engine import Engine, open_engine
from znoded.storage.jute import LONG
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.writes import Event, Writes, transaction

from .histories import Draws, set_quota
from .requests import SUPER
from .rows import rows

Applied: TypeAlias = tuple[tuple[int, bytes], list[Event]]


def transaction_of(draws: Draws, there: list[bytes]) -> bytes:
    """One of a client, or of the servers themselves."""
    random = draws.random
    time, session = random.randrange(200), random.randint(1, 2)
    often, seldom = ["request"] * 18 + ["multi"] * 9 + ["open"] * 6, ["close", "expire", "lead", "quota"]
    kind = random.choice(often + seldom)
    if kind == "open":
        return transaction(ops.CREATE_SESSION, Session(session, 9, bytes(16)).encode(), time=time)
    if kind == "close":
        return transaction(ops.CLOSE_SESSION, b"", session=session, time=time)
    if kind == "expire":
        return transaction(ops.CLOSE_SESSION, LONG.pack(random.randrange(3)) + LONG.pack(session), time=time)
    if kind == "lead":
        return transaction(ops.LEAD, LONG.pack(random.randrange(2)), time=time)
    if kind == "quota":
        return set_quota(b"/a", 3, -1).transaction(identities=SUPER)
    sender = draws.sender({1, 2})
    request = draws.multi(there) if kind == "multi" else draws.request(there)
    return request.transaction(
        session=sender.session, time=time, flags=sender.flags, identities=sender.identities
    )


class Server:
    """Applies; flushes and restarts when told."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.log: list[bytes] = []
        self.heard: list[Applied] = []
        self.open()

    def open(self) -> None:
        self.state = State(self.engine)
        self.writes = Writes(self.state)
        for zxid in range(self.state.zxid + 1, len(self.log) + 1):
            again = self.writes.apply(zxid, self.log[zxid - 1]), self.writes.events[:]
            assert again == self.heard[zxid - 1]

    def apply(self, txn: bytes) -> None:
        self.log.append(txn)
        self.heard.append((self.writes.apply(len(self.log), txn), self.writes.events[:]))

    def flush(self) -> None:
        self.engine.commit(self.state.freeze())
        self.state.table.flushed()

    def fail_to_flush(self) -> None:
        self.state.freeze()
        self.state.table.unfreeze()

    def rows(self) -> dict[bytes, bytes]:
        self.flush()
        return {key: value for first in b"aemnqst" for key, value in self.engine.scan(bytes([first]))}


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.integers(1, 100))
def test_replicas_agree_to_the_byte(seed: int, length: int) -> None:
    draws = Draws(seed)
    with TemporaryDirectory() as directory:
        one, other = Server(MemoryEngine(Path())), Server(open_engine("lmdb", Path(directory)))
        for session in (1, 2):
            for server in (one, other):
                server.apply(transaction(ops.CREATE_SESSION, Session(session, 9, bytes(16)).encode()))
        for _ in range(length):
            txn = transaction_of(draws, sorted(key[4:] for key in rows(one.state) if key.startswith(b"n")))
            one.apply(txn)
            other.apply(txn)
            then = draws.random.randrange(12)
            if then == 0:
                other.flush()
            elif then == 1:
                other.fail_to_flush()
            elif then == 2:
                other.open()
        assert one.heard == other.heard
        assert one.rows() == other.rows()
        other.engine.close()
