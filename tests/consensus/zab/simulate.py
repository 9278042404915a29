"""Runs as many simulated ensembles as wanted, on all cores; or one, and shows what happened in it."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import nullcontext

import click

from .faults import FAULTS
from .world import World, run


def _try(seed: int, fault: str | None) -> tuple[int, str, int, int]:
    """(seed, what broke or nothing, transactions, epochs)."""
    made: list[World] = []
    with FAULTS[fault]() if fault else nullcontext():
        try:
            run(seed, world=made)
        except Exception as error:
            return seed, f"{type(error).__name__}: {error}", 0, 0
    return seed, "", len(made[0].laws.history), len(made[0].laws.established)


def _task(task: tuple[int, str | None]) -> tuple[int, str, int, int]:
    return _try(*task)


def _replay(seed: int, fault: str | None) -> str:
    made: list[World] = []
    with FAULTS[fault]() if fault else nullcontext():
        try:
            run(seed, world=made)
        except Exception as error:
            return "\n".join([*made[0].trace, f"{type(error).__name__}: {error}"])
    return "\n".join([*made[0].trace, "all of it holds"])


@click.command()
@click.option("--seeds", default=10_000, show_default=True, help="How many to run.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--seed", type=int, help="Run this one alone, and show all that happens.")
@click.option("--fault", type=click.Choice(list(FAULTS)), help="Plant this bug.")
def main(seeds: int, first: int, seed: int | None, fault: str | None) -> None:
    """Look for a seed under which ZAB's invariants break. Exits with 1 if there is one."""
    if seed is not None:
        click.echo_via_pager(_replay(seed, fault)) if os.isatty(1) else click.echo(_replay(seed, fault))
        return
    committed = epochs = 0
    broken: list[tuple[int, str]] = []
    tasks = [(one, fault) for one in range(first, first + seeds)]
    with multiprocessing.Pool() as pool, click.progressbar(length=seeds, label="Seeds", show_pos=True) as bar:
        for one, what, transactions, terms in pool.imap_unordered(_task, tasks, chunksize=8):
            bar.update(1)
            committed += transactions
            epochs += terms
            if what:
                broken.append((one, what))
    click.echo(f"{seeds} seeds, {committed} transactions, {epochs} epochs, {len(broken)} broken")
    for one, what in sorted(broken)[:10]:
        click.echo(f"  seed {one}: {what}   (make simulate SEED={one})")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
