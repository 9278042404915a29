"""One server process: opens what is kept, starts the parts, listens, and ends cleanly on a signal."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from ..consensus.kept import PromisesDamaged
from ..storage.backup import BackupDamaged
from ..storage.engine import open_engine
from ..storage.log import Log, LogDamaged, LogGap
from ..storage.state import OtherFormat, State, Unfinished
from .config import ADMIN_PORT, Config
from .flusher import Flusher
from .history import History
from .listeners import Listeners
from .occupation import occupy
from .ordering import OtherBackend, incoming_snapshot, ordered_by, refuse_half_converted
from .reaper import Reaper
from .refill import finish
from .release import told
from .server import Server
from .stats import Stats
from .supervisor import Supervisor
from .tls import Tls
from .tls_files import Unusable
from .view import View

if TYPE_CHECKING:
    from .audit import Audit

log = logging.getLogger(__name__)

_FAILED: Final = 1


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    # Each connection takes a file; shells and systemd allow few unless asked for more.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it has a meaning
    try:
        return uvloop.run(_run(config))
    except (OSError, BackupDamaged, LogDamaged, OtherBackend, PromisesDamaged, Unusable) as error:
        log.error("%s", error)
        return _FAILED
    except OtherFormat as error:
        log.error("%s: %s; start the version that wrote it", config.data_dir, error)
        return _FAILED
    except Unfinished:
        log.error("%s: a restore was not finished: run `znoded restore` again", config.data_dir)
        return _FAILED
    except LogGap as error:
        log.error("%s, where the data in %s ends: a part of either is missing", error, config.data_dir)
        return _FAILED


def _audit(file: Path | None) -> Audit:
    from .audit import Audit  # what it needs takes its time to import

    return Audit(file)


async def _run(config: Config) -> int:
    async with AsyncExitStack() as stack:
        audit = stack.enter_context(_audit(config.audit_file)) if config.audit_enabled else None
        server = opened(config, stack)
        server.audit = audit
        history = History(server)
        view = View(server, config.data_log_dir, history.samples)
        await server.start()
        log.info("%s", told())
        stack.push_async_callback(server.stop)

        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopped.set)
        tls = None if config.tls is None else Tls(config.tls, config.max_client_cnxns, server.stats)
        listeners = Listeners(config, view, tls, stack)
        address = await listeners.clients(server)
        if config.admin_enabled and await _administered(config, listeners):
            stack.callback(loop.create_task(history.run()).cancel)
        supervisor = Supervisor(os.environ)
        loop.add_signal_handler(signal.SIGHUP, _reload, tls, supervisor)
        status = supervisor.attend(
            lambda: f"{view.standing}, {'serving' if view.serving else 'not serving'} clients on {address}"
        )
        for work in (_tick(server), Reaper(config, server).run(), status):
            stack.callback(loop.create_task(work).cancel)
        _spare_the_collector()
        state = server.state
        what = "serving" if view.serving else "not yet serving"
        log.info("%s clients on %s, %d znodes, zxid %#x", what, address, state.node_count, state.zxid)
        if audit is not None:
            audit.serving()
        await stopped.wait()
        if audit is not None:
            audit.stopping()
        supervisor.stopping()
        log.info("stopping")
    log.info("stopped at zxid %#x", state.zxid)
    return 0


async def _administered(config: Config, listeners: Listeners) -> bool:
    """Whether there is an admin port now. Raises OSError."""
    try:
        log.info("admin port on %s", await listeners.admin())
    except OSError as error:
        # Nobody chose it: several servers on one machine start without a word about it, as ZooKeeper's do.
        if config.admin_port != ADMIN_PORT or error.errno != errno.EADDRINUSE:
            raise
        log.warning("no admin port, admin.serverPort can name another: %s", error)
        return False
    return True


def opened(config: Config, stack: AsyncExitStack) -> Server:
    """The server over what is kept, which the stack closes; yet to be started. Raises what serve() tells."""
    stack.callback(os.close, occupy(config.data_dir))
    refuse_half_converted(config)
    engine = open_engine(config.storage, config.data_dir)
    stack.callback(engine.close)
    txn_log = Log(config.data_log_dir / "log")
    stack.callback(txn_log.close)
    if txn_log.cut:
        log.warning("cut %d bytes of unfinished writes off the log's end", txn_log.cut)
    finish(engine, incoming_snapshot(config))
    state = State(engine)
    stats = Stats(config.fsync_warning_ms)
    consensus = ordered_by(config, txn_log, stats)
    flusher = Flusher(state, txn_log, config.snap_retain_count)
    return Server(config, state, consensus, flusher, stats)


def _spare_the_collector() -> None:
    """What start-up made lives as long as the process: the collector need not look at it again. Nor at
    the requests under way, which never make a cycle: by default it would, every 700 of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _tick(server: Server) -> None:
    while True:
        await asyncio.sleep(server.config.tick_time / 2000)
        server.sessions.tick()


def _reload(tls: Tls | None, supervisor: Supervisor) -> None:
    supervisor.reloading()
    if tls is None:
        log.info("SIGHUP: there is no TLS whose key and certificates could be read anew")
    else:
        tls.reload()
    supervisor.reloaded()
