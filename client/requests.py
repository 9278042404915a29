"""The arguments of requests, checked: what a server would close the connection for hurts nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Final, TypeAlias

from ..storage import paths
from ..storage.acl import Acl
from .errors import BadArguments, InvalidACL

_HALF: Final = "it has half a character (a lone surrogate)"

Made: TypeAlias = dict[str, object]


def versioned(path: str, version: int) -> Made:
    """A path, and the version that a change is only made to; -1: any."""
    number = index(version)
    if not -(1 << 31) <= number < 1 << 31:
        raise BadArguments(path, f"{version} is no version")
    return {"path": path, "version": number}


def with_data(made: Made, data: bytes) -> Made:
    """The same with a znode's data."""
    made["data"] = _as_bytes(data)
    return made


def as_text(text: str) -> str:
    """A text that can be sent."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadArguments(ascii(text), _HALF) from None
    return text


def as_credentials(scheme: str, shown: bytes) -> tuple[str, bytes]:
    """Who a client says that it is, as that can be sent."""
    return as_text(scheme), _as_bytes(shown)


def acl_of(path: str, entries: Iterable[Acl]) -> list[Made]:
    """A list as it is sent."""
    made: list[Made] = []
    for perms, scheme, identity in entries:
        number = index(perms)
        if not 0 <= number < 1 << 31:
            raise InvalidACL(path, f"{perms} are no permissions")
        made.append({"perms": number, "scheme": as_text(scheme), "id": as_text(identity)})
    return made


def full_path(root: str, path: str, sequential: bool = False) -> str:
    """A path below the chroot; BadArguments if it breaks a rule (PathUtils.validatePath). sequential: a
    number will stand behind it."""
    try:
        fault = paths.fault((f"{path}0" if sequential else path).encode())
    except UnicodeEncodeError:
        fault = _HALF
    except AttributeError:
        raise TypeError(f"{path!r} is no path: that is a text") from None
    if fault is not None:
        raise BadArguments(ascii(path) if fault is _HALF else path, fault)
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
        if not 0 < ttl < 1 << 30:
            raise BadArguments(path, f"{ttl} is no number of seconds to live")
        made["ttl"] = round(ttl * 1000) or 1
    if ephemeral + container + (ttl is not None) > 1 or (container and sequential):
        raise BadArguments(
            path, "only one of ephemeral, container and ttl goes, and no container is sequential"
        )
    return made


def _as_bytes(data: bytes) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data are bytes, not {type(data).__name__}")
    return bytes(data)
