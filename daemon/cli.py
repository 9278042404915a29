"""The command `znoded`: starts the daemon, checks, backs up, restores, converts, compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from .config import Backend, Config, Fault, load

if TYPE_CHECKING:
    from .backup import Progress, Result
    from .convert import Result as Converted

# Each flag of `start` is a key of zoo.cfg, so that both are checked alike and told together.
_KEY_OF_FLAG = {
    "--data-dir": "dataDir",
    "--client-port": "clientPort",
    "--admin-port": "admin.serverPort",
    "--bind": "clientPortAddress",
    "--storage": "storage",
    "--log-level": "log.level",
}
_FAILED = 1
_FAULTY = 2
_UNSOUND = 3
_INTERRUPTED = 130
_FILE = click.Path(path_type=Path)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from .release import told  # slow to import

    click.echo(told())
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Say which it is.",
)
def main() -> None:
    """A coordination daemon that programs written for ZooKeeper can use unchanged."""


@main.command()
@click.option("--config", "path", type=_FILE, metavar="FILE", help="A zoo.cfg. Without one: defaults.")
@click.option("--data-dir", metavar="DIR", help="Where the data lives (default without a file: ./data).")
@click.option("--client-port", metavar="N", help="Where clients connect (default: 2181).")
@click.option("--admin-port", metavar="N", help="Where the admin port listens (default: 8080).")
@click.option("--bind", metavar="ADDR", help="The address of the client port (default: 127.0.0.1).")
@click.option("--storage", metavar="NAME", help="The storage engine (default: lmdb).")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error (default: info).")
@click.pass_context
def start(context: click.Context, /, path: Path | None, **flags: str | None) -> None:
    """Serve in the foreground until SIGTERM or SIGINT. Flags override the file."""
    config, warnings = _configured(context, path, flags)

    import logging

    from .logs import set_up

    set_up(config.log_level)
    for warning in warnings:
        logging.getLogger(__name__).warning("%s", warning)

    from .process import serve  # the whole server: the other commands do without it

    context.exit(serve(config))


@main.command()
@click.option("--config", "path", type=_FILE, required=True, metavar="FILE", help="The zoo.cfg to check.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def check(context: click.Context, /, path: Path, as_json: bool) -> None:
    """Say everything that is wrong with a configuration. Exit status 2 if anything is, else 0."""
    loaded = load(path, {})
    if as_json:
        report = {
            "ok": not loaded.faults,
            "faults": [asdict(fault) for fault in loaded.faults],
            "warnings": [asdict(warning) for warning in loaded.warnings],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        for fault in loaded.faults:
            click.echo(_told(fault, path, ()))
        for warning in loaded.warnings:
            click.echo(f"{_told(warning, path, ())} (warning)")
        if not loaded.faults:
            click.echo(f"{path}: ok")
    if loaded.faults:
        context.exit(_FAULTY)


@main.command()
@click.option(
    "--server",
    metavar="URL",
    default="http://127.0.0.1:8080",
    help="The server's admin port (default: http://127.0.0.1:8080).",
)
@click.option("--token-file", type=_FILE, metavar="FILE", help="Where the admin port's token is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def backup(
    context: click.Context, /, server: str, token_file: Path | None, as_json: bool, target: Path
) -> None:
    """Back up a running server into FILE, which is replaced once the backup is whole.

    Exit status 1 if there is none: what was in FILE is still there.
    """
    from .backup import FAILURES, fetch  # the commands that need none of it start sooner

    try:
        result = fetch(server, token_file, target, _progress("backing up"))
    except FAILURES as failure:
        _fail(context, f"no backup: {failure}", as_json)
    _report(result, f"{target}: {result}", as_json)


@main.command()
@click.option("--config", "path", type=_FILE, metavar="FILE", help="The server's zoo.cfg.")
@click.option("--data-dir", metavar="DIR", help="Where the data will live (default without a file: ./data).")
@click.option("--storage", metavar="NAME", help="The storage engine (default: lmdb).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_context
def restore(
    context: click.Context, /, path: Path | None, as_json: bool, source: Path, **flags: str | None
) -> None:
    """Put the backup in FILE into an empty data directory, for `znoded start` to serve.

    Exit status 1 if it can't be done: no server starts from half a restore.
    """
    config, _ = _configured(context, path, flags)
    from .restore import FAILURES
    from .restore import restore as put_back

    try:
        result = put_back(config, source, _progress("restoring"))
    except FAILURES as failure:
        _fail(context, f"nothing restored: {failure}", as_json)
    _report(result, f"{config.data_dir}: {result}", as_json)


@main.command(epilog="Example: znoded convert --config /etc/znoded/zoo.cfg --to raft")
@click.option("--config", "path", type=_FILE, required=True, metavar="FILE", help="The server's zoo.cfg.")
@click.option("--to", type=click.Choice(["raft", "zab"]), required=True, help="Which is to order them.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def convert(context: click.Context, /, path: Path, to: str, as_json: bool) -> None:
    """Change a stopped server's data from one consensus backend to the other.

    Tree, sessions and zxids stay. Stop all servers of an ensemble, run it on each, in any order, set
    consensus=raft, or zab, in every zoo.cfg, and start them. Exit status 1 if it can't be done; killed, it
    can be run again.
    """
    config, _ = _configured(context, path, {})
    from .convert import FAILURES
    from .convert import convert as change

    try:
        result = change(config, Backend(to), _progress("converting"))
    except FAILURES as failure:
        _fail(context, f"not converted: {failure}", as_json)
    name = to.upper() if to == "zab" else to.title()
    if result is not None:
        _report(result, f"{config.data_dir}: ordered by {name} from now on, {result}", as_json)
    elif as_json:
        click.echo(json.dumps({"ok": True}, indent=2))
    else:
        click.echo(f"{config.data_dir}: ordered by {name} already")


@main.command()
@click.option(
    "--servers", type=click.IntRange(3, 9), default=3, metavar="N", help="In an ensemble (default: 3)."
)
@click.option("--backends", default="zab,raft", metavar="NAMES", help="Which (default: zab,raft).")
@click.option("--duration", type=click.FloatRange(0.1), metavar="SECONDS", help="Of each load (default: 5).")
@click.option("--quick", is_flag=True, help="Fewer and shorter loads, one round: a minute.")
@click.option("--against", type=click.Choice(["zookeeper"]), help="One more, if it is installed.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    default=".",
    metavar="DIR",
    help="On the disk to measure; what is put there is removed (default: the current directory).",
)
@click.pass_context
def compare(
    context: click.Context,
    /,
    servers: int,
    backends: str,
    duration: float | None,
    quick: bool,
    against: str | None,
    as_json: bool,
    report: Path | None,
    data: Path,
) -> None:
    """Measure the consensus backends against each other, in ensembles on this machine.

    They take turns: loads, then faults, then a look whether every acknowledged write is there. Exit status 1
    if that can't be done, 3 if a write was lost, 130 after Ctrl-C.
    """
    from .compare.command import measure
    from .compare.ensemble import Failed
    from .compare.kinds import Missing, kinds
    from .compare.plan import planned
    from .compare.report import report as written

    try:
        chosen = kinds([name.strip() for name in backends.split(",")], against)
        plan = planned(servers, duration, quick=quick)
        comparison = measure(chosen, plan, data, report)
    except Missing as missing:
        raise click.UsageError(str(missing)) from missing
    except (Failed, OSError) as failure:
        _fail(context, f"no comparison: {failure}", as_json)
    except KeyboardInterrupt:
        click.echo("interrupted: every server is ended, and its data are removed", err=True)
        context.exit(_INTERRUPTED)
    click.echo(json.dumps(comparison.json(), indent=2) if as_json else comparison.text())
    status = 0 if comparison.good else _UNSOUND
    if report is not None:
        try:
            report.write_text(written(comparison), "utf-8")
        except OSError as error:
            click.echo(f"no report: {error}", err=True)
            status = status or _FAILED
    context.exit(status)


def _configured(
    context: click.Context, path: Path | None, flags: Mapping[str, str | None]
) -> tuple[Config, list[str]]:
    """The configuration and its warnings; ends the command if there is any fault."""
    given = {f"--{name.replace('_', '-')}": value for name, value in flags.items() if value is not None}
    loaded = load(path, {_KEY_OF_FLAG[flag]: value for flag, value in given.items()})
    config = loaded.config
    if config is None or loaded.faults:
        for fault in loaded.faults:
            click.echo(_told(fault, path, given), err=True)
        context.exit(_FAULTY)
    return config, [_told(warning, path, given) for warning in loaded.warnings]


def _progress(label: str) -> Progress:
    """A bar on standard error, where a person looks."""

    @contextmanager
    def progress(length: int) -> Iterator[Callable[[int], object]]:
        if sys.stderr.isatty():
            with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
                yield bar.update
        else:
            yield lambda _: None

    return progress


def _fail(context: click.Context, message: str, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"ok": False, "error": message}, indent=2))
    else:
        click.echo(message, err=True)
    context.exit(_FAILED)


def _report(result: Result | Converted, text: str, as_json: bool) -> None:
    click.echo(json.dumps({"ok": True, **asdict(result)}, indent=2) if as_json else text)


def _told(fault: Fault, path: Path | None, flags: Iterable[str]) -> str:
    """`FILE:LINE: key message`, as editors and people read it; a flag's fault names the flag."""
    if fault.line is not None:
        return f"{path}:{fault.line}: {fault.key} {fault.message}"
    for flag in flags:
        if _KEY_OF_FLAG[flag] == fault.key:
            return f"{flag} {fault.message}"
    return f"{path}: {fault.key} {fault.message}" if fault.key else f"{path}: {fault.message}"
