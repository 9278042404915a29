"""The arguments of requests, checked: what a server would close the connection for hurts nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ..storage import paths
from ..storage.acl import Acl
from .errors import BadArguments, InvalidACL

Made: TypeAlias = dict[str, object]


def versioned(path: str, version: int) -> Made:
    """A path, and the version that a change is only made to; -1: any."""
    if not -(1 << 31) <= version < 1 << 31:
        raise BadArguments(path, f"{version} is no version")
    return {"path": path, "version": version}


def with_data(made: Made, data: bytes) -> Made:
    """The same with a znode's data."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data are bytes, not {type(data).__name__}")
    made["data"] = bytes(data)
    return made


def acl_of(path: str, entries: Iterable[Acl]) -> list[Made]:
    """A list as it is sent."""
    made: list[Made] = []
    for perms, scheme, identity in entries:
        if not 0 <= perms < 1 << 31:
            raise InvalidACL(path, f"{perms} are no permissions")
        made.append({"perms": perms, "scheme": scheme, "id": identity})
    return made


def full_path(root: str, path: str, sequential: bool = False) -> str:
    """A path below the chroot; BadArguments if it breaks a rule (PathUtils.validatePath). sequential: a
    number will stand behind it."""
    try:
        fault = paths.fault((f"{path}0" if sequential else path).encode())
    except UnicodeEncodeError:
        fault = "it has half a character (a lone surrogate)"
    if fault is not None:
        raise BadArguments(path, fault)
    return f"{root}{path}" if path != "/" else root or "/"


def create_arguments(
    path: str,
    data: bytes,
    acl: Sequence[Acl] | None,
    ephemeral: bool,
    sequential: bool,
    container: bool,
    ttl: float | None,
) -> Made:
    """As Client.create describes them."""
    made = with_data({"path": path}, data)
    if acl is not None:
        made["acl"] = acl_of(path, acl)
    if ephemeral:
        made["ephemeral"] = True
    if sequential:
        made["sequential"] = True
    if container:
        made["container"] = True
    if ttl is not None:
        if not 0 < ttl < 1 << 38:
            raise BadArguments(path, f"{ttl} is no number of seconds to live")
        made["ttl"] = round(ttl * 1000) or 1
    if ephemeral + container + (ttl is not None) > 1 or (container and sequential):
        raise BadArguments(
            path, "only one of ephemeral, container and ttl goes, and no container is sequential"
        )
    return made
