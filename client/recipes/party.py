"""Who takes part in something, as told by ephemerals: Party, ShallowParty."""

from __future__ import annotations

from types import TracebackType
from typing import Self
from uuid import uuid4

from ..client import Client
from .contender import below, names_below, texts
from .presence import Presence


class _BaseParty:
    """`async with` joins; `members` is for everybody."""

    def __init__(self, client: Client, path: str, name: str, data: bytes) -> None:
        self._client = client
        self._path = path
        self._presence = Presence(client, below(path, name), data)

    async def __aenter__(self) -> Self:
        """Join; as long as the client renews its session, its next ones take part, too."""
        await self._presence.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        await self._presence.__aexit__(kind, error, trace)


class Party(_BaseParty):
    """Members, each with an identifier. Layout as kazoo's Party: ephemerals `PATH/UUID__party__`, whose data
    are the identifiers."""

    _KIND = "__party__"

    def __init__(self, client: Client, path: str, identifier: str = "") -> None:
        """identifier: of this member, any text."""
        super().__init__(client, path, uuid4().hex + self._KIND, identifier.encode())

    async def members(self) -> list[str]:
        """Their identifiers, sorted; one for each member, also where they are the same. Raises NoAuth."""
        names = await names_below(self._client, self._path)
        return sorted(await texts(self._client, self._path, (name for name in names if self._KIND in name)))


class ShallowParty(_BaseParty):
    """As Party, with the identifiers in the names: all members are read by one request. Layout as kazoo's
    ShallowParty: ephemerals `PATH/UUID-IDENTIFIER`."""

    def __init__(self, client: Client, path: str, identifier: str = "") -> None:
        """identifier: of this member, without `/`."""
        if "/" in identifier:
            raise ValueError(f"{identifier!r} can't be part of a name: it has a /")
        super().__init__(client, path, f"{uuid4().hex}-{identifier}", identifier.encode())

    async def members(self) -> list[str]:
        """Their identifiers, sorted; one for each member, also where they are the same. Raises NoAuth."""
        return sorted(map(identifier_of, await names_below(self._client, self._path)))


def identifier_of(name: str) -> str:
    """That of a shallow party's member, from its znode's name."""
    return name.partition("-")[2]
