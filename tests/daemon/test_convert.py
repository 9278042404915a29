"""`znoded convert`: what one backend has kept is kept as the other would have; killed, it goes on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from znoded.consensus.contract import Record
from znoded.consensus.raft.command import NO_OP, Segment, pack, records_of
from znoded.consensus.raft.journal import Journal, command_of
from znoded.consensus.raft.keeper import Base
from znoded.consensus.raft.keeper import Keeper as RaftKeeper
from znoded.consensus.raft.keeper import Promises as RaftPromises
from znoded.consensus.zab.keeper import Keeper as ZabKeeper
from znoded.consensus.zab.ready import Promises as ZabPromises
from znoded.daemon.cli import main
from znoded.daemon.config import Backend, Config, load
from znoded.daemon.convert import NoConversion, convert
from znoded.daemon.occupation import Occupied, occupy
from znoded.daemon.ordering import OtherBackend, conversion, memory, refuse_half_converted
from znoded.storage import ops
from znoded.storage.engine import open_engine
from znoded.storage.log import Log
from znoded.storage.state import State, zxid_in
from znoded.storage.writes import Writes

from ..daemons import Daemon
from ..storage.requests import Request

CLUSTER: Final = bytes(range(16))
SETTINGS: Final = """\
tickTime=200
initLimit=25
syncLimit=5
server.1=127.0.0.1:2888:3888
server.2=127.0.0.1:2889:3889
server.3=127.0.0.1:2890:3890
"""
KILLED: Final = 9


def txn(zxid: int) -> bytes:
    """Makes a znode that is named after it."""
    return Request(ops.CREATE, b"/%x" % zxid).transaction()


def epoch(number: int, count: int) -> list[Record]:
    """The first transactions of an epoch."""
    return [(zxid, txn(zxid)) for zxid in range((number << 32) + 1, (number << 32) + 1 + count)]


def entry(number: int, zxid: int, count: int) -> Record:
    """Of Raft's log, with that index and transactions from that zxid on; without any, a term begins there."""
    command = pack([Segment(1, 7, 0, tuple(txn(zxid + at) for at in range(count)))]) if count else NO_OP
    return zxid + max(count - 1, 0), number.to_bytes(8) + command


@dataclass(frozen=True, slots=True)
class Home:
    """A stopped server's configuration and data."""

    config: Config

    @property
    def file(self) -> Path:
        return self.config.data_dir.parent / "zoo.cfg"

    def write(self, records: Sequence[Record], applied: Sequence[Record], after: int = 0) -> None:
        """A log that begins there, and a state in which those transactions are."""
        with closing(Log(self.config.data_log_dir / "log", segment_size=1 << 16)) as log:
            if after:
                log.restart(after)
            for record in records:
                log.append(*record)
            log.sync()
        with closing(open_engine("lmdb", self.config.data_dir)) as engine:
            state = State(engine)
            writes = Writes(state)
            for record in applied:
                writes.apply(*record)
            engine.commit(state.freeze())

    def promise_zab(self, accepted: int = 0, current: int = 0) -> None:
        directory = memory(self.config, Backend.ZAB)
        directory.mkdir()
        ZabKeeper(directory / "promises").save(ZabPromises(accepted, current, (), CLUSTER))

    def promise_raft(self, term: int, *bases: Base) -> None:
        directory = memory(self.config, Backend.RAFT)
        directory.mkdir()
        RaftKeeper(directory / "promises").save(RaftPromises(term, 2, bases, CLUSTER))

    def convert(self, to: Backend) -> None:
        assert convert(self.config, to, lambda _: nullcontext(id)) is not None

    @property
    def applied(self) -> int:
        """zxid of the state."""
        with closing(open_engine("lmdb", self.config.data_dir)) as engine:
            return zxid_in(engine)

    def log(self) -> tuple[int, list[Record]]:
        """Where it begins, and what it holds."""
        with closing(Log(self.config.data_log_dir / "log")) as log:
            return log.first_zxid - 1, list(log.read(log.first_zxid - 1))

    def entries(self) -> list[tuple[int, int, list[Record]]]:
        """(index, term, transactions), as Raft finds them, from where its log begins."""
        keeper = RaftKeeper(memory(self.config, Backend.RAFT) / "promises")
        with closing(Log(self.config.data_log_dir / "log")) as log:
            journal = Journal(log, keeper, self.applied, lambda command, key: None)
            base = journal.base
            found: list[tuple[int, int, list[Record]]] = [(base.index, base.term, [])]
            for key, payload in log.read(base.key):
                index = int.from_bytes(payload[:8])
                assert journal.term_at(index) == key >> 32
                found.append((index, key >> 32, records_of(command_of(payload), key)))
            assert [index for index, _, _ in found] == list(range(base.index, journal.last.index + 1))
        return found

    @property
    def zab(self) -> ZabPromises:
        return ZabKeeper(memory(self.config, Backend.ZAB) / "promises").promises

    @property
    def raft(self) -> RaftPromises:
        return RaftKeeper(memory(self.config, Backend.RAFT) / "promises").promises


