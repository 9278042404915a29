"""A subtree's entries, read and made many at a time: what export, import and cp share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..errors import NoAuth, NodeExists, OutcomeUnknown
from .archive import Entry
from .subtree import below, each, without_system

if TYPE_CHECKING:
    from ..client import Client

T = TypeVar("T", bound=Callable[..., Any])


_HIDDEN: Final = ("digest", "x")
"""A hash that is only shown to who may change the ACL."""


class Existing(StrEnum):
    """What is done with a znode that is there already."""

    REFUSE = "refuse"
    UPDATE = "update"
    SKIP = "skip"


class Outcome(StrEnum):
    """What was done."""

    MADE = "made"
    UPDATED = "updated"
    SKIPPED = "skipped"


def existing_options(body: T) -> T:
    """The options that say it."""
    update = click.option(
        "--update",
        "existing",
        flag_value=Existing.UPDATE,
        type=click.UNPROCESSED,
        help="Change znodes that are there already.",
    )
    skip = click.option(
        "--skip",
        "existing",
        flag_value=Existing.SKIP,
        type=click.UNPROCESSED,
        help="Leave znodes that are there already as they are.",
    )
    return update(skip(body))


def told(outcomes: Counter[Outcome]) -> str:
    """How many znodes were made, and what else was done."""
    said = f"{outcomes[Outcome.MADE]:,} znodes"
    for outcome in (Outcome.UPDATED, Outcome.SKIPPED):
        if outcomes[outcome]:
            said += f", {outcome} {outcomes[outcome]:,}"
    return said


class Filling:
    """outcomes: how many znodes were made, updated, skipped."""

    def __init__(self, client: Client, root: str, existing: Existing) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._client = client
        self._root = root
        self._existing = existing

    async def begin(self) -> None:
        """Make what is above the root, where it is missing. NodeExists, if there may be no root yet."""
        if self._root == "/":
            return
        if self._existing is Existing.REFUSE and await self._client.exists(self._root) is not None:
            raise NodeExists(self._root)
        await self._client.ensure_path(self._root.rpartition("/")[0] or "/")

    async def take(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        """Make these, in their order. again: an earlier attempt may have made some of them."""
        while True:
            # They are sent in this order, and done in it: a parent before its children.
            tasks = [self._make(entry, again) for entry in entries]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            failed = [each for each in found if isinstance(each, BaseException)]
            if not failed:
                self.outcomes.update(each for each in found if isinstance(each, Outcome))
                return
            if not isinstance(failed[0], OutcomeUnknown):
                raise failed[0]
            again = True

    async def _make(self, entry: Entry, again: bool) -> Outcome:
        path = below(self._root, entry.path) if entry.path else self._root
        try:
            await self._client.create(
                path,
                entry.data,
                acl=entry.acl,
                container=entry.container,
                ttl=entry.ttl / 1000 if entry.ttl is not None else None,
            )
        except NodeExists:
            if self._existing is Existing.UPDATE:
                await self._client.set(path, entry.data)
                if entry.acl is not None:
                    await self._client.set_acl(path, entry.acl)
                return Outcome.UPDATED
            if again and await self._is_made(path, entry):
                return Outcome.MADE
            if self._existing is Existing.SKIP or path == "/":
                return Outcome.SKIPPED
            raise
        return Outcome.MADE

    async def _is_made(self, path: str, entry: Entry) -> bool:
        """Whether it is as an earlier attempt has left it."""
        data, stat = await self._client.get(path)
        return data == entry.data and not stat.version and not stat.ephemeral_owner


class Reading:
    """The entries of a subtree, each after its parent. left_out: how many ephemerals were; bytes: of data
    so far."""

    def __init__(self, client: Client, root: str, *, chroot: str, with_acl: bool) -> None:
        """chroot: the client's."""
        self.left_out = 0
        self.bytes = 0
        self.count = 0
        self._client = client
        self._root = root
        self._chroot = chroot
        self._with_acl = with_acl

    async def entries(self) -> AsyncIterator[Entry]:
        """Those that last; NoNode if there is no root, NoAuth if one may not be read."""
        async for _, entry in each(self._root, self.read):
            if entry is None:
                self.left_out += 1
            else:
                self.count += 1
                self.bytes += len(entry.data)
                yield entry

    async def read(self, path: str) -> tuple[Entry | None, list[str]]:
        """One of them, None of an ephemeral, and the names below it."""
        data, stat = await self._client.get(path)
        if stat.ephemeral_owner:
            return None, []
        acl = None
        if self._with_acl:
            entries, _ = await self._client.acl(path)
            if any((entry.scheme, entry.id.partition(":")[2]) == _HIDDEN for entry in entries):
                raise NoAuth(path)
            acl = tuple(entries)
        names = await self._client.children(path) if stat.num_children else []
        return Entry(path[len(self._root) :].lstrip("/"), data, acl), without_system(
            path, self._chroot, names
        )
