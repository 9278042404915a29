"""The commands about quotas: setquota, listquota, delquota."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from ...storage import quota
from ..errors import NoNode, NotEmpty
from .arguments import PATH
from .commands import command
from .output import Json, Result

if TYPE_CHECKING:
    from ..client import Client
    from .shell import Shell

T = TypeVar("T")

_ROOT = quota.ROOT.decode()
_LIMITS = quota.LIMITS_NAME.decode()


class NoQuota(NoNode):
    """There is a znode perhaps, but it has no limits."""

    text = "has no quota"


class QuotaConflict(click.ClickException):
    """Quotas don't nest."""


@command("setquota", "setquota -n 1000 /app", "setquota -N 1000 -B 1000000 /app")
@click.option(
    "-n", "count", type=click.IntRange(1), metavar="N", help="Znodes at most: more are only logged."
)
@click.option(
    "-b", "size", type=click.IntRange(0), metavar="BYTES", help="Bytes at most: more are only logged."
)
@click.option(
    "-N", "count_hard", type=click.IntRange(1), metavar="N", help="Znodes at most: more are refused."
)
@click.option(
    "-B", "size_hard", type=click.IntRange(0), metavar="BYTES", help="Bytes at most: more are refused."
)
@click.argument("path", type=PATH)
async def setquota(
    shell: Shell,
    count: int | None,
    size: int | None,
    count_hard: int | None,
    size_hard: int | None,
    path: str,
) -> None:
    """Limit a znode and all below it, or change its limits.

    Hard limits hold where the server enforces quotas (enforceQuota). No znode above or below may have a
    quota.
    """
    given = {"count": count, "bytes": size, "count_hard": count_hard, "bytes_hard": size_hard}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("give one of -n, -b, -N and -B, or more")
    whole = shell.address.root + path if path != "/" else shell.address.root or "/"
    if whole == "/" or f"{whole}/".startswith("/zookeeper/"):
        raise click.UsageError(f"no quota goes on {whole}")
    client = await shell.whole()
    if await client.exists(whole) is None:
        raise NoNode(path)
    await _check_alone(client, whole)
    limits, stats = _limits(whole), _stats(whole)
    found = await _or_none(client.get(limits))
    if found is not None:
        now = replace(quota.parse(found.data), **changes)
        await client.set(limits, quota.format_limits(now), found.stat.version)
    else:
        now = replace(quota.Track(), **changes)
        await client.ensure_path(_ROOT + whole)
        async with client.transaction() as both:
            both.create(limits, quota.format_limits(now)).create(stats, quota.format_usage(0, 0))
    usage = quota.parse((await client.get(stats)).data)
    for what, used, most in (
        ("count", usage.count, (now.count, now.count_hard)),
        ("bytes", usage.bytes, (now.bytes, now.bytes_hard)),
    ):
        if any(-1 < each < used for each in most):
            shell.output.tell(f"[Warning]: the {what} quota is less than the existing {what}: {used}")


@command("listquota", "listquota /app")
@click.argument("path", type=PATH)
async def listquota(shell: Shell, path: str) -> Result:
    """Print the limits of a znode, and what it holds; -1 is no limit."""
    client = await shell.whole()
    whole = shell.address.root + path
    limits = await _or_none(client.get(_limits(whole)))
    usage = await _or_none(client.get(_stats(whole)))
    if limits is None or usage is None:
        raise NoQuota(path)
    most, used = quota.parse(limits.data), quota.parse(usage.data)
    value: dict[str, Json] = {
        "path": path,
        "limits": {
            "count": most.count,
            "bytes": most.bytes,
            "countHardLimit": most.count_hard,
            "byteHardLimit": most.bytes_hard,
        },
        "usage": {"count": used.count, "bytes": used.bytes},
    }
    text = (
        f"absolute path is {_limits(whole)}\n"
        f"Output quota for {path} {limits.data.decode(errors='replace')}\n"
        f"Output stat for {path} {usage.data.decode(errors='replace')}"
    )
    return Result(value, text)


@command("delquota", "delquota /app", "delquota -n -N /app")
@click.option("-n", "count", is_flag=True, help="The soft limit of znodes.")
@click.option("-b", "size", is_flag=True, help="The soft limit of bytes.")
@click.option("-N", "count_hard", is_flag=True, help="The hard limit of znodes.")
@click.option("-B", "size_hard", is_flag=True, help="The hard limit of bytes.")
@click.argument("path", type=PATH)
async def delquota(
    shell: Shell, count: bool, size: bool, count_hard: bool, size_hard: bool, path: str
) -> None:
    """Lift a znode's limits: those named, or all."""
    client = await shell.whole()
    whole = shell.address.root + path
    given = {"count": count, "bytes": size, "count_hard": count_hard, "bytes_hard": size_hard}
    lifted = {name: -1 for name, wanted in given.items() if wanted}
    found = await _or_none(client.get(_limits(whole)))
    if found is None:
        raise NoQuota(path)
    if lifted:
        now = replace(quota.parse(found.data), **lifted)
        await client.set(_limits(whole), quota.format_limits(now), found.stat.version)
        return
    await client.delete(_limits(whole))
    await _or_none(client.delete(_stats(whole)))
    above = _ROOT + whole
    while above != _ROOT:
        try:
            await client.delete(above)
        except (NotEmpty, NoNode):
            return
        above = above.rpartition("/")[0]


async def _check_alone(client: Client, whole: str) -> None:
    """QuotaConflict if something above or below has a quota."""
    above = whole.rpartition("/")[0]
    while above:
        if await client.exists(_limits(above)) is not None:
            raise QuotaConflict(f"{above}, above {whole}, has a quota: lift that one first")
        above = above.rpartition("/")[0]
    own = _limits(whole)
    try:
        async for found in client.walk(_ROOT + whole):
            if found.endswith(f"/{_LIMITS}") and found != own:
                below = found.removeprefix(_ROOT).removesuffix(f"/{_LIMITS}")
                raise QuotaConflict(f"{below}, below {whole}, has a quota: lift that one first")
    except NoNode:
        return


async def _or_none(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
    except NoNode:
        return None


def _limits(whole: str) -> str:
    return quota.limits_path(whole.encode()).decode()


def _stats(whole: str) -> str:
    return quota.stats_path(whole.encode()).decode()