def znoded(home: Home, to: str) -> Result:
    return CliRunner().invoke(main, ["convert", "--config", str(home.file), "--to", to])


@pytest.fixture
def new(tmp_path: Path) -> Callable[[], Home]:
    """Makes servers that have nothing but their number yet."""

    def make() -> Home:
        folder = tmp_path / f"server{len(list(tmp_path.iterdir()))}"
        data = folder / "data"
        data.mkdir(parents=True)
        (data / "myid").write_text("1\n")
        (folder / "zoo.cfg").write_text(f"{SETTINGS}dataDir={data}\nclientPort=2181\n")
        config = load(folder / "zoo.cfg", {}).config
        assert config is not None
        return Home(config)

    return make


@pytest.fixture
def home(new: Callable[[], Home]) -> Home:
    return new()


class TestToRaft:
    def test_the_last_epoch_becomes_entries_and_what_came_before_goes_into_the_state(
        self, home: Home
    ) -> None:
        first, second, third = epoch(1, 4), epoch(2, 3), epoch(5, 3)
        home.write([*first, *second, *third], first[:2])
        home.promise_zab(accepted=6, current=5)
        home.convert(Backend.RAFT)
        assert home.applied == second[-1][0]
        begins = 5 << 32
        assert home.entries() == [
            (begins + 2, 5, []),
            *[(zxid + 2, 5, [(zxid, body)]) for zxid, body in third],
        ]

    def test_what_nobody_may_have_committed_is_an_entry_and_not_in_the_state(self, home: Home) -> None:
        records = epoch(3, 5)
        home.write(records, records[:2])
        home.promise_zab(accepted=3, current=3)
        home.convert(Backend.RAFT)
        assert home.applied == records[1][0]
        assert [txns for _, _, txns in home.entries()[1:]] == [[record] for record in records]

    def test_the_term_is_one_behind_the_last_epoch_that_was_promised(self, home: Home) -> None:
        records = epoch(3, 2)
        home.write(records, records)
        home.promise_zab(accepted=8, current=4)
        home.convert(Backend.RAFT)
        assert (home.raft.term, home.raft.vote, home.raft.cluster) == (9, None, CLUSTER)

    def test_wherever_a_log_begins_an_entry_has_the_same_index(self, new: Callable[[], Home]) -> None:
        whole, short = new(), new()
        records = epoch(2, 6)
        whole.write([*epoch(1, 3), *records], epoch(1, 3))
        short.write(records[4:], records[:5], after=records[3][0])
        for home in (whole, short):
            home.promise_zab(accepted=2, current=2)
            home.convert(Backend.RAFT)
        assert short.entries()[1:] == whole.entries()[-2:]
        assert short.entries()[0][:2] == whole.entries()[-3][:2]

    def test_an_empty_log_behind_a_snapshot(self, home: Home) -> None:
        records = epoch(2, 6)
        home.write([], records, after=records[-1][0])
        home.promise_zab(accepted=2, current=2)
        home.convert(Backend.RAFT)
        assert home.entries() == [(records[-1][0] + 2, 2, [])]

    def test_a_restore_that_was_cut_off_before_the_log(self, home: Home) -> None:
        """As the server would do at its start: the state is a leader's snapshot, the log is older."""
        records = epoch(2, 6)
        home.write(records[:2], records)
        home.promise_zab(accepted=2, current=2)
        (memory(home.config, Backend.ZAB) / "incoming").touch()
        home.convert(Backend.RAFT)
        assert home.entries() == [(records[-1][0] + 2, 2, [])]

    def test_a_standalone_servers_data_are_what_an_ensemble_begins_with(self, home: Home) -> None:
        records = epoch(0, 4)
        home.write(records, records[:1])
        home.convert(Backend.RAFT)
        assert home.applied == 4
        assert home.entries() == [(6, 0, [])]

    def test_an_ensembles_server_without_data(self, home: Home) -> None:
        home.promise_zab(accepted=1)
        with closing(Log(home.config.data_log_dir / "log")):
            pass
        home.convert(Backend.RAFT)
        assert home.entries() == [(1, 0, [])]
        assert home.raft.term == 2


