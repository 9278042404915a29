"""A leader that was away, and has to give up what it put into its log meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from .node import CLOCK, Node
from .world import World


def leads(node: Node) -> bool:
    return node.raft is not None and node.raft.leads


def go_on(world: World, until: Callable[[], bool]) -> None:
    """Deliver all, sync all and let time pass, until that is so."""
    for _ in range(2000):
        while ready := [side for side in world.links if world.links[side]]:
            world.deliver(ready[0])
            if until():
                return
        for node in world.nodes.values():
            node.sync()
            node.hear_of_sync()
            node.tick()
        world.check()
    raise AssertionError("it does not come to that")


def test_a_leader_whose_log_is_cut_does_not_go_on_in_its_own_term() -> None:
    with CLOCK.rules():
        world = World(0, 3)
        world.heal()
        (old,) = [node for node in world.nodes.values() if leads(node)]
        others = [node for node in world.nodes.values() if node is not old]
        for other in others:
            world.cut(old.sid, other.sid)
        old.propose([b"never committed"])
        go_on(world, lambda: any(leads(node) for node in others))
        (new,) = [node for node in others if leads(node)]
        assert leads(old), "it knows nothing of that yet"

        world.connect(old.sid, new.sid)
        go_on(world, lambda: old.rebuilding)
        # It is never told what its log has in the place of that.
        world.cut(old.sid, new.sid)
        go_on(world, lambda: new.sid not in old.core.peers.links)
        while old.rebuilding:
            old.go_on()
        assert not leads(old)
        world.finish()


def test_a_snapshot_that_comes_while_the_log_is_cut_is_sent_again() -> None:
    with CLOCK.rules():
        world = World(0, 3)
        world.heal()
        (leader,) = [node for node in world.nodes.values() if leads(node)]
        learner = next(node for node in world.nodes.values() if node is not leader)
        world.crash(learner)
        for number in range(9):
            leader.propose([b"%d" % number])
            go_on(world, lambda number=number: len(leader.applied) > number)  # type: ignore[misc]
        leader.flush()
        while leader.disk.log.first_zxid <= learner.disk.log.last_zxid:
            leader.drop()
        learner.start()
        world.connect(leader.sid, learner.sid)
        go_on(world, lambda: leader.busy)
        learner.steps.append(lambda: None)
        while leader.busy:
            leader.go_on()
        while world.links[leader.sid, learner.sid]:
            world.deliver((leader.sid, learner.sid))
        world.finish()
