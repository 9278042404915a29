"""Measures znoded beside the real ZooKeeper, and prints how they compare."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final, TextIO

import click

from . import ensemble, http, join, machine, memory, speed, websocket
from .etcd import ETCD
from .load import VALUE, Generator
from .plan import Plan
from .servers import ZNODED, ZOOKEEPER, ZOOKEEPER_2G, Contender, Server
from .tables import failover_table, join_table, memory_table, speed_table

_MEMORY: Final = "memory"
_NAMES: Final = (
    *(row.name for row in (*speed.ROWS, *http.ROWS, *websocket.ROWS, *ensemble.ROWS)),
    ensemble.FAILOVER,
    join.NAME,
    _MEMORY,
)


def _chosen(_context: click.Context, _parameter: click.Parameter, wanted: str) -> frozenset[str]:
    starts = tuple(start.strip() for start in wanted.split(","))
    if unknown := [start for start in starts if not any(name.startswith(start) for name in _NAMES)]:
        raise click.BadParameter(f"{', '.join(unknown)} is none of {', '.join(_NAMES)}")
    return frozenset(name for name in _NAMES if name.startswith(starts))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rows", default="", callback=_chosen, metavar="NAME,...", help="Only those whose names begin so."
)
@click.option(
    "--rounds", default=3, type=click.IntRange(1), show_default=True, help="How often each is measured."
)
@click.option(
    "--seconds", default=5.0, type=click.FloatRange(0.1), show_default=True, help="How long each time."
)
@click.option(
    "--quick", is_flag=True, help="One short round, to see that it works; its figures are no measure."
)
@click.option(
    "--data",
    default="/var/tmp",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    show_default=True,
    help="Where the servers' data go meanwhile: a folder on the disk that counts.",
)
@click.option(
    "--json", "report", type=click.File("w"), metavar="FILE", help="Write every measurement there too."
)
def main(
    rows: frozenset[str], rounds: int, seconds: float, quick: bool, data: Path, report: TextIO | None
) -> None:
    """Measure znoded and, where Debian's packages are installed, the real ZooKeeper and etcd, in turn.

    The rows are get-16x1 (16 connections with 1 request in flight on each), get-64x10, set-16x1, set-64x10,
    create-64x10, mixed-64x10 (9 gets to 1 set), http-put-64x1 and http-get-64x1 (beside etcd, by wrk),
    ws-get-16x10 and ws-set-16x10 (over the WebSocket, beside nothing), 3-get-16x1 and so on (three servers
    beside three of ZooKeeper), 3-failover (their leader killed), 3-join (a server with an empty disk joins
    two that are written to), and memory (starts, restarts and memory).
    """
    # So that all that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = Plan(rounds, seconds, warm_up=5, znodes=1_000_000, idle=5, failovers=20)
    if quick:
        plan = Plan(rounds=1, seconds=1, warm_up=1, znodes=20_000, idle=1, failovers=2)
    loads = [row for row in speed.ROWS if row.name in rows]
    http_loads = [row for row in http.ROWS if row.name in rows]
    if http_loads and _lacks(http.missing()):
        http_loads = []
    three_loads = [row for row in ensemble.ROWS if row.name in rows]
    three = three_loads or ensemble.FAILOVER in rows
    compared = loads or three or rows & {join.NAME, _MEMORY}
    contenders = _present(ZNODED, ZOOKEEPER) if compared else []
    http_contenders = _present(ZNODED, ETCD) if http_loads else []
    ws_loads = [row for row in websocket.ROWS if row.name in rows]
    ws_contenders = [ZNODED] if ws_loads else []
    about = machine.described(data)
    if machine.file_system(data) in ("tmpfs", "ramfs"):
        click.echo(
            f"{data} is in memory: nothing is ever written to a disk there. Choose another --data.", err=True
        )

    outcomes: list[list[speed.Outcome]] = []
    figures: dict[str, memory.Figures] = {}
    failovers: dict[str, list[float]] = {}
    joins: dict[str, join.Joining] = {}
    every = dict.fromkeys((*contenders, *http_contenders, *ws_contenders))
    steps = speed.steps(loads, len(contenders), plan) + speed.steps(http_loads, len(http_contenders), plan)
    steps += speed.steps(ws_loads, len(ws_contenders), plan)
    steps += speed.steps(three_loads, len(contenders), plan)
    steps += plan.failovers * len(contenders) * (ensemble.FAILOVER in rows)
    steps += join.STEPS * len(contenders) * (join.NAME in rows)
    steps += len(every) + len(contenders) * memory.STEPS * (_MEMORY in rows)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="znoded-bench-", dir=data)))
        generator = Generator(scratch)
        bar = stack.enter_context(
            click.progressbar(length=steps, file=sys.stderr, item_show_func=lambda what: what)
        )

        def step(what: str) -> None:
            bar.update(1, what)

        def in_turn(
            group: str, contenders: list[Contender], rows: list[speed.Row], driver: speed.Driver[Server]
        ) -> None:
            with ExitStack() as running:
                servers = [
                    running.enter_context(Server(contender, scratch / f"{contender.name}-{group}"))
                    for contender in contenders
                ]
                for server in servers:
                    server.start()
                outcomes.append(list(speed.measure(rows, servers, driver, plan, step)))

        for contender in every:
            step(f"{contender.name} starts")
            # Before any start is timed: the first one ever also reads all its code from the disk.
            with Server(contender, scratch / f"{contender.name}-first") as server:
                server.start()
                about[contender.name] = server.version()
        if loads:
            in_turn("speed", contenders, loads, speed.ByGenerator(generator))
        if http_loads:
            in_turn("http", http_contenders, http_loads, http.Wrk(generator))
        if ws_loads:
            in_turn("ws", ws_contenders, ws_loads, websocket.OverWebSocket(generator))
        if three:
            with ExitStack() as running:
                ensembles = [
                    running.enter_context(ensemble.Ensemble(contender, scratch / f"{contender.name}-three"))
                    for contender in contenders
                ]
                for one in ensembles:
                    one.start()
                if three_loads:
                    driver = ensemble.OverAll(generator)
                    outcomes.append(list(speed.measure(three_loads, ensembles, driver, plan, step)))
                if ensemble.FAILOVER in rows:
                    for one in ensembles:
                        failovers[one.name] = ensemble.failover(one, plan.failovers, step)
        if join.NAME in rows:
            for contender in contenders:
                roomy = ZOOKEEPER_2G if contender is ZOOKEEPER else contender
                # Removed at once: it takes gigabytes of the disk.
                with (
                    tempfile.TemporaryDirectory(dir=scratch) as directory,
                    ensemble.Ensemble(roomy, Path(directory)) as one,
                ):
                    joins[one.name] = join.measure(one, generator, plan, step)
        if _MEMORY in rows:
            for contender in contenders:
                figures[contender.name] = memory.measure(
                    contender, scratch / f"{contender.name}-memory", generator, plan, step
                )
    for name, value in about.items():
        click.echo(f"{name:12} {value}")
    for group in outcomes:
        click.echo(f"\n{speed_table(group)}")
    if failovers:
        click.echo(f"\n{failover_table(failovers)}")
    if joins:
        click.echo(f"\n{join_table(joins)}\n{plan.znodes:,} znodes of {VALUE} bytes")
    if figures:
        click.echo(f"\n{memory_table(figures)}\nfull: {plan.znodes:,} znodes of {VALUE} bytes")
    if quick:
        click.echo("\n--quick: these figures are no measure.")
    click.echo("\nWhat a million watches take, bench/watch_memory.py measures: apart, as it takes a minute.")
    if report:
        everything = {
            "machine": about,
            "plan": asdict(plan),
            "speed": [asdict(outcome) for group in outcomes for outcome in group],
            "failover": failovers,
            "join": {name: asdict(one) for name, one in joins.items()},
            "memory": {name: asdict(one) for name, one in figures.items()},
        }
        json.dump(everything, report, indent=2)


def _present(*contenders: Contender) -> list[Contender]:
    return [contender for contender in contenders if not _lacks(contender.missing())]


def _lacks(missing: str | None) -> bool:
    if missing is not None:
        click.echo(missing, err=True)
    return missing is not None


if __name__ == "__main__":
    main()
