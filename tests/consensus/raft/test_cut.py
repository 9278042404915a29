"""A leader that was away, and has to give up what it put into its log meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from .node import CLOCK
from .world import World


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
        (old,) = [node for node in world.nodes.values() if node.raft and node.raft.leads]
        others = [node for node in world.nodes.values() if node is not old]
        for other in others:
            world.cut(old.sid, other.sid)
        old.propose([b"never committed"])
        go_on(world, lambda: any(node.raft is not None and node.raft.leads for node in others))
        (new,) = [node for node in others if node.raft and node.raft.leads]
        assert old.raft is not None
        assert old.raft.leads, "it knows nothing of that yet"

        world.connect(old.sid, new.sid)
        go_on(world, lambda: old.rebuilding)
        # It is never told what its log has in the place of that.
        world.cut(old.sid, new.sid)
        go_on(world, lambda: new.sid not in old.peers.links)
        while old.rebuilding:
            old.go_on()
        assert not old.raft.leads
        world.finish()
