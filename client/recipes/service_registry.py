"""Services by name, each with the instances that serve it now: ServiceRegistry."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias, TypeVar, cast
from uuid import uuid4

from ..client import Client
from ..errors import NoNode
from .contender import below, names_below
from .presence import Presence
from .watching import ValueWatch

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

T = TypeVar("T")

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class ServiceInstance:
    """One who serves. name: of the service. id: of the instance, unique below the name. payload: anything
    that JSON knows (a Java object's has its class as `@class`). registered: when, ms since 1970.
    service_type: DYNAMIC ends with its session; others' may be STATIC, PERMANENT or DYNAMIC_SEQUENTIAL.
    uri_spec: how its address is made, such as `{scheme}://{address}:{port}`. enabled: False asks to be left
    alone.

    (Curator's ServiceInstance, as its JsonInstanceSerializer writes it.)
    """

    name: str
    id: str = field(default_factory=lambda: str(uuid4()))
    address: str | None = None
    port: int | None = None
    ssl_port: int | None = None
    payload: Json = None
    registered: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    service_type: str = "DYNAMIC"
    uri_spec: str | None = None
    enabled: bool = True

    def uri(self) -> str | None:
        """What uri_spec makes of it; None without one. scheme is https if there is an ssl_port. A variable
        that is not known, or has no value, is left empty."""
        if self.uri_spec is None:
            return None
        known: dict[str, object] = {
            "scheme": "http" if self.ssl_port is None else "https",
            "name": self.name,
            "id": self.id,
            "address": self.address,
            "port": self.port,
            "ssl-port": self.ssl_port,
            "registration-time-utc": self.registered,
            "service-type": self.service_type.lower(),
        }
        return _VARIABLE.sub(lambda found: _text(known.get(found[1])), self.uri_spec)

    def encode(self) -> bytes:
        """As it stands in a znode. TypeError, ValueError if JSON does not know the payload."""
        fields: Mapping[str, object] = {
            "name": self.name,
            "id": self.id,
            "address": self.address,
            "port": self.port,
            "sslPort": self.ssl_port,
            "payload": self.payload,
            "registrationTimeUTC": self.registered,
            "serviceType": self.service_type,
            "uriSpec": _parts(self.uri_spec),
            "enabled": self.enabled,
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """From what stands in a znode; ValueError if that is no instance."""
        fields: object = json.loads(data)
        match fields:
            case {"name": str(name), "id": str(identity)}:
                others = cast(Mapping[str, object], fields)
            case _:
                raise ValueError("no name and id")
        spec = others.get("uriSpec")
        return cls(
            name,
            identity,
            _optional(others, "address", str),
            _optional(others, "port", int),
            _optional(others, "sslPort", int),
            cast(Json, others.get("payload")),
            _optional(others, "registrationTimeUTC", int) or 0,
            _optional(others, "serviceType", str) or "DYNAMIC",
            None if spec is None else _spec(spec),
            others.get("enabled") is not False,
        )


class InstancesWatch(ValueWatch[list[ServiceInstance]]):
    """The instances of a service, now and after each change: `async for instances in registry.watch("x")`."""

    _recursive = True

    def __init__(self, registry: ServiceRegistry, client: Client, path: str, name: str) -> None:
        super().__init__(client, path)
        self._registry = registry
        self._name = name

    async def _read(self) -> list[ServiceInstance]:
        return await self._registry.instances(self._name)


class ServiceRegistry:
    """Who serves what, and where. Layout as Curator's service discovery: `BASE/NAME/ID`, JSON."""

    def __init__(self, client: Client, base: str) -> None:
        """base: the path that services are below; made, with all above it, where it is missing."""
        self._client = client
        self._base = base

    @asynccontextmanager
    async def register(self, instance: ServiceInstance) -> AsyncIterator[ServiceInstance]:
        """`async with`: it is found by others until the end; if the client renews its session, in the next
        one, too. An instance of the same name and id is replaced. Raises NoAuth, QuotaExceeded, and
        BadArguments for a name or an id that can't be in a path."""
        path = below(below(self._base, instance.name), instance.id)
        async with Presence(self._client, path, instance.encode(), container=True):
            yield instance

    async def names(self) -> list[str]:
        """Of services, sorted; a name stays a while after its last instance has gone."""
        return await names_below(self._client, self._base)

    async def instances(self, name: str) -> list[ServiceInstance]:
        """All of a service, in the order of their ids; what is no instance is left out."""
        path = below(self._base, name)
        names = await names_below(self._client, path)
        found = await asyncio.gather(*(self._instance(below(path, each)) for each in names))
        return [each for each in found if each is not None]

    def watch(self, name: str) -> InstancesWatch:
        """An async iterator over the instances of a service, now and after each change."""
        return InstancesWatch(self, self._client, below(self._base, name), name)

    async def _instance(self, path: str) -> ServiceInstance | None:
        try:
            return ServiceInstance.decode((await self._client.get(path)).data)
        except (NoNode, ValueError):
            return None


def _optional(fields: Mapping[str, object], name: str, kind: type[T]) -> T | None:
    """What a field holds, if it holds anything; ValueError if that is of another kind."""
    value = fields.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{name} is {value!r}")


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _parts(spec: str | None) -> object:
    """As Curator's UriSpec is written: parts that stand as they are, and variables."""
    if spec is None:
        return None
    pieces = _VARIABLE.split(spec)
    return {
        "parts": [{"value": each, "variable": index % 2 == 1} for index, each in enumerate(pieces) if each]
    }


def _spec(parts: object) -> str:
    """The other way."""
    found = []
    match parts:
        case {"parts": list(pieces)}:
            for piece in pieces:
                match piece:
                    case {"value": str(value), "variable": bool(variable)}:
                        found.append(f"{{{value}}}" if variable else value)
                    case _:
                        raise ValueError(f"uriSpec has {piece!r}")
        case _:
            raise ValueError(f"uriSpec is {parts!r}")
    return "".join(found)
