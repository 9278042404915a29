"""Several changes as one: all are made, or none (ZooKeeper's multi)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from ..storage.acl import Acl
from .connection import Arguments
from .requests import create_arguments, versioned, with_data
from .values import Created, Stat

Operation: TypeAlias = tuple[str, Arguments, str]
"""Name, arguments, and the path as the caller gave it."""
Result: TypeAlias = Created | Stat | None
"""Of a create, a set; of a delete and a check there is none."""


class FullPath(Protocol):
    """A path below the chroot, checked; sequential: a number will stand behind it."""

    def __call__(self, path: str, sequential: bool = False, /) -> str: ...


class Operations:
    """Gathers what is to be done; results, of each in order, are there once it is committed."""

    def __init__(self, full: FullPath) -> None:
        self.results: list[Result] = []
        self.gathered: list[Operation] = []
        self.full = full

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        acl: Sequence[Acl] | None = None,
        ephemeral: bool = False,
        sequential: bool = False,
        container: bool = False,
        ttl: float | None = None,
    ) -> Self:
        """As Client.create."""
        return self._add(
            "create",
            create_arguments(self.full(path, sequential), data, acl, ephemeral, sequential, container, ttl),
            path,
        )

    def set(self, path: str, data: bytes, version: int = -1) -> Self:
        """As Client.set."""
        return self._add("set", with_data(versioned(self.full(path), version), data), path)

    def delete(self, path: str, version: int = -1) -> Self:
        """As Client.delete of one znode."""
        return self._add("delete", versioned(self.full(path), version), path)

    def check(self, path: str, version: int = -1) -> Self:
        """Only go on if the znode is there, in that version of its data (-1: in any)."""
        return self._add("check", versioned(self.full(path), version), path)

    def _add(self, name: str, arguments: Arguments, path: str) -> Self:
        self.gathered.append((name, arguments, path))
        return self


class Transaction(Operations):
    """`commit`, or leaving `async with` without an error, has all done that was gathered."""

    def __init__(
        self, commit: Callable[[Sequence[Operation], float | None], Awaitable[list[Result]]], full: FullPath
    ) -> None:
        super().__init__(full)
        self._commit = commit

    async def commit(self, *, timeout: float | None = None) -> list[Result]:
        """Have all done; TransactionFailed if one is refused. Gathers anew from then on."""
        operations = self.gathered.copy()
        self.gathered.clear()
        self.results = await self._commit(operations, timeout)
        return self.results

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.commit()
