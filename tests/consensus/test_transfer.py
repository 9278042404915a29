"""A snapshot in a file: it has its name only once it is whole, and what is left of others is not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.consensus.transfer import Incoming
from znoded.storage.log import Log

from .recording import Recording


class Replica(Recording):
    """Takes for a whole snapshot what ends with a dot; its zxid is its length."""

    def check(self, source: Path) -> int:
        data = source.read_bytes()
        if not data.endswith(b"."):
            raise OSError("a part")
        return len(data)


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(Log(tmp_path / "log"))


@pytest.fixture
def incoming(tmp_path: Path) -> Incoming:
    return Incoming(tmp_path)


def test_a_whole_one_gets_its_name(incoming: Incoming, replica: Replica) -> None:
    incoming.begin()
    for chunk in (b"one ", b"two", b"."):
        incoming.add(chunk)
        assert not incoming.path.exists()
    incoming.finish(replica, 8)
    assert incoming.path.read_bytes() == b"one two."
    assert not incoming.part.exists()
    incoming.done()
    assert not incoming.path.exists()
    incoming.done()


@pytest.mark.parametrize(("data", "zxid"), [(b"one", 3), (b"one.", 5), (b"", 0)])
def test_a_part_or_another_one_does_not(incoming: Incoming, replica: Replica, data: bytes, zxid: int) -> None:
    incoming.begin()
    incoming.add(data)
    with pytest.raises(OSError, match=r"a part|of zxid"):
        incoming.finish(replica, zxid)
    assert not incoming.path.exists()


def test_one_that_was_only_told_of_does_not_either(incoming: Incoming, replica: Replica) -> None:
    incoming.add(b"before any began.")
    with pytest.raises(OSError, match="did not come"):
        incoming.finish(replica, 17)


def test_a_new_one_takes_nothing_of_the_last(incoming: Incoming, replica: Replica) -> None:
    incoming.begin()
    incoming.add(b"much that is never finished")
    incoming.begin()
    incoming.add(b"two.")
    incoming.finish(replica, 4)
    assert incoming.path.read_bytes() == b"two."


def test_a_part_that_a_crash_left_is_removed(incoming: Incoming) -> None:
    incoming.part.write_bytes(b"from another life")
    incoming.discard()
    assert not incoming.part.exists()
