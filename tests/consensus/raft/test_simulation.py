"""Ensembles under every kind of trouble, one for each seed; `make simulate` runs as many as wanted."""

from __future__ import annotations

import pytest

from ..world import NoRest
from .faults import FAULTS, RARE, SCRIPTED, STUCK
from .world import run

SEEDS = 100
"""In five parts, so that one that fails is found soon."""


@pytest.mark.parametrize("part", range(5))
def test_the_invariants_hold(part: int) -> None:
    for seed in range(part * SEEDS // 5, (part + 1) * SEEDS // 5):
        try:
            run(seed)
        except Exception as error:
            pytest.fail(f"seed {seed}: {error}; make simulate BACKEND=raft SEED={seed} shows what happened")


def test_a_seed_replays_exactly() -> None:
    assert run(7).trace == run(7).trace


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in SCRIPTED])
def test_a_planted_fault_is_found(fault: str) -> None:
    with FAULTS[fault](), pytest.raises(AssertionError) as found:
        for seed in range(first := RARE.get(fault, 0), first + 60):
            run(seed)
    assert fault in STUCK or not isinstance(found.value, NoRest), "a law should have been broken before"
