"""The library's log is ours: entries by position, zxids by place, whatever is in memory, on disk, or gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from znoded.consensus.raft.command import NO_OP, Malformed, Segment, pack
from znoded.consensus.raft.journal import Journal, Place
from znoded.consensus.raft.keeper import Base, Keeper, Promises
from znoded.consensus.raft.messages import Entry
from znoded.storage.log import Log, LogGap

SEGMENT = 1 << 13


def command(*txns: bytes) -> bytes:
    return pack([Segment(1, 1, 1, txns)])


class House:
    """A journal that can be closed and opened, over a log and promises of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.added: list[tuple[bytes, int]] = []
        self.open(0)

    def open(self, applied: int, *, restoring: bool = False) -> Journal:
        self.log = Log(self._home / "log", segment_size=SEGMENT)
        self.keeper = Keeper(self._home / "promises")
        self.journal = Journal(
            self.log, self.keeper, applied, lambda *entry: self.added.append(entry), restoring=restoring
        )
        return self.journal

    def again(self, applied: int, *, restoring: bool = False) -> Journal:
        self.log.close()
        return self.open(applied, restoring=restoring)

    def fill(self, term: int, count: int, size: int = 10) -> list[Entry]:
        """A term's beginning, and commands of two transactions; on disk."""
        start = self.journal.last.index + 1
        commands = [NO_OP, *[command(b"%d" % n, bytes(size)) for n in range(count)]]
        entries = [(one, index, term) for index, one in enumerate(commands, start)]
        for entry in entries:
            self.journal.add(*entry)
            self.log.sync()
        self.sync()
        return entries

    def sync(self) -> None:
        self.log.sync()
        self.journal.synced()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    with closing(made.log):
        yield made


def all_of(journal: Journal) -> list[Entry]:
    """As the library reads a long log: by slices that end early."""
    found: list[Entry] = []
    while len(found) < len(journal):
        piece = journal[len(found) :]
        assert piece
        found += piece
    return found


def test_a_new_one_has_a_beginning_that_nobody_wrote(house: House) -> None:
    journal = house.journal
    assert (len(journal), journal[0], journal[-1]) == (1, (NO_OP, 1, 0), (NO_OP, 1, 0))
    assert house.log.last_zxid == 0


def test_zxids_are_told_by_the_place(house: House) -> None:
    house.fill(3, 2)
    house.fill(5, 1)
    assert [key for _, key in house.added] == [3 << 32, (3 << 32) + 2, (3 << 32) + 4, 5 << 32, (5 << 32) + 2]
    assert house.journal.last == Place(6, 5, (5 << 32) + 2)


def test_entries_are_there_by_position_and_in_slices(house: House) -> None:
    entries = [(NO_OP, 1, 0), *house.fill(1, 5)]
    journal = house.journal
    assert [journal[at] for at in range(len(journal))] == entries == all_of(journal)
    assert journal[-1] == entries[-1]
    for start in range(len(entries) + 1):
        for stop in range(start, len(entries) + 2):
            assert list(journal[start:stop]) == entries[start:stop]


def test_a_term_begins_once_and_before_its_transactions(house: House) -> None:
    house.fill(2, 1)
    for wrong in ((NO_OP, 4, 2), (command(b"x"), 4, 3), (NO_OP, 4, 1)):
        with pytest.raises(Malformed):
            house.journal.add(*wrong)
    assert house.journal.last.index == 3


def test_an_entry_that_is_there_is_passed_over(house: House) -> None:
    entries = house.fill(1, 2)
    house.added.clear()
    for entry in entries:
        house.journal.add(*entry)
    assert house.added == []


def test_a_peer_s_lag_is_told_in_transactions_of_the_term(house: House) -> None:
    house.fill(3, 2)
    house.fill(5, 2)
    journal = house.journal
    assert [journal.count_beyond(index) for index in range(5, 8)] == [4, 2, 0]
    assert journal.count_beyond(2) == 4


def test_what_is_not_synced_is_not_durable(house: House) -> None:
    house.fill(1, 2)
    house.journal.add(command(b"x"), 5, 1)
    house.journal.synced()
    assert (house.journal.durable, house.journal.last.index) == (4, 5)
    house.sync()
    assert house.journal.durable == 5


def test_what_is_cut_makes_room_for_others(house: House) -> None:
    house.fill(1, 4)
    house.log.truncate(house.journal.key_at(3))
    house.journal.truncate(3)
    assert house.journal.last == Place(3, 1, (1 << 32) + 2)
    entries = house.fill(2, 1)
    assert all_of(house.journal)[3:] == entries
    assert house.again(0).last == Place(5, 2, (2 << 32) + 2)