class TestToZab:
    def test_transactions_become_records_one_by_one(self, home: Home) -> None:
        one, two = 1 << 32, 2 << 32
        log = [entry(2, one, 0), entry(3, one + 1, 3), entry(4, two, 0), entry(5, two + 1, 2)]
        home.write(log, epoch(1, 3)[:2])
        home.promise_raft(4)
        home.convert(Backend.ZAB)
        assert home.log() == (0, [*epoch(1, 3), *epoch(2, 2)])
        assert home.applied == one + 2
        assert home.zab == ZabPromises(4, 2, ((1, one + 3), (2, two + 2)), CLUSTER)

    def test_the_last_term_counts_though_it_has_only_begun(self, home: Home) -> None:
        one, two = 1 << 32, 2 << 32
        home.write([entry(2, one, 0), entry(3, one + 1, 3), entry(4, two, 0)], epoch(1, 3))
        home.promise_raft(2)
        home.convert(Backend.ZAB)
        assert home.zab == ZabPromises(2, 2, ((1, one + 3),), CLUSTER)

    def test_a_state_from_the_middle_of_an_entry(self, home: Home) -> None:
        """It was a snapshot, and the log behind it is empty yet."""
        one = 1 << 32
        home.write([], epoch(1, 5), after=one + 3)
        home.promise_raft(1, Base(one + 5, one + 3, 12, 1))
        home.convert(Backend.ZAB)
        assert home.log() == (one + 5, [])
        assert home.zab.tails == ((1, one + 5),)

    def test_there_and_back(self, home: Home) -> None:
        records = epoch(2, 6)
        home.write([*epoch(1, 3), *records], epoch(1, 2))
        home.promise_zab(accepted=4, current=2)
        home.convert(Backend.RAFT)
        home.convert(Backend.ZAB)
        assert home.log() == (epoch(1, 3)[-1][0], records)
        assert home.zab == ZabPromises(5, 2, ((1, epoch(1, 3)[-1][0]), (2, records[-1][0])), CLUSTER)


