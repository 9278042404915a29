"""Servers that have come to different terms."""

from __future__ import annotations

from dataclasses import replace

from .node import CLOCK, SYNC, Node
from .test_cut import go_on, leads
from .world import World


def leader_of(world: World) -> Node:
    (leader,) = [node for node in world.nodes.values() if leads(node)]
    return leader


def test_a_server_that_stood_for_election_unheard_gets_back_in() -> None:
    with CLOCK.rules():
        world = World(0, 3)
        world.heal()
        leader = leader_of(world)
        lonely = next(node for node in world.nodes.values() if node is not leader)
        world.crash(lonely)
        promises = lonely.disk.keeper.promises
        lonely.disk.keeper.promises = replace(promises, term=promises.term + 5, vote=lonely.sid)
        lonely.start()
        world.finish()
        assert leader_of(world).core.raft.term > promises.term + 5


def test_a_leader_that_steps_down_is_followed_before_it_is_missed() -> None:
    with CLOCK.rules():
        world = World(0, 3)
        world.heal()
        leader = leader_of(world)
        began = leader.now
        leader.core.raft.step_down()
        go_on(world, lambda: any(leads(node) for node in world.nodes.values()))
        assert leader_of(world).now - began < SYNC / 4
        world.finish()
