"""Term, vote and the log's beginnings outlive a server, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from znoded.consensus.kept import PromisesDamaged
from znoded.consensus.raft.keeper import Base, Keeper, Promises

BASES = (Base(0x5_0000_0003, 0x5_0000_0001, 17, 5), Base(0x6_0000_0000, 0x6_0000_0000, 30, 6))
PROMISES = Promises(term=7, vote=2, bases=BASES, cluster=b"c" * 16)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "promises"


def test_without_a_file_nothing_is_promised(path: Path) -> None:
    keeper = Keeper(path)
    assert keeper.fresh
    assert keeper.promises == Promises(0, None, (), bytes(16))


@pytest.mark.parametrize("promises", [PROMISES, Promises(term=8), Promises(vote=0), Promises()])
def test_what_was_saved_is_there_after_a_restart(path: Path, promises: Promises) -> None:
    Keeper(path).save(promises)
    keeper = Keeper(path)
    assert keeper.promises == promises
    assert not keeper.fresh


def test_every_flipped_bit_and_every_cut_is_found(path: Path) -> None:
    Keeper(path).save(PROMISES)
    whole = path.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for changed in (*flipped, *[whole[:length] for length in range(len(whole))], whole + bytes(32)):
        path.write_bytes(changed)
        with pytest.raises(PromisesDamaged, match="is damaged: empty this server's directories"):
            Keeper(path)


def test_zabs_promises_are_none_of_rafts(path: Path) -> None:
    Keeper(path).save(PROMISES)
    path.write_bytes(path.read_bytes().replace(b"znoderft", b"znodezab"))
    with pytest.raises(PromisesDamaged):
        Keeper(path)


def test_the_last_two_beginnings_are_kept(path: Path) -> None:
    keeper = Keeper(path)
    keeper.save(PROMISES)
    new = Base(0x7_0000_0009, 0x7_0000_0009, 40, 7)
    keeper.begin(new)
    assert Keeper(path).promises == Promises(7, 2, (BASES[1], new), b"c" * 16)
    again = Base(0x7_0000_000A, 0x7_0000_0009, 40, 7)
    keeper.begin(again)
    assert Keeper(path).promises.bases == (BASES[1], again)