class TestLongLogs:
    """Whose older entries are on disk alone."""

    @pytest.fixture
    def entries(self, house: House) -> list[Entry]:
        written = [(NO_OP, 1, 0), *house.fill(1, 20, 3000), *house.fill(4, 20, 3000)]
        assert len(house.log.starts) > 10
        return written

    def test_they_are_read_from_there(self, house: House, entries: list[Entry]) -> None:
        journal = house.again(house.journal.key_at(40))
        assert all_of(journal) == entries
        assert [journal[at] for at in reversed(range(len(journal)))] == entries[::-1]
        assert [journal.term_at(at) for at in range(1, 44)] == [entry[2] for entry in entries]
        assert (journal.term_at(0), journal.term_at(44)) == (None, None)

    def test_the_last_delivered_one_is_what_it_was(self, house: House, entries: list[Entry]) -> None:
        """Of it only place and term are in memory."""
        journal = house.again(house.journal.last.key)
        assert journal[-1][1:] == entries[-1][1:]
        assert list(journal[len(journal) - 1 :]) == [entries[-1]]

    def test_a_zxid_has_its_place(self, house: House, entries: list[Entry]) -> None:
        keys = [0, *[key for _, key in house.added]]
        for applied in (0, keys[12], keys[-1]):
            journal = house.again(applied)
            for index, key in enumerate(keys, 1):
                assert journal.place(key).index == index
                assert journal.place(key).key == key
            # In the middle of an entry, up to which the state is: it comes again.
            assert journal.place(keys[12] - 1).index == 12

    def test_what_others_do_not_need_may_go(self, house: House, entries: list[Entry]) -> None:
        journal = house.journal
        goal = house.log.starts[6] - 1
        journal.begin_at(goal)
        assert journal.base.key == goal
        house.log.drop(goal + 1)
        assert house.log.first_zxid == goal + 1
        kept = entries[journal.base.index :]
        assert all_of(journal)[1:] == kept
        assert journal[0][1:] == (journal.base.index, journal.base.term)
        journal = house.again(journal.last.key)
        assert (journal.base.key, all_of(journal)[1:]) == (goal, kept)

    def test_memory_is_let_go_of_once_it_is_delivered(self, house: House, entries: list[Entry]) -> None:
        journal = house.journal
        journal.kept = 20_000
        journal.forget(30)
        assert len(journal.beyond(43)) == 0
        assert all_of(journal) == entries
        journal.forget(43)
        assert all_of(journal) == entries
        assert journal.key_at(43) == journal.last.key


class TestBeginnings:
    BASE = Base(0x2_0000_0005, 0x2_0000_0004, 20, 2)

    def test_behind_a_snapshot_it_goes_on(self, house: House) -> None:
        house.fill(1, 3)
        house.keeper.begin(self.BASE)
        house.log.restart(self.BASE.key)
        house.journal.begin(self.BASE)
        assert (len(house.journal), house.journal[0]) == (1, (NO_OP, 20, 2))
        journal = house.again(self.BASE.zxid)
        assert journal.base == Place(20, 2, self.BASE.key)
        assert house.fill(3, 1)[0][1] == 21
        assert house.again(self.BASE.zxid).base == Place(20, 2, self.BASE.key)

    def test_after_a_crash_between_state_and_log_it_does_too(self, house: House) -> None:
        house.fill(1, 3)
        house.keeper.begin(self.BASE)
        assert house.again(self.BASE.zxid, restoring=True).base == Place(20, 2, self.BASE.key)

    def test_after_a_crash_behind_entries_that_nobody_committed_it_does_too(self, house: House) -> None:
        house.fill(7, 3)
        house.keeper.begin(self.BASE)
        assert house.again(self.BASE.zxid, restoring=True).last == Place(20, 2, self.BASE.key)

    def test_a_crash_before_the_state_is_there_leaves_the_log(self, house: House) -> None:
        entries = house.fill(1, 3)
        house.keeper.begin(self.BASE)
        for restoring in (False, True):
            assert all_of(house.again((1 << 32) + 2, restoring=restoring))[1:] == entries

    def test_a_log_that_is_lost_is_no_crash(self, house: House) -> None:
        """It may have held what was acknowledged, though the state is that of a snapshot still."""
        house.keeper.begin(self.BASE)
        with pytest.raises(LogGap, match="the log ends with zxid 0x0, not 0x200000005"):
            house.again(self.BASE.zxid)

    def test_data_from_elsewhere_have_the_same_beginning_everywhere(self, tmp_path: Path) -> None:
        places = []
        for name in ("one", "other"):
            home = tmp_path / name
            home.mkdir()
            with closing(Log(home / "log")) as log:
                log.restart(0x4_0000_0009)
            house = House.__new__(House)
            house._home, house.added = home, []
            places.append(house.open(0x4_0000_0009).base)
            house.log.close()
        assert places == [Place(0x4_0000_000B, 4, 0x4_0000_0009)] * 2

    def test_a_state_that_the_log_does_not_reach_back_to_is_refused(self, house: House) -> None:
        house.fill(1, 3)
        house.keeper.begin(self.BASE)
        house.log.restart(self.BASE.key)
        with pytest.raises(LogGap, match="the log begins after zxid 0x200000004, the state is that of 0x0"):
            house.again(0)

    def test_a_beginning_that_nobody_knows_is_refused(self, house: House) -> None:
        house.keeper.save(Promises(term=1))
        house.log.restart(self.BASE.key)
        with pytest.raises(LogGap, match="nobody knows which entry"):
            house.again(self.BASE.zxid)
