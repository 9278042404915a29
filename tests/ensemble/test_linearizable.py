"""The checker itself: it takes what could have happened, and rejects what could not."""

from __future__ import annotations

import random

import pytest

from .linearizable import UNKNOWN, Call, linearized
from .register import BadVersion, Read, RegisterCall, Told, Value, Write, step

EMPTY = Value(b"", 0)


def read(begun: float, ended: float, value: bytes, version: int) -> RegisterCall:
    return Call(Read(), Value(value, version), begun, ended)


def write(
    begun: float, ended: float, value: bytes, made: int | None = None, expected: int = -1
) -> RegisterCall:
    """made: the version that it was told; None if it was told nothing."""
    told: Told | None = None if made is None else Value(value, made)
    return Call(Write(value, expected), told, begun, ended)


def lapsed(begun: float, until: float, value: bytes) -> RegisterCall:
    """A write of which nothing was heard, and that is not done any more from then on."""
    return Call(Write(value), None, begun, lapsed=until)


def refused(begun: float, ended: float, value: bytes, expected: int) -> RegisterCall:
    return Call(Write(value, expected), BadVersion(), begun, ended)


def holds(*calls: RegisterCall) -> bool:
    return linearized(calls, EMPTY, step) is not None


GOOD = {
    "nothing": [],
    "one after the other": [write(0, 1, b"a", 1), read(2, 3, b"a", 1)],
    "a read during a write sees what was": [write(0, 9, b"a", 1), read(1, 2, b"", 0)],
    "a read during a write sees what comes": [write(0, 9, b"a", 1), read(1, 2, b"a", 1)],
    "two writes in either order": [write(0, 9, b"a", 2), write(0, 9, b"b", 1), read(10, 11, b"a", 2)],
    "an unknown write was done": [write(0, UNKNOWN, b"a"), read(1, 2, b"a", 1)],
    "an unknown write was not done": [write(0, UNKNOWN, b"a"), read(1, 2, b"", 0)],
    "an unknown write was done much later": [
        write(0, UNKNOWN, b"a"),
        read(1, 2, b"", 0),
        write(3, 4, b"b", 1),
        read(5, 6, b"a", 2),
    ],
    "a write of a version that is there no more": [write(0, 1, b"a", 1), refused(2, 3, b"b", 0)],
    "one of two writes of a version": [write(0, 9, b"a", 1, expected=0), refused(0, 9, b"b", 0)],
    "a write of a version, unknown and too late": [
        write(0, UNKNOWN, b"b", expected=0),
        write(1, 2, b"a", 1),
        read(3, 4, b"a", 1),
    ],
}

GOOD |= {
    "an unknown write was done before it lapsed": [
        lapsed(0, 2, b"a"),
        read(0, 1, b"", 0),
        write(3, 4, b"b", 2),
    ],
    "an unknown write lapsed": [lapsed(0, 2, b"a"), read(3, 4, b"", 0), write(5, 6, b"b", 1)],
}

BAD = {
    "an unknown write was done after it lapsed": [
        lapsed(0, 2, b"a"),
        write(3, 4, b"b", 1),
        read(5, 6, b"a", 2),
    ],
    "a stale read": [write(0, 1, b"a", 1), read(2, 3, b"", 0)],
    "a lost write": [write(0, 1, b"a", 1), write(2, 3, b"b", 2), read(4, 5, b"a", 1)],
    "a read back in time": [write(0, 9, b"a", 1), read(1, 2, b"a", 1), read(3, 4, b"", 0)],
    "a value that nobody wrote": [write(0, 1, b"a", 1), read(2, 3, b"z", 1)],
    "a value before it was written": [read(0, 1, b"a", 1), write(2, 3, b"a", 1)],
    "a write done twice": [write(0, 1, b"a", 1), read(2, 3, b"a", 2)],
    "an unknown write that came and went": [
        write(0, UNKNOWN, b"a"),
        read(1, 2, b"a", 1),
        read(3, 4, b"", 0),
    ],
    "an unknown write done twice": [
        write(0, UNKNOWN, b"a"),
        read(1, 2, b"a", 1),
        write(3, 4, b"b", 2),
        read(5, 6, b"a", 3),
    ],
    "two writes of one version": [write(0, 9, b"a", 1, expected=0), write(0, 9, b"b", 1, expected=0)],
    "a write of a version that was not there": [write(0, 1, b"a", 1, expected=5)],
    "a write refused without reason": [refused(0, 1, b"a", 0)],
    "two reads that saw two writes in different order": [
        write(0, 9, b"a", 1),
        write(0, 9, b"b", 2),
        read(1, 2, b"a", 1),
        read(3, 4, b"b", 1),
    ],
}


@pytest.mark.parametrize("calls", GOOD.values(), ids=GOOD)
def test_it_takes(calls: list[RegisterCall]) -> None:
    assert holds(*calls)


@pytest.mark.parametrize("calls", BAD.values(), ids=BAD)
def test_it_rejects(calls: list[RegisterCall]) -> None:
    assert not holds(*calls)


def history(seed: int, length: int = 150) -> list[RegisterCall]:
    """Calls on a register that really was one: each takes effect at some moment while it lasts."""
    random_ = random.Random(seed)
    moments = []
    for number in range(length):
        begun = random_.uniform(0, length / 2)
        moments.append((begun, random_.uniform(begun, begun + 2), random_.uniform(0, 2), number))
    now = EMPTY
    calls: list[RegisterCall] = []
    for begun, moment, more, number in sorted(moments, key=lambda one: one[1]):
        if random_.random() < 0.5:
            calls.append(Call(Read(), now, begun, moment + more))
            continue
        asked = Write(b"%d" % number, random_.choice([-1, now.version]))
        if random_.random() < 0.05:
            calls.append(Call(asked, None, begun))
            if random_.random() < 0.5:
                continue
            now = Value(asked.value, now.version + 1)
        else:
            now = Value(asked.value, now.version + 1)
            calls.append(Call(asked, now, begun, moment + more))
    return calls


@pytest.mark.parametrize("seed", range(5))
def test_it_takes_what_a_register_did_and_rejects_it_with_one_read_changed(seed: int) -> None:
    calls = history(seed)
    order = linearized(calls, EMPTY, step)
    assert order is not None
    assert {id(call) for call in calls if call.told is not None} <= set(map(id, order))
    last = max(call.ended for call in calls if call.ended != UNKNOWN)
    assert not holds(*calls, read(last + 1, last + 2, b"", 0))
