"""Under any history, flushes and restarts included, the state is what a naive model of ZooKeeper says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from znoded.storage import ops
from znoded.storage.acl import ALL, READ, WRITE, Acl, Identity
from znoded.storage.jute import LONG
from znoded.storage.memory_engine import MemoryEngine
from znoded.storage.reads import Reads
from znoded.storage.session import Session
from znoded.storage.state import State
from znoded.storage.watches import Watches
from znoded.storage.writes import ENFORCE_QUOTA, EXTENDED_TYPES, Writes, transaction

from .model import Model, Sender
from .requests import OPEN, SUPER, Request, buffer, vector
from .rows import rows

SIZES: Final = st.sampled_from([None, b"", b"x", b"some more", b"0123456789" * 3])
NEW: Final = [
    top + name
    for top in (b"", b"/a", b"/a/b", b"/c", b"/a/s0000000000")
    for name in (b"/a", b"/b", b"/s", b"/c")
]
BAD: Final = [
    b"",
    b"a",
    b"a/b",
    b"/a/",
    b"//",
    b"/a/..",
    b"/\xff",
    b"/a\0",
    b"/none/a",
    b"/a/b/c/none/d",
    b"/zookeeper",
]
MINE: Final[tuple[Identity, ...]] = (("ip", "10.0.0.1"), ("digest", "me:hash"))
ACLS: Final = [
    (Acl(READ, "world", "anyone"),),
    (Acl(ALL, "digest", "me:hash"),),
    (Acl(ALL, "auth", ""),),
    (Acl(WRITE | READ, "ip", "10.0.0.1"), Acl(ALL, "digest", "you:hash")),
    (Acl(ALL, "world", "anyone"), Acl(ALL, "world", "anyone")),
    (Acl(ALL, "nobody", "knows"),),
    (),
]
Event: TypeAlias = tuple[int, bytes]


class Asker:
    """A client that may read everything, and one session's if told which."""

    def __init__(self, session_id: int = 0) -> None:
        self.session_id = session_id
        self.identities = SUPER

    def event(self, kind: int, path: bytes, zxid: int) -> None:
        raise AssertionError("nobody watches here")


@st.composite
def requests(draw: st.DrawFn, there: list[bytes], *, parts: bool = False) -> Request:
    """A request that means something more often than not; parts: one that a multi may hold."""
    kinds = [ops.CREATE] * 3 + [ops.CREATE2] * 2 + [ops.CREATE_CONTAINER, ops.CREATE_TTL]
    kinds += [ops.DELETE] * 2 + [ops.SET_DATA] * 2 + [ops.CHECK]
    op = draw(st.sampled_from(kinds if parts else [*kinds, ops.SET_ACL, ops.SET_ACL, ops.DELETE_CONTAINER]))
    usual = {ops.CREATE_TTL: 5, ops.CREATE_CONTAINER: 4}.get(op)
    flags = (
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7])
        if usual is None
        else st.sampled_from([usual] * 4 + [0, 2, 6])
    )
    return Request(
        op,
        draw(st.sampled_from((NEW + there) * 3 + BAD)),
        draw(SIZES),
        draw(st.sampled_from([OPEN] * 12 + ACLS)),
        draw(flags),
        draw(st.sampled_from([-2, -1, 0, 1, 50, 50, 50, (1 << 40) - 1, 1 << 40])),
        draw(st.sampled_from([-1, -1, -1, 0, 1])),
    )


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

    def draw_sender(self, data: st.DataObject) -> Sender:
        known = sorted(self.model.sessions) or [77]
        identities: list[tuple[Identity, ...]] = [MINE, MINE, MINE, (("ip", "10.0.0.2"),), SUPER]
        return Sender(
            data.draw(st.sampled_from(known * 5 + [77])),
            data.draw(st.sampled_from(identities)),
            data.draw(
                st.sampled_from([ENFORCE_QUOTA | EXTENDED_TYPES] * 3 + [ENFORCE_QUOTA, EXTENDED_TYPES])
            ),
        )

    def there(self) -> list[bytes]:
        return sorted(path for path in self.model.nodes if not path.startswith(b"/zookeeper/quota/"))

    @initialize()
    def a_first_session(self) -> None:
        self.open_session(1)

    @rule(data=st.data())
    def request(self, data: st.DataObject) -> None:
        self.ask(self.draw_sender(data), data.draw(requests(self.there())))

    @rule(data=st.data())
    def several_requests(self, data: st.DataObject) -> None:
        for _ in range(4):
            self.ask(self.draw_sender(data), data.draw(requests(self.there())))

    @rule(data=st.data())
    def multi(self, data: st.DataObject) -> None:
        parts = data.draw(st.lists(requests(self.there(), parts=True), max_size=5))
        self.ask(self.draw_sender(data), Request(ops.MULTI, parts=tuple(parts)))

    @rule(top=st.sampled_from([b"/a", b"/b", b"/c"]), limit=st.integers(-1, 4), spoilt=st.booleans())
    def set_quota(self, top: bytes, limit: int, spoilt: bool) -> None:
        at = b"/zookeeper/quota" + top
        if at in self.model.nodes:
            parts = [
                Request(ops.DELETE, at + b"/zookeeper_stats"),
                Request(ops.DELETE, at + b"/zookeeper_limits"),
                Request(ops.DELETE, at),
            ]
        else:
            text = b"count=-1,bytes=-1=;byteHardLimit=%d;countHardLimit=%d" % (limit * 10, limit)
            parts = [
                Request(ops.CREATE, at),
                Request(ops.CREATE, at + b"/zookeeper_limits", text),
                Request(ops.CREATE2, at + b"/zookeeper_stats"),
            ]
        if spoilt:
            parts.append(Request(ops.CHECK, b"/none"))
        self.ask(Sender(identities=SUPER), Request(ops.MULTI, parts=tuple(parts)))

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
TestHistory.settings = settings(max_examples=60, stateful_step_count=40)
