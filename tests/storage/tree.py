"""A state to try requests on, with one session open."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Final

from znoded.storage import ops
from znoded.storage.acl import Acl, Identity
from znoded.storage.engine import Engine
from znoded.storage.errors import Code
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES, Writes, transaction
from znoded.storage.znode import Stat, data_of, stat_of

from .requests import OPEN, Answer, Request
from .rows import rows

SESSION: Final = 7
ME: Final[tuple[Identity, ...]] = (("ip", "127.0.0.1"), ("digest", "me:hash"))
ALL_FLAGS: Final = ENFORCE_QUOTA | EXTENDED_TYPES


class Tree:
    """Every request becomes the next transaction; zxid 1 opened the session. time is in ms."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.state = State(engine or MemoryEngine(Path()))
        self.writes = Writes(self.state)
        self.zxid = self.state.zxid
        self.time = 1000
        self.flags = ALL_FLAGS
        self.identities = ME
        if SESSION not in self.state.sessions:
            self.open(SESSION)

    def apply(self, txn: bytes) -> tuple[int, bytes]:
        self.zxid += 1
        return self.writes.apply(self.zxid, txn)

    def ask(self, request: Request, session: int = SESSION) -> Answer | Code:
        """The answer, or the code of the refusal."""
        txn = request.transaction(
            session=session, time=self.time, flags=self.flags, identities=self.identities
        )
        error, body = self.apply(txn)
        return Code(error) if error else request.answer(body)

    def create(
        self,
        path: bytes,
        data: bytes | None = b"",
        *,
        acl: tuple[Acl, ...] = OPEN,
        flags: int = 0,
        session: int = SESSION,
    ) -> Answer | Code:
        return self.ask(Request(ops.CREATE, path, data, acl, flags), session)

    def create_ttl(self, path: bytes, ttl: int, flags: int = 5) -> Answer | Code:
        return self.ask(Request(ops.CREATE_TTL, path, flags=flags, ttl=ttl))

    def create_container(self, path: bytes) -> Answer | Code:
        return self.ask(Request(ops.CREATE_CONTAINER, path, flags=4))

    def delete(self, path: bytes, version: int = -1) -> Answer | Code:
        return self.ask(Request(ops.DELETE, path, version=version))

    def set(self, path: bytes, data: bytes | None, version: int = -1) -> Answer | Code:
        return self.ask(Request(ops.SET_DATA, path, data, version=version))

    def set_acl(self, path: bytes, *acl: Acl, version: int = -1) -> Answer | Code:
        return self.ask(Request(ops.SET_ACL, path, acl=acl, version=version))

    def check(self, path: bytes, version: int) -> Answer | Code:
        return self.ask(Request(ops.CHECK, path, version=version))

    def multi(self, *parts: Request) -> Answer | Code:
        return self.ask(Request(ops.MULTI, parts=parts))

    def reap(self, path: bytes) -> Answer | Code:
        return self.ask(Request(ops.DELETE_CONTAINER, path), 0)

    def open(self, session: int) -> None:
        self.apply(transaction(ops.CREATE_SESSION, Session(session, 30_000, bytes(16)).encode()))

    def close(self, session: int) -> None:
        self.apply(transaction(ops.CLOSE_SESSION, b"", session=session))

    def restart(self) -> Tree:
        """A server that starts after a flush of all there is."""
        table = self.state.table
        table.engine.commit(self.state.freeze())
        table.flushed()
        return Tree(table.engine)

    def stat(self, path: bytes) -> Stat:
        return stat_of(self.state.existing(path))

    def data(self, path: bytes) -> bytes | None:
        return data_of(self.state.existing(path))

    def acl(self, path: bytes) -> tuple[Acl, ...]:
        record = self.state.existing(path)
        return tuple(self.state.acl(int.from_bytes(record[-9:-5])))

    def children(self, path: bytes) -> Set[bytes]:
        return set(self.state.children(path))

    def events(self) -> list[tuple[int, bytes]]:
        """Of the last transaction: kind and path."""
        return [event[:2] for event in self.writes.events]

    def paths(self) -> list[bytes]:
        """Of every znode."""
        return [key[4:] for key in rows(self.state) if key.startswith(b"n")]

    def everything(self) -> object:
        """What must not change when nothing was done."""
        state = self.state
        return rows(state), state.counters(), set(state.quotas), dict(state.sessions)
