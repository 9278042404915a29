"""A server's promises outlive it, whole or not at all; whatever is not what was saved is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from znoded.consensus.kept import PromisesDamaged
from znoded.consensus.zab.keeper import Keeper
from znoded.consensus.zab.ready import Promises

PROMISES = Promises(accepted=7, current=6, tails=((5, 0x5_0000_0003), (6, 0x6_0000_0001)), cluster=b"c" * 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "promises"


def test_without_a_file_nothing_is_promised(path: Path) -> None:
    assert Keeper(path).promises == Promises(0, 0, (), bytes(16))
    assert not path.exists()


def test_what_was_saved_is_there_after_a_restart(path: Path) -> None:
    keeper = Keeper(path)
    for promises in (PROMISES, Promises(accepted=8), PROMISES):
        keeper.save(promises)
        assert keeper.promises == Keeper(path).promises == promises
    assert list(path.parent.iterdir()) == [path]


def test_every_flipped_bit_is_found(path: Path) -> None:
    Keeper(path).save(PROMISES)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.raises(PromisesDamaged, match="is damaged"):
                Keeper(path)


def test_every_cut_and_every_addition_is_found(path: Path) -> None:
    Keeper(path).save(PROMISES)
    whole = path.read_bytes()
    for changed in (*(whole[:length] for length in range(len(whole))), whole + b"\0", whole + bytes(16)):
        path.write_bytes(changed)
        with pytest.raises(PromisesDamaged):
            Keeper(path)


def test_a_save_that_fails_leaves_what_was_promised_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(path)
    keeper.save(PROMISES)

    def fail(fd: int) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no"):
        keeper.save(Promises(accepted=9))
    assert keeper.promises == Keeper(path).promises == PROMISES
