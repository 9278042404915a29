"""The log against a list: whatever is done to it, it holds what a list would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from znoded.storage.log import Log, LogGap

SEGMENT = 1536


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp(prefix="znoded-log-"))
        self.log = Log(self.directory, segment_size=SEGMENT)
        self.durable: list[tuple[int, bytes]] = []
        self.pending: list[tuple[int, bytes]] = []

    def last(self) -> int:
        """The zxid that the next record comes after: a record's, or that behind which the log begins."""
        held = self.durable + self.pending
        return held[-1][0] if held else self.log.first_zxid - 1

    @rule(
        steps=st.lists(st.sampled_from([1, 1, 1, 2, 1 << 32]), min_size=1, max_size=6),
        size=st.integers(0, 700),
        fill=st.binary(max_size=4),
    )
    def append(self, steps: list[int], size: int, fill: bytes) -> None:
        for step in steps:
            record = (self.last() + step, (fill * 300)[:size])
            self.log.append(*record)
            self.pending.append(record)

    @rule(size=st.integers(0, 700))
    def append_and_sync(self, size: int) -> None:
        self.append([1, 1], size, b"word")
        self.sync()

    @rule()
    def sync(self) -> None:
        self.durable += self.pending
        self.pending = []
        assert self.log.sync() == self.last()

    @rule()
    def rollback(self) -> None:
        self.pending = []
        self.log.rollback()

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        self.sync()
        zxids = [self.log.first_zxid - 1] + [zxid for zxid, _ in self.durable]
        after = data.draw(st.sampled_from(zxids)) + data.draw(st.integers(0, 1))
        self.log.truncate(after)
        self.durable = [record for record in self.durable if record[0] <= after]

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        before = data.draw(st.integers(0, len(self.durable)))
        zxid = self.durable[before - 1][0] if before else 0
        self.log.drop(zxid)
        first = self.log.first_zxid
        assert first <= max(zxid, 1) or not before
        self.durable = [record for record in self.durable if record[0] >= first]

    @rule(after=st.integers(0, 1 << 40))
    def restart(self, after: int) -> None:
        self.durable, self.pending = [], []
        self.log.restart(after)
        assert self.log.first_zxid == after + 1

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = Log(self.directory, segment_size=SEGMENT)
        assert self.log.cut == 0
        self.pending = []

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        first = self.log.first_zxid - 1
        assert list(self.log.read(first)) == self.durable
        assert self.log.last_zxid == self.last()
        if self.durable:
            middle = self.durable[len(self.durable) // 2][0]
            assert list(self.log.read(middle)) == [record for record in self.durable if record[0] > middle]
        if first:
            self.refuses(self.log.read, first - 1)
            self.refuses(self.log.truncate, first - 1)

    def refuses(self, call: Callable[[int], object], zxid: int) -> None:
        try:
            call(zxid)
        except LogGap:
            return
        raise AssertionError("a gap was passed over")

    def teardown(self) -> None:
        self.log.close()
        shutil.rmtree(self.directory)


LogMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestLogAgainstList = LogMachine.TestCase