class TestKilled:
    def test_it_is_as_it_was_or_goes_on_when_it_is_run_again(self, home: Home) -> None:
        """At every name that is changed or goes."""
        home.write([*epoch(1, 3), *epoch(2, 4)], epoch(1, 1))
        home.promise_zab(accepted=2, current=2)
        data, saved = home.config.data_dir, home.config.data_dir.with_name("saved")
        shutil.copytree(data, saved)
        home.convert(Backend.RAFT)
        expected = home.applied, home.entries(), home.raft
        seen = set()
        for step in range(100):
            shutil.rmtree(data)
            shutil.copytree(saved, data)
            if not killed(home, step):
                break
            half = conversion(home.config, Backend.RAFT).exists()
            seen.add(half)
            if half:
                with pytest.raises(OtherBackend, match="run `znoded convert --to raft` again"):
                    refuse_half_converted(home.config)
            else:
                # As it was, if not for transactions that were committed long since; or all done.
                refuse_half_converted(home.config)
                if memory(home.config, Backend.ZAB).exists():
                    assert home.log() == (0, [*epoch(1, 3), *epoch(2, 4)])
                    assert home.zab.accepted == 2
            assert znoded(home, "raft").exit_code == 0
            assert (home.applied, home.entries(), home.raft) == expected
            assert {path.name for path in data.iterdir()} - {"installed"} == {
                *(path.name for path in saved.iterdir() if path.name != "zab"),
                "raft",
                "znoded.lock",
            }
        else:
            pytest.fail("it never ended")
        assert seen == {True, False}


def killed(home: Home, step: int) -> bool:
    """Whether a conversion was killed just before its next change of a name, after so many."""
    child = os.fork()
    if child == 0:
        left = [step]

        def count(event: str, _: tuple[object, ...]) -> None:
            if event in ("os.rename", "os.remove", "os.rmdir"):
                if not left[0]:
                    os._exit(KILLED)
                left[0] -= 1

        sys.addaudithook(count)
        try:
            home.convert(Backend.RAFT)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, KILLED)
    return status == KILLED


class TestRefused:
    def test_while_the_server_runs(self, home: Home) -> None:
        fd = occupy(home.config.data_dir)
        try:
            with pytest.raises(Occupied, match="is in use"):
                home.convert(Backend.RAFT)
        finally:
            os.close(fd)

    def test_what_is_that_backends_already(self, home: Home) -> None:
        home.write(epoch(1, 1), epoch(1, 1))
        home.promise_zab(accepted=1, current=1)
        done = znoded(home, "zab")
        assert (done.exit_code, done.output) == (0, f"{home.config.data_dir}: ordered by ZAB already\n")

    def test_a_standalone_servers_data_for_zab(self, home: Home) -> None:
        home.write(epoch(0, 1), epoch(0, 1))
        done = znoded(home, "zab")
        assert done.exit_code == 1
        assert "a standalone server's data, which ZAB takes as they are" in done.output

    @pytest.mark.parametrize("to", list(Backend)[1:])
    def test_no_data(self, home: Home, to: Backend) -> None:
        with pytest.raises(NoConversion, match=f"holds no data: start the server with consensus={to}"):
            home.convert(to)

    def test_two_backends_memories(self, home: Home) -> None:
        home.promise_zab()
        home.promise_raft(1)
        with pytest.raises(NoConversion, match=r"there are both .*/zab and .*/raft"):
            home.convert(Backend.RAFT)

    def test_damage_leaves_everything_as_it_was(self, home: Home) -> None:
        home.write(epoch(1, 3), epoch(1, 3))
        home.promise_zab(accepted=1, current=1)
        promises = memory(home.config, Backend.ZAB) / "promises"
        promises.write_bytes(promises.read_bytes()[:-1])
        done = znoded(home, "raft")
        assert done.exit_code == 1
        assert done.output.startswith(f"not converted: {promises} is damaged")
        assert home.log() == (0, epoch(1, 3))


def test_a_server_starts_with_none_of_half_converted_data(tmp_path: Path) -> None:
    server = Daemon(tmp_path)
    (server.data / "converting-to-raft").mkdir(parents=True)
    status, told = server.run()
    assert status == 1
    assert "is only half converted: run `znoded convert --to raft` again" in told
    assert not (server.data / "log").exists()
