"""A master gives tasks to workers; any of them may die at any moment, and no task is lost.

    python -m znoded.client.examples.master_worker worker one      as many as you like
    python -m znoded.client.examples.master_worker master          one leads, the others stand by
    python -m znoded.client.examples.master_worker submit hello world

Below /jobs (as in Junqueira and Reed, ZooKeeper, 2013, ch. 3):

    election/...         who leads (the recipe's)
    workers/NAME         ephemeral: a worker that lives
    tasks/ID             what is to be done; whoever asked deletes it, once there is a result
    assign/NAME/ID       which worker does it; only the master writes here
    status/ID            its result, written as the assignment is deleted: in one transaction

A task without assignment and status waits. So the tree alone tells what there is to do, and whoever becomes
master has only to read it. All watches have room for one event: whatever it is, all is read anew.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import cycle

import click

from znoded.client import Client, NodeExists, NoNode, OutcomeUnknown, TransactionFailed, Watch
from znoded.client.recipes import Election, Held, LockLost

Work = Callable[[bytes], Awaitable[bytes]]


async def prepare(client: Client) -> None:
    """Make what all three lean on."""
    for name in ("workers", "tasks", "assign", "status"):
        await client.ensure_path(f"/jobs/{name}")


# the master


async def lead(client: Client, name: str) -> None:
    """Stand for election, again and again, and while elected see to it that each task has a worker."""
    await prepare(client)

    async def reign(held: Held) -> None:
        click.echo(f"{name} leads, with token {held.token}")
        async with client.watch("/jobs", recursive=True, limit=1) as changes:
            while True:
                await assign_all(client, held.path)
                await anext(changes)

    while True:
        try:
            await Election(client, "/jobs/election", name).run(reign)
        except LockLost:
            click.echo(f"{name} leads no more")


async def assign_all(client: Client, proof: str) -> None:
    """Give each task that waits, or whose worker is gone, to a worker. proof: the master's own znode; a
    transaction of one who is deposed fails on it."""
    workers, names = await asyncio.gather(client.children("/jobs/workers"), client.children("/jobs/assign"))
    # In this order: what is assigned no more has a result, and what has no result any more is no task.
    *lists, done, tasks = await asyncio.gather(
        *(client.children(f"/jobs/assign/{name}") for name in names),
        client.children("/jobs/status"),
        client.children("/jobs/tasks"),
    )
    doing = {task: name for name, listed in zip(names, lists, strict=True) for task in listed}
    for name in set(workers) - set(names):
        await client.ensure_path(f"/jobs/assign/{name}")
    if not workers:
        return
    turn = cycle(sorted(workers, key=lambda name: sum(doer == name for doer in doing.values())))
    for task in sorted(set(tasks) - set(done)):
        before = doing.get(task)
        if before in workers:
            continue
        worker = next(turn)
        change = client.transaction().check(proof).check(f"/jobs/workers/{worker}")
        change.check(f"/jobs/tasks/{task}").create(f"/jobs/assign/{worker}/{task}")
        if before is not None:
            change.delete(f"/jobs/assign/{before}/{task}")
        try:
            await change.commit()
        except (TransactionFailed, OutcomeUnknown):
            return  # something changed, or will have: the watch tells, and all is read again


# a worker


async def serve(client: Client, name: str, work: Work) -> None:
    """Do what is assigned to name, one task after the other, as long as the session lives."""
    await prepare(client)
    await client.ensure_path(f"/jobs/assign/{name}")
    async with (
        client.watch(f"/jobs/workers/{name}", limit=1) as mine,
        client.watch(f"/jobs/assign/{name}", limit=1) as given,
    ):
        await register(client, name, mine)
        click.echo(f"{name} works")
        while True:
            while tasks := await client.children(f"/jobs/assign/{name}"):
                for task in tasks:
                    await do(client, name, task, work)
            await anext(given)


async def register(client: Client, name: str, mine: Watch) -> None:
    """Be known as living; an earlier self must be known as dead before."""
    while True:
        try:
            await client.create(f"/jobs/workers/{name}", ephemeral=True)
        except NodeExists:
            stat = await client.exists(f"/jobs/workers/{name}")
            if stat is not None and stat.ephemeral_owner == client.session[0]:
                return
            await anext(mine)
        except OutcomeUnknown:
            continue  # if it was made, it exists, and is this session's
        else:
            return


async def do(client: Client, name: str, task: str, work: Work) -> None:
    """Do it, and leave its result. Twice, if need be: only one result is taken."""
    try:
        found = await client.get(f"/jobs/tasks/{task}")
    except NoNode:  # who asked has given it up
        await repeated(lambda: client.delete(f"/jobs/assign/{name}/{task}"), NoNode)
        return
    result = await work(found.data)
    click.echo(f"{name} did {task}")
    change = client.transaction().check(f"/jobs/tasks/{task}")
    change.delete(f"/jobs/assign/{name}/{task}").create(f"/jobs/status/{task}", result)
    # Refused: it was given to another, or given up. Unknown: what is still assigned here comes again.
    with suppress(TransactionFailed, OutcomeUnknown):
        await change.commit()


# who asks


async def submit(client: Client, tasks: Sequence[bytes]) -> list[bytes]:
    """Have tasks done; their results, in the same order."""
    await prepare(client)
    return list(await asyncio.gather(*(ask(client, data) for data in tasks)))


async def ask(client: Client, data: bytes) -> bytes:
    """Have one task done; its result. It is named before it is made: to make it twice makes it once."""
    task = uuid.uuid4().hex
    async with client.watch(f"/jobs/status/{task}", limit=1) as told:
        await repeated(lambda: client.create(f"/jobs/tasks/{task}", data), NodeExists)
        while await client.exists(f"/jobs/status/{task}") is None:
            await anext(told)
    result = (await client.get(f"/jobs/status/{task}")).data
    await repeated(lambda: client.delete(f"/jobs/tasks/{task}"), NoNode)
    await repeated(lambda: client.delete(f"/jobs/status/{task}"), NoNode)
    return result


async def repeated(change: Callable[[], Awaitable[object]], done: type[Exception]) -> None:
    """Make a change until it is known to be made; done: what says that it had been before."""
    while True:
        try:
            await change()
        except done:
            return
        except OutcomeUnknown:
            continue
        return


# the command line


@click.group(help=__doc__)
@click.option("--server", default="127.0.0.1:2181", show_default=True, help="HOST:PORT,HOST:PORT,...")
@click.option("--timeout", default=10.0, show_default=True, help="Of the session, in seconds.")
@click.pass_context
def main(context: click.Context, server: str, timeout: float) -> None:
    """The three roles."""
    context.obj = Client(server, timeout=timeout)


def run(client: Client, role: Callable[[], Awaitable[None]]) -> None:
    """Play a role until it ends, or Ctrl-C."""

    async def play() -> None:
        async with client:
            await role()

    try:
        asyncio.run(play())
    except KeyboardInterrupt:
        sys.exit(130)


@main.command(name="master")
@click.argument("name", default="master")
@click.pass_obj
def master_command(client: Client, name: str) -> None:
    """Lead, or stand by."""
    run(client, lambda: lead(client, name))


@main.command(name="worker")
@click.argument("name")
@click.option("--seconds", default=0.0, help="How long a task takes.")
@click.pass_obj
def worker_command(client: Client, name: str, seconds: float) -> None:
    """Do what is assigned to NAME: here, to turn letters into capitals."""

    async def capitals(data: bytes) -> bytes:
        await asyncio.sleep(seconds)
        return data.upper()

    run(client, lambda: serve(client, name, capitals))


@main.command(name="submit")
@click.argument("tasks", nargs=-1, required=True)
@click.pass_obj
def submit_command(client: Client, tasks: tuple[str, ...]) -> None:
    """Have TASKS done, and print the results."""

    async def role() -> None:
        for result in await submit(client, [task.encode() for task in tasks]):
            click.echo(result.decode())

    run(client, role)


if __name__ == "__main__":
    main()
