"""Under any history, flushes and restarts included, the state is what a naive model of ZooKeeper says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from znoded.storage import ops
from znoded.storage.jute import LONG
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.reads import Reads
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.watches import Watches
from znoded.storage.writes import Writes, transaction

from .histories import Draws, del_quota, set_quota
from .model import Model, Sender
from .requests import SUPER, Request, buffer, vector
from .rows import rows

Event: TypeAlias = tuple[int, bytes]
SEEDS: Final = st.integers(0, 1 << 32)


class Asker:
    """A client that may read everything, and one session's if told which."""

    def __init__(self, session_id: int = 0) -> None:
        self.session_id = session_id
        self.identities = SUPER

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        raise AssertionError("nobody watches here")


class History(RuleBasedStateMachine):
    """Transactions as a server applies them, beside flushes that take their time, fail, or end in a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = MemoryEngine(Path())
        self.model = Model()
        self.now = 1000
        self.zxid = 0
        self.log: list[tuple[int, bytes, tuple[int, bytes], list[Event]]] = []
        self.begun: tuple[int, Mapping[bytes, bytes | None]] | None = None
        self.stored = 0
        self.open()

    def open(self) -> None:
        self.state = State(self.engine)
        self.writes = Writes(self.state)
        self.reads = Reads(self.state, Watches()).handlers

    # transactions

    def apply(self, txn: bytes) -> tuple[int, bytes]:
        before = rows(self.state), self.state.counters(), set(self.state.quotas)
        self.zxid += 1
        answer = self.writes.apply(self.zxid, txn)
        events = [event[:2] for event in self.writes.events]
        self.log.append((self.zxid, txn, answer, events))
        if answer[0]:
            assert (rows(self.state), self.state.counters(), set(self.state.quotas)) == before
            assert events == []
        return answer

    def ask(self, sender: Sender, request: Request) -> None:
        before = rows(self.state), self.state.counters(), set(self.state.quotas)
        txn = request.transaction(
            session=sender.session, time=self.now, flags=sender.flags, identities=sender.identities
        )
        error, body = self.apply(txn)
        expected = self.model.apply(self.zxid, self.now, sender, request)
        assert (error, None if error else request.answer(body)) == expected
        assert sorted(self.log[-1][3]) == sorted(self.model.events)
        if isinstance(expected[1], list) and any(isinstance(result, int) for result in expected[1]):
            assert (rows(self.state), self.state.counters(), set(self.state.quotas)) == before

    def there(self) -> list[bytes]:
        return sorted(path for path in self.model.nodes if not path.startswith(b"/zookeeper/quota/"))

    @initialize(limit=st.integers(-1, 4))
    def a_first_session_and_a_quota(self, limit: int) -> None:
        self.open_session(1)
        self.change_quota(b"/a", limit, spoilt=False)

    @rule(seed=SEEDS, count=st.integers(1, 40), multis=st.booleans())
    def requests(self, seed: int, count: int, multis: bool) -> None:
        draws = Draws(seed)
        for _ in range(count):
            request = draws.multi(self.there()) if multis else draws.request(self.there())
            self.ask(draws.sender(self.model.sessions), request)

    @rule(top=st.sampled_from([b"/a", b"/b", b"/c"]), limit=st.integers(-1, 4), spoilt=st.booleans())
    def change_quota(self, top: bytes, limit: int, spoilt: bool) -> None:
        there = b"/zookeeper/quota" + top in self.model.nodes
        request = del_quota(top) if there else set_quota(top, limit, limit * 10)
        if spoilt:
            request = replace(request, parts=(*request.parts, Request(ops.CHECK, b"/none")))
        self.ask(Sender(identities=SUPER), request)

    @rule(session=st.integers(1, 4))
    def open_session(self, session: int) -> None:
        if session not in self.model.sessions:
            txn = transaction(ops.CREATE_SESSION, Session(session, 9, bytes(16)).encode(), time=self.now)
            assert self.apply(txn) == (0, b"")
            self.model.begin(self.zxid, self.now)
            self.model.sessions.add(session)

    @rule(data=st.data())
    def close_session(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.model.sessions) or [77]))
        answer = self.apply(transaction(ops.CLOSE_SESSION, b"", session=session, time=self.now))
        self.model.begin(self.zxid, self.now)
        if session in self.model.sessions:
            assert answer == (0, b"")
            self.model.close(session)
        assert sorted(self.log[-1][3]) == sorted(self.model.events)

    @rule(session=st.integers(1, 4), generation=st.integers(0, 3))
    def expire_session(self, session: int, generation: int) -> None:
        body = LONG.pack(generation) + LONG.pack(session)
        assert self.apply(transaction(ops.CLOSE_SESSION, body, time=self.now)) == (0, b"")
        self.model.begin(self.zxid, self.now)
        self.model.expire(session, generation)
        assert sorted(self.log[-1][3]) == sorted(self.model.events)

    @rule(generation=st.integers(1, 3))
    def lead(self, generation: int) -> None:
        self.apply(transaction(ops.LEAD, LONG.pack(generation), time=self.now))
        self.model.begin(self.zxid, self.now)
        self.model.generation = max(self.model.generation, generation)

    @rule(step=st.sampled_from([-30, 1, 20, 100]))
    def time_goes_by(self, step: int) -> None:
        self.now += step

    # flushes and restarts

    @precondition(lambda self: self.begun is None)
    @rule()
    def begin_flush(self) -> None:
        self.begun = self.zxid, self.state.freeze()

    @precondition(lambda self: self.begun is not None)
    @rule(works=st.sampled_from([True, True, False]))
    def end_flush(self, works: bool) -> None:
        if works:
            self.commit()
            self.state.table.flushed()
        else:
            self.state.table.unfreeze()
        self.begun = None

    def commit(self) -> None:
        assert self.begun is not None
        self.stored, frozen = self.begun
        self.engine.commit(frozen)

    @rule(committed=st.booleans())
    def crash_and_restart(self, committed: bool) -> None:
        """The engine holds the last flush; the log holds the rest."""
        if self.begun is not None and committed:
            self.commit()
            self.engine.refresh()
        self.begun = None
        self.open()
        assert self.state.zxid == self.stored
        for zxid, txn, answer, events in self.log:
            if zxid > self.stored:
                assert self.writes.apply(zxid, txn) == answer
                assert [event[:2] for event in self.writes.events] == events

    # the whole state

    @invariant()
    def every_znode_is_as_the_model_says(self) -> None:
        asker = Asker()
        nodes = {key[4:] for key in rows(self.state) if key.startswith(b"n")}
        assert nodes == self.model.nodes.keys()
        for path, node in self.model.nodes.items():
            record = self.reads[ops.GET_DATA](asker, buffer(path) + b"\0")
            data = buffer(self.model.data(path))
            assert record[:-68] == data
            assert Request(ops.EXISTS).answer(record[-68:]) == self.model.stat(path)
            assert self.reads[ops.EXISTS](asker, buffer(path) + b"\0") == record[-68:]
            assert self.reads[ops.GET_ACL](asker, buffer(path)) == vector(node.acl) + record[-68:]
            assert set(self.state.children(path)) == self.model.children(path)

    @invariant()
    def the_sums_are_as_counted_from_scratch(self) -> None:
        model, state = self.model, self.state
        assert state.node_count == len(model.nodes)
        assert state.data_size == model.size()
        assert state.sessions.keys() == model.sessions
        assert state.ephemeral_count == sum(len(model.ephemerals(session)) for session in model.sessions)
        for session in model.sessions:
            assert state.ephemerals(session) == model.ephemerals(session)
        for path in (b"/", b"/a", b"/a/b"):
            if path in model.nodes:
                assert state.count_below(path) == len(model.below(path)) - 1
        mortal = [path for path, node in model.nodes.items() if node.ttl is not None]
        assert sorted(state.mortals()) == sorted(mortal)
        assert (state.zxid, state.time, state.generation) == (model.zxid, model.time, model.generation)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=150, stateful_step_count=40)
