"""Compiles a request's way through the server by mypyc, where there is a C compiler; setup.cfg says the rest.

An editable install is not compiled: it runs the sources as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError, LinkError

HOT = (
    "api/connection.py",
    "api/rest/connection.py",
    "api/rest/exchange.py",
    "api/rest/forms.py",
    "api/rest/requests.py",
    "api/rest/resources.py",
    "api/websocket/answers.py",
    "api/websocket/messages.py",
    "api/zookeeper.py",
    "consensus/channel.py",
    "consensus/delivery.py",
    "consensus/raft/backend.py",
    "consensus/raft/canvass.py",
    "consensus/raft/command.py",
    "consensus/raft/core.py",
    "consensus/raft/driver.py",
    "consensus/raft/election.py",
    "consensus/raft/journal.py",
    "consensus/raft/messages.py",
    "consensus/raft/peers.py",
    "consensus/raft/proposals.py",
    "consensus/raft/reads.py",
    "consensus/raft/wire.py",
    "consensus/service.py",
    "consensus/standalone.py",
    "consensus/waiters.py",
    "consensus/zab/backend.py",
    "consensus/zab/core.py",
    "consensus/zab/driver.py",
    "consensus/zab/election.py",
    "consensus/zab/history.py",
    "consensus/zab/leader.py",
    "consensus/zab/learner.py",
    "consensus/zab/messages.py",
    "consensus/zab/pings.py",
    "consensus/zab/reader.py",
    "consensus/zab/ready.py",
    "consensus/zab/recent.py",
    "consensus/zab/server.py",
    "consensus/zab/streams.py",
    "consensus/zab/wire.py",
    "daemon/limits.py",
    "daemon/proposals.py",
    "daemon/server.py",
    "daemon/stats.py",
    "storage/jute.py",
    "storage/multi.py",
    "storage/paths.py",
    "storage/quota.py",
    "storage/reads.py",
    "storage/segment.py",
    "storage/session.py",
    "storage/state.py",
    "storage/table.py",
    "storage/watches.py",
    "storage/writes.py",
    "storage/znode.py",
)


class BuildIfPossible(build_ext):
    """Compiles all, or nothing: the sources do the same, more slowly."""

    def run(self) -> None:
        """Go on without what can't be compiled."""
        try:
            super().run()
        except (BaseError, CompileError, LinkError, OSError) as error:
            for output in map(Path, self.get_outputs()):
                output.unlink(missing_ok=True)
            self.extensions = []
            print(f"znoded is not compiled: {error}", file=sys.stderr)


def translated() -> list[Extension]:
    """The hot modules in C, for a wheel."""
    if "bdist_wheel" not in sys.argv:
        return []
    from mypyc.build import mypycify

    # mypy goes by names of folders, and a checkout may be called anything.
    package = Path("build/src/znoded")
    package.parent.mkdir(parents=True, exist_ok=True)
    package.unlink(missing_ok=True)
    package.symlink_to(Path.cwd())
    modules = [str(package / module) for module in HOT]
    try:
        return cast(list[Extension], mypycify(["--no-namespace-packages", *modules], opt_level="3"))
    except SystemExit:  # it has said why
        return []


# script_name: so that this file is not taken for a module of the package.
setup(script_name="setup.py", ext_modules=translated(), cmdclass={"build_ext": BuildIfPossible})
