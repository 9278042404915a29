"""PySyncObj alone: a server of three over a list and nobody, and a record of all that it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pysyncobj.syncobj as syncobj
from pysyncobj.config import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

NO_OP = b"\x01"
RAW = b"\x04"
"""How a command begins that the library does nothing with."""


def moved(what: str) -> str:
    """What a test says of a library that it no longer fits."""
    return f"PySyncObj {VERSION}: {what}"


class Clock:
    """The library's time and dice."""

    def __init__(self) -> None:
        self.now = 1.0

    @contextmanager
    def rules(self, seed: int = 1) -> Iterator[None]:
        """For the library, in this block."""
        before = syncobj.monotonicTime, syncobj.random
        syncobj.monotonicTime, syncobj.random = lambda: self.now, Random(seed)
        try:
            yield
        finally:
            syncobj.monotonicTime, syncobj.random = before


class Bare:
    """A server, its log and its network in one; all that the library asks of either is in happened."""

    ready = True

    def __init__(
        self,
        clock: Clock,
        directory: Path,
        *,
        entries: list[tuple[bytes, int, int]] | None = None,
        term: int = 0,
        vote: str | None = None,
        applied: tuple[int, int] = (1, 0),
        observer: bool = False,
    ) -> None:
        self.clock = clock
        self.entries = entries or [(NO_OP, 1, 0)]
        self.term, self.vote = term, vote
        self.applied = applied
        self.most = 1 << 30
        """Entries of a slice."""
        self.quiet: set[int] = set()
        """To whom a message ends the connection."""
        self.happened: list[tuple[Any, ...]] = []
        self.states: list[int] = []
        self.nodes = {peer: Node(str(peer)) for peer in (1, 2, 3, 9)}
        self.ends: dict[str, Any] = {}
        (directory / "installed").touch()
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=0.05,
            appendEntriesBatchSizeBytes=1 << 60,
            commandsQueueSize=1 << 60,
            commandsWaitLeader=False,
            deserializer=self.position,
            fullDumpFile=str(directory / "installed"),
            leaderFallbackTimeout=1.0,
            logCompactionMinEntries=1 << 60,
            logCompactionMinTime=1 << 60,
            onStateChanged=lambda _, state: self.states.append(state),
            raftMinTimeout=0.2,
            raftMaxTimeout=0.4,
            serializer=lambda *_: None,
        )
        others = [self.nodes[peer] for peer in ((1, 2, 3) if observer else (2, 3))]
        create, syncobj.createJournal = syncobj.createJournal, lambda _: self
        syncobj.PIPE_NOTIFIER_ENABLED = False
        try:
            self.raft = syncobj.SyncObj(None if observer else self.nodes[1], others, conf, transport=self)
        finally:
            syncobj.createJournal = create

    def position(self, path: str) -> tuple[Any, Any, list[Any]]:
        index, term = self.applied
        self.happened.append(("position", Path(path).name))
        return (NO_OP, index, term), (NO_OP, index - 1, term), []

    # What is done to it.

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        self.raft.doTick()

    def say(self, peer: int, kind: str, **fields: Any) -> None:
        self.ends["MessageReceived"](self.nodes[peer], {"type": kind, **fields})

    def append(self, peer: int, term: int, prev: tuple[int, int], *entries: tuple[bytes, int, int]) -> None:
        at = {"prevLogIdx": prev[0], "prevLogTerm": prev[1], "entries": list(entries)}
        self.say(peer, "append_entries", term=term, commit_index=0, **at)

    def lead(self) -> None:
        """Be elected, by server 2."""
        for peer in (2, 3):
            self.ends["NodeConnected"](self.nodes[peer])
        self.tick(0.5)
        self.say(2, "response_vote", term=self.raft.raftCurrentTerm)
        assert self.states[-1] == 2, moved("a majority's votes no longer make a leader")

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a kind, with their peer under `to`."""
        return [{"to": peer, **rest} for what, peer, rest in self._sends() if what == kind]

    def _sends(self) -> list[tuple[str, int, dict[str, Any]]]:
        return [(one[2]["type"], one[1], one[2]) for one in self.happened if one[0] == "send"]

    # What it does to its network.

    def __getattr__(self, name: str) -> Any:
        if name.startswith("setOn") and name.endswith("Callback"):
            return lambda *given: self.ends.__setitem__(name[5:-8], given[-1])
        raise AttributeError(name)

    def send(self, node: Any, message: dict[str, Any]) -> bool:
        self.happened.append(("send", int(node.id), message))
        if int(node.id) in self.quiet:
            self.ends["NodeDisconnected"](node)
        return True

    def destroy(self) -> None: ...

    # And to its log.

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return self.entries[at][: self.most]
        return self.entries[at]

    def add(self, command: bytes, index: int, term: int) -> None:
        self.happened.append(("add", index, term))
        if index > self.entries[-1][1]:
            self.entries.append((command, index, term))

    def clear(self) -> None:
        self.happened.append(("clear",))

    def deleteEntriesFrom(self, position: int) -> None:
        self.happened.append(("cut", position))

    def deleteEntriesTo(self, position: int) -> None:
        raise AssertionError(moved("it compacts the log"))

    def setCurrentTerm(self, term: int, vote: Any) -> None:
        self.happened.append(("promise", term, vote))
        self.term, self.vote = term, vote

    def getCurrentTerm(self) -> int:
        return self.term

    def getVotedForNodeId(self) -> Any:
        return self.vote

    def setRaftCommitIndex(self, index: int) -> None: ...

    def getRaftCommitIndex(self) -> int:
        return self.applied[0]

    def onOneSecondTimer(self) -> None: ...

    def _destroy(self) -> None: ...
