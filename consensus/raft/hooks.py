"""What the library takes for its network and for its log, in its own names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, overload

from .messages import Entry


class Journal(Protocol):
    """The log as the library reads and writes it, by positions: the first entry that is held has 0. There
    always is one, if only the place where the log begins. Slices may end early, but hold at least two
    entries, where there are two."""

    @property
    def term(self) -> int:
        """The current term, on disk."""
        ...

    @property
    def vote(self) -> int | None:
        """To whom it went."""
        ...

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, position: int) -> Entry: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Entry]: ...
    def add(self, command: bytes, index: int, term: int) -> None:
        """The next entry, which must be on disk before anybody hears of it."""
        ...

    def promise(self, term: int, vote: int | None) -> None:
        """A term and a vote, on disk when this returns. Raises OSError."""
        ...


class Transport:
    """What the library takes for its network."""

    ready = True
    received: Callable[[Any, dict[str, Any]], None]
    """The library's own ends, from here on: a message came, a peer is there, or gone; and so of observers."""
    connected: Callable[[Any], None]
    disconnected: Callable[[Any], None]
    reader_connected: Callable[[Any], None]
    reader_disconnected: Callable[[Any], None]

    def __init__(self, carry: Callable[[Any, dict[str, Any]], None]) -> None:
        self._carry = carry

    def send(self, node: Any, message: dict[str, Any]) -> bool:
        self._carry(node, message)
        return True

    def setOnMessageReceivedCallback(self, callback: Callable[[Any, dict[str, Any]], None]) -> None:
        self.received = callback

    def setOnNodeConnectedCallback(self, callback: Callable[[Any], None]) -> None:
        self.connected = callback

    def setOnNodeDisconnectedCallback(self, callback: Callable[[Any], None]) -> None:
        self.disconnected = callback

    def setOnReadonlyNodeConnectedCallback(self, callback: Callable[[Any], None]) -> None:
        self.reader_connected = callback

    def setOnReadonlyNodeDisconnectedCallback(self, callback: Callable[[Any], None]) -> None:
        self.reader_disconnected = callback

    def setOnUtilityMessageCallback(self, kind: str, callback: Callable[..., None]) -> None:
        """Nobody asks by these."""

    def destroy(self) -> None:
        """It holds nothing."""


class Log:
    """What the library takes for its log. It is told of no cut: the library cuts whatever follows an append,
    also what it has acknowledged, and takes it again from there; who hears the append has cut already what
    is of another term."""

    def __init__(self, journal: Journal, applied: int) -> None:
        self._journal = journal
        self._applied = applied
        self.begins = 0
        """So many entries that come are those at which a state stands."""

    def __len__(self) -> int:
        return len(self._journal)

    def __getitem__(self, position: Any) -> Any:
        return self._journal[position]

    def add(self, command: bytes, index: int, term: int) -> None:
        if self.begins:
            self.begins -= 1
        else:
            self._journal.add(command, index, term)

    def getCurrentTerm(self) -> int:
        return self._journal.term

    def getVotedForNodeId(self) -> str | None:
        vote = self._journal.vote
        return None if vote is None else str(vote)

    def setCurrentTerm(self, term: int, vote: str | None) -> None:
        self._journal.promise(term, None if vote is None else int(vote))

    def getRaftCommitIndex(self) -> int:
        return self._applied

    def setRaftCommitIndex(self, index: int) -> None:
        """It is found out again after a start."""

    def deleteEntriesFrom(self, position: int) -> None:
        """What is to be cut is."""

    def clear(self) -> None:
        """It begins where the state stands."""

    def onOneSecondTimer(self) -> None:
        """Nothing is due."""

    def _destroy(self) -> None:
        """It goes on."""
