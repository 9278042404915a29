"""Runs as many simulated ensembles as wanted, on all cores; or one, and shows what happened in it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

import click

from .raft import faults as raft_faults
from .raft import world as raft_world
from .zab import faults as zab_faults
from .zab import world as zab_world

RUNS: Final[dict[str, Callable[..., Any]]] = {"zab": zab_world.run, "raft": raft_world.run}
FAULTS: Final = {"zab": zab_faults.FAULTS, "raft": raft_faults.FAULTS}


def _run(backend: str, seed: int, fault: str | None) -> tuple[Any, str]:
    """Its world, and what broke or nothing."""
    made: list[Any] = []
    with FAULTS[backend][fault]() if fault else nullcontext():
        try:
            RUNS[backend](seed, world=made)
        except Exception as error:
            return made[0], f"{type(error).__name__}: {error}"
    return made[0], ""


def _task(task: tuple[str, int, str | None]) -> tuple[int, str, int, int]:
    """(seed, what broke or nothing, transactions, epochs)."""
    world, broken = _run(*task)
    return task[1], broken, len(world.laws.history), len(world.laws.established)


def _replay(backend: str, seed: int, fault: str | None) -> str:
    world, broken = _run(backend, seed, fault)
    return "\n".join([*world.trace, broken or "all of it holds"])


@click.command()
@click.option("--backend", type=click.Choice(list(RUNS)), default="zab", show_default=True)
@click.option("--seeds", default=10_000, show_default=True, help="How many to run.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--seed", type=int, help="Run this one alone, and show all that happens.")
@click.option("--fault", help="Plant this bug.")
def main(backend: str, seeds: int, first: int, seed: int | None, fault: str | None) -> None:
    """Look for a seed under which a law breaks. Exits with 1 if there is one."""
    if fault is not None and fault not in FAULTS[backend]:
        raise click.UsageError(f"{backend} has no such fault, but {', '.join(FAULTS[backend])}")
    if seed is not None:
        told = _replay(backend, seed, fault)
        click.echo_via_pager(told) if os.isatty(1) else click.echo(told)
        return
    committed = epochs = 0
    broken: list[tuple[int, str]] = []
    tasks = [(backend, one, fault) for one in range(first, first + seeds)]
    with multiprocessing.Pool() as pool, click.progressbar(length=seeds, label="Seeds", show_pos=True) as bar:
        for one, what, transactions, terms in pool.imap_unordered(_task, tasks, chunksize=8):
            bar.update(1)
            committed += transactions
            epochs += terms
            if what:
                broken.append((one, what))
    click.echo(f"{seeds} seeds, {committed} transactions, {epochs} epochs, {len(broken)} broken")
    for one, what in sorted(broken)[:10]:
        click.echo(f"  seed {one}: {what}   (make simulate BACKEND={backend} SEED={one})")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
