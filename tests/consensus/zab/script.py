"""Scripts of what an ensemble does: commands, and below `----` what was told; after etcd-io/raft's testdata.

A command and its arguments stand on one line, what belongs to it indented below. Nothing happens but what a
command says: messages lie in their connections until `deliver`, records in memory until `sync`.

    servers 3 [observers 1]        they start, all connected; below, each one's log: `1: 1.1-1.3 | current 1`
    tick SERVER N                  N ticks of its clock
    deliver [FROM TO]              all that is under way, and what comes of it, until nothing is
    sync SERVER...                 what it wrote reaches its disk, and it hears of that
    propose SERVER TXN...          a client of that server's
    barrier SERVER                 a client of that server's asks for one
    crash SERVER / start SERVER    what is not on its disk is lost
    cut A B / connect A B          a connection breaks, with all that is under way; or is made
    flush SERVER / drop SERVER Z   its engine holds its state; its log begins behind Z
    snapshot SERVER                it goes on with sending one, or with putting one in place
    settle                         all of it, until nothing changes any more, told only by its end
    status                         what each server is, and holds

`python -m tests.consensus.zab.script` writes what is told into the scripts; look at the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from znoded.consensus.zab.core import Role
from znoded.consensus.zab.history import History
from znoded.consensus.zab.ready import Promises

from ..told import show, span
from .node import Node, last
from .world import World

SCRIPTS: Final = sorted((Path(__file__).parent / "scripts").glob("*.txt"))
_BREAK: Final = "----"


def play(text: str) -> str:
    """The script with what is really told."""
    stage = Stage()
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        commands = lines[: lines.index(_BREAK)] if _BREAK in lines else lines
        done = [line for line in commands if line and not line.startswith("#")]
        said = stage.do(done) if done else []
        blocks.append("\n".join([*commands, _BREAK, *said] if said else commands))
    return "\n\n".join(blocks) + "\n"


def _zxids(text: str) -> list[int]:
    """1.1-1.3 2.1: each of them."""
    found = []
    for part in text.split():
        first, _, end = part.partition("-")
        epoch, counter = map(int, first.split("."))
        until = int(end.split(".")[1]) if end else counter
        found += [(epoch << 32) + at for at in range(counter, until + 1)]
    return found


class Stage:
    """An ensemble that does what it is told."""

    def __init__(self) -> None:
        self._world = World(0, 0)

    def do(self, lines: list[str]) -> list[str]:
        """The commands of a block; what was told meanwhile."""
        world = self._world
        at = 0
        said: list[str] = []
        while at < len(lines):
            name, *arguments = lines[at].split()
            at += 1
            below = []
            while at < len(lines) and lines[at].startswith(" "):
                below.append(lines[at].strip())
                at += 1
            world.trace.clear()
            if name == "servers":
                world = self._servers(arguments, below)
            elif name == "settle":
                self._settle()
                world.trace.clear()
            else:
                getattr(self, f"_{name}")(*arguments)
            world.check()
            said += world.trace
        return said

    def _node(self, sid: str) -> Node:
        return self._world.nodes[int(sid)]

    def _servers(self, arguments: list[str], below: list[str]) -> World:
        observers = int(arguments[2]) if len(arguments) > 2 else 0
        self._world = world = World(0, int(arguments[0]), observers)
        for line in below:
            sid, _, told = line.partition(":")
            log, _, promised = told.partition("|")
            disk = world.nodes[int(sid)].disk
            history = History()
            for zxid in _zxids(log):
                history.append(zxid)
                disk.log[zxid] = world.laws.given(zxid)
            epochs = promised.split()
            current = int(epochs[1]) if epochs else history.last >> 32
            accepted = int(epochs[3]) if len(epochs) > 2 else current
            # Whoever holds a leader's records is of one cluster; those of epoch 0 are each server's own.
            cluster = bytes(16) if history.last >> 32 else disk.promises.cluster
            disk.promises = Promises(accepted, current, history.tails, cluster)
        for node in world.nodes.values():
            node.start()
        for one in sorted(world.all):
            for other in sorted(world.all):
                if one < other:
                    world.connect(one, other)
        return world

    def _tick(self, sid: str, count: str) -> None:
        for _ in range(int(count)):
            self._node(sid).tick()

    def _deliver(self, *sides: str) -> None:
        world = self._world
        wanted = [(int(sides[0]), int(sides[1]))] if sides else None
        while ready := [side for side in sorted(wanted or world.links) if world.links.get(side)]:
            for side in ready:
                world.deliver(side)

    def _sync(self, *sids: str) -> None:
        for sid in sids:
            self._node(sid).sync()
            self._node(sid).hear_of_sync()

    def _propose(self, sid: str, *txns: str) -> None:
        self._world.propose(self._node(sid), [txn.encode() for txn in txns])
        self._world.trace.clear()

    def _barrier(self, sid: str) -> None:
        node = self._node(sid)
        assert node.core is not None
        node.barriers[node.core.barrier()] = 0
        node.work()

    def _crash(self, sid: str) -> None:
        node = self._node(sid)
        node.disk.waiting.clear()
        self._world.crash(node)
        self._world.trace.clear()

    def _start(self, sid: str) -> None:
        self._node(sid).start()
        for other in sorted(self._world.all - {int(sid)}):
            if self._world.nodes[other].core is not None:
                self._connect(sid, str(other))

    def _cut(self, one: str, other: str) -> None:
        for side in ((int(one), int(other)), (int(other), int(one))):
            self._world.links[side].clear()
        self._world.cut(int(one), int(other))

    def _connect(self, one: str, other: str) -> None:
        for side in ((int(one), int(other)), (int(other), int(one))):
            if side in self._world.links:
                self._world.links[side].clear()
        self._world.connect(int(one), int(other))

    def _flush(self, sid: str) -> None:
        self._node(sid).flush()

    def _drop(self, sid: str, zxid: str) -> None:
        self._node(sid).drop(_zxids(zxid)[0])

    def _snapshot(self, sid: str) -> None:
        self._node(sid).go_on()

    def _settle(self) -> None:
        """As long as it takes for all to serve, but no longer."""
        world = self._world
        for at in range(400):
            self._deliver()
            for node in world.nodes.values():
                if node.core is not None:
                    node.sync()
                    node.hear_of_sync()
                    if node.steps or node.senders:
                        node.go_on()
            if not any(world.links.values()) and all(
                node.core is None or (node.serving and not node.asked and not node.untold)
                for node in world.nodes.values()
            ):
                break
            for node in world.nodes.values():
                if not at % 2:
                    node.tick()

    def _status(self) -> None:
        for sid, node in self._world.nodes.items():
            core, disk = node.core, node.disk
            what = "is down"
            if core is not None:
                what = {Role.LOOKING: "looks", Role.LEADING: "leads"}.get(core.role, "")
                what = what or f"follows {core.leader_id}"
                what += f" in epoch {core.epoch}" if core.serving else ", does not serve"
            parts = [
                f"accepted {disk.promises.accepted}, current {disk.promises.current}",
                f"on disk {span(disk.log)}" + (f" behind {show(disk.begins)}" if disk.begins else ""),
            ]
            if disk.waiting:
                parts.append(f"in memory {span(disk.waiting)}")
            parts.append(f"applied {show(last(node.applied)) if node.applied else 'nothing'}")
            self._world.tell(f"{sid} {what}: {'; '.join(parts)}")


if __name__ == "__main__":
    for script in SCRIPTS:
        script.write_text(play(script.read_text()))
        sys.stdout.write(f"{script.name}\n")
