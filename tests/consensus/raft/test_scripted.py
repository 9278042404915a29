"""Planted faults that chance finds too rarely: what leads up to each, step by step. Without it, all holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest

from ..laws import Broken
from .faults import FAULTS, SCRIPTED
from .node import CLOCK, Node
from .test_cut import leads
from .world import World


class Stage:
    """An ensemble, of which only those links carry that are wanted."""

    def __init__(self, voters: int) -> None:
        self.world = World(0, voters)
        self.world.heal()
        self.silent: set[tuple[int, int]] = set()

    @property
    def nodes(self) -> dict[int, Node]:
        return self.world.nodes

    @property
    def leader(self) -> int:
        return max(self.nodes, key=lambda sid: self.nodes[sid].core.raft.term * leads(self.nodes[sid]))

    def until(self, condition: Callable[[], bool]) -> None:
        """Deliver and sync, and let time pass, until that is so."""
        world = self.world
        for _ in range(400):
            while ready := [side for side in world.links if world.links[side] and side not in self.silent]:
                world.deliver(ready[0])
                if condition():
                    return
            for node in world.nodes.values():
                if node.running:
                    node.sync()
                    node.hear_of_sync()
                    if node.busy:
                        node.go_on()
                    if condition():
                        return
                    node.tick()
            world.check()
        raise AssertionError("it does not come to that")

    def part(self, *some: int) -> None:
        """These from the others."""
        for side in self.silent:
            self.world.links[side].clear()
        self.silent.clear()
        for one in some:
            for other in self.world.all - {*some}:
                self.world.cut(one, other)
        self.until(lambda: all(self.world.apart_now(a, b) for a in some for b in self.world.all - {*some}))


def commit(stage: Stage) -> None:
    """A server whose log goes on otherwise than the leader's hears how much is committed together with what
    both have."""
    old = stage.leader
    others = sorted(stage.world.all - {old})
    near, far = others
    stage.part(far)
    stage.silent = {(near, old)}
    for _ in range(2):
        stage.nodes[old].propose([bytes(200)])
        stage.until(lambda: stage.nodes[near].journal.durable == stage.nodes[old].journal.durable)
    stage.part(old)
    stage.nodes[old].propose([b"never committed"])
    assert leads(stage.nodes[old])
    stage.world.connect(near, far)
    stage.until(lambda: leads(stage.nodes[near]))
    stage.nodes[near].propose([b"committed"])
    stage.until(lambda: stage.nodes[near].applied == stage.nodes[far].applied != {})
    # Another leader, so that the first thing it tells does not fit.
    stage.nodes[near].step_down()
    stage.until(lambda: leads(stage.nodes[near]) or leads(stage.nodes[far]))
    stage.world.connect(old, near)
    stage.world.finish()


def term(stage: Stage) -> None:
    """A leader that lost its lead, and what was in its log then, leads again when it hears what a server said
    of that log."""
    old = stage.leader
    near, away, *rest = sorted(stage.world.all - {old})
    stage.part(old, near)
    stage.silent = {(near, old)}
    for number in range(8):
        stage.nodes[old].propose([b"%d" % number])
        stage.nodes[old].sync()
        stage.nodes[old].hear_of_sync()
    stage.until(lambda: stage.nodes[near].journal.durable == stage.nodes[old].journal.last.index)
    stage.silent = {(near, old), (old, near)}
    stage.until(lambda: any(leads(stage.nodes[sid]) for sid in (away, *rest)))
    new = stage.leader
    first, second = {away, *rest} - {new}
    stage.until(lambda: len({stage.nodes[sid].journal.last for sid in (new, first, second)}) == 1)
    stage.world.connect(old, new)
    stage.until(lambda: stage.nodes[old].journal.last == stage.nodes[new].journal.last)
    stage.world.crash(stage.nodes[new])
    stage.world.cut(first, second)
    stage.world.connect(old, first)
    stage.world.connect(old, second)
    stage.until(lambda: leads(stage.nodes[old]))
    leader = stage.nodes[old]
    stage.silent |= {(second, old), (old, second)}
    leader.propose([b"on two disks"])
    stage.until(lambda: leader.journal.durable == leader.journal.last.index)
    while stage.world.links[near, old]:
        stage.world.deliver((near, old))
    stage.until(lambda: leader.core.peers.links[first].matched == leader.journal.last.index)
    leader.tick()
    stage.silent.clear()
    stage.world.finish()


SCRIPTS: dict[str, tuple[int, Callable[[Stage], None]]] = {"cap": (3, commit), "term": (5, term)}


def test_there_is_a_script_for_each() -> None:
    assert SCRIPTS.keys() == SCRIPTED


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("fault", SCRIPTS)
def test_what_leads_up_to_it(fault: str, planted: bool) -> None:
    voters, script = SCRIPTS[fault]
    with CLOCK.rules(), FAULTS[fault]() if planted else nullcontext():
        stage = Stage(voters)
        if not planted:
            script(stage)
        else:
            with pytest.raises(Broken):
                script(stage)
