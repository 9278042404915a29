"""What every storage engine does, and how one is found by name."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import EntryPoint, EntryPoints
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.storage import engine as engine_module
from znoded.storage.engine import GROUP, Engine, View, end_of, engine_names, open_engine
from znoded.storage.memory_engine import MemoryEngine

# Engines of other distributions, where they are installed, are held to the same rules.
NAMES = engine_names()
DURABLE = [name for name in NAMES if name != "memory"]

# Around these lengths LMDB's keys end, and the stems of longer ones.
EDGES = (1, 2, 470, 478, 479, 480, 481, 509, 510, 511, 512, 513, 600, 4096)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, tmp_path: Path) -> Iterator[Engine]:
    with closing(open_engine(name, tmp_path)) as engine:
        yield engine


def put(engine: Engine, changes: Mapping[bytes, bytes | None]) -> None:
    engine.commit(changes)
    engine.refresh()


def everything(view: View) -> dict[bytes, bytes]:
    return dict(view.scan(b""))


class Held(Mapping[bytes, bytes | None]):
    """Changes that stop a commit half-way, until released."""

    def __init__(self, changes: dict[bytes, bytes | None]) -> None:
        self._changes = changes
        self.reached = Event()
        self.release = Event()

    def __getitem__(self, key: bytes) -> bytes | None:
        return self._changes[key]

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[bytes]:
        for number, key in enumerate(self._changes):
            if number == len(self._changes) // 2:
                self.reached.set()
                assert self.release.wait(30)
            yield key


class Broken(Held):
    """Changes that fail half-way."""

    def __iter__(self) -> Iterator[bytes]:
        yield from list(self._changes)[: len(self._changes) // 2]
        raise RuntimeError("broken off")


class TestReading:
    def test_an_empty_store_has_nothing(self, engine: Engine) -> None:
        assert engine.get(b"a") is None
        assert list(engine.scan(b"")) == []
        assert list(engine.keys(b"a")) == []

    def test_values_come_back_as_they_went_in(self, engine: Engine) -> None:
        changes = {b"empty": b"", b"zero": b"\0", b"binary": bytes(range(256)), b"large": os.urandom(1 << 20)}
        put(engine, changes)
        assert {key: engine.get(key) for key in changes} == changes
        assert everything(engine) == changes

    def test_an_empty_value_is_not_a_missing_one(self, engine: Engine) -> None:
        put(engine, {b"a": b"", b"b" * 600: b""})
        assert engine.get(b"a") == b""
        assert engine.get(b"b" * 600) == b""
        assert engine.get(b"b" * 601) is None
        assert everything(engine) == {b"a": b"", b"b" * 600: b""}

    def test_the_largest_key_and_value(self, engine: Engine) -> None:
        key, value = b"k" * (1 << 20), bytes(64 << 20)
        put(engine, {key: value})
        assert engine.get(key) == value
        assert list(engine.keys(key[:-1])) == [key]

    def test_order_is_that_of_the_bytes(self, engine: Engine) -> None:
        keys = [
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a/",
            b"a/b",
            b"aa",
            b"b",
            b"\x7f",
            b"\x80",
            b"\xff",
            b"\xff\xff",
        ]
        shuffled = random.Random(1).sample(keys, len(keys))
        put(engine, {key: key for key in shuffled})
        assert list(engine.keys(b"")) == sorted(keys)
        assert list(engine.scan(b"")) == [(key, key) for key in sorted(keys)]

    @pytest.mark.parametrize("prefix", [b"", b"a", b"a/", b"a/b", b"\xff", b"\xff\xff", b"b", b"0", b"zz"])
    def test_a_prefix_takes_the_keys_that_begin_with_it(self, engine: Engine, prefix: bytes) -> None:
        keys = [b"a", b"a/", b"a/b", b"a/c", b"a0", b"b", b"\xfe\xff", b"\xff", b"\xff\xff\x01"]
        put(engine, dict.fromkeys(keys, b"v"))
        expected = [key for key in sorted(keys) if key.startswith(prefix)]
        assert list(engine.keys(prefix)) == expected
        assert list(engine.scan(prefix)) == [(key, b"v") for key in expected]

    def test_scans_may_be_nested_and_dropped(self, engine: Engine) -> None:
        put(engine, {bytes((a, b)): b"" for a in range(3) for b in range(3)})
        pairs = [key for first in engine.keys(b"\x01") for key in engine.keys(first[:1])]
        assert pairs == 3 * [b"\x01\0", b"\x01\x01", b"\x01\x02"]
        assert next(engine.scan(b"")) == (b"\0\0", b"")

    @pytest.mark.parametrize("length", EDGES)
    def test_keys_of_every_length_change_and_go(self, engine: Engine, length: int) -> None:
        key, other = b"k" * length, b"k" * length + b"x"
        put(engine, {key: b"1", other: b"2"})
        put(engine, {key: b"3"})
        assert everything(engine) == {key: b"3", other: b"2"}
        assert list(engine.keys(key)) == [key, other]
        put(engine, {key: None, other: None})
        assert engine.get(key) is None
        assert everything(engine) == {}


keys = st.builds(
    lambda letter, length, tail: (letter * length)[:length] + tail,
    st.sampled_from([b"\0", b"a", b"\xff"]),
    st.sampled_from(EDGES),
    st.binary(max_size=40) | st.text("ab\0", max_size=40).map(str.encode),
)
prefixes = st.just(b"") | keys | st.builds(lambda key, end: key[:end], keys, st.integers(0, 560))
changes = st.dictionaries(keys, st.none() | st.binary(max_size=5), max_size=25)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(commits=st.lists(changes, min_size=1, max_size=4), asked=st.lists(prefixes, max_size=8))
def test_an_engine_is_a_sorted_dict(
    name: str, commits: list[dict[bytes, bytes | None]], asked: list[bytes]
) -> None:
    model: dict[bytes, bytes] = {}
    with tempfile.TemporaryDirectory() as directory, closing(open_engine(name, Path(directory))) as engine:
        for commit in commits:
            put(engine, commit)
            model.update({key: value for key, value in commit.items() if value is not None})
            for key in [key for key, value in commit.items() if value is None]:
                model.pop(key, None)
        for key in [*asked, *(key for commit in commits for key in commit)]:
            assert key == b"" or engine.get(key) == model.get(key)
            expected = sorted(item for item in model.items() if item[0].startswith(key))
            assert list(engine.scan(key)) == expected
            assert list(engine.keys(key)) == [found for found, _ in expected]
            for after in asked:
                assert list(engine.keys(key, after)) == [found for found, _ in expected if found > after]


class TestCommitting:
    def test_none_deletes_what_is_there_and_what_is_not(self, engine: Engine) -> None:
        put(engine, {b"a": b"1", b"b": b"2"})
        put(engine, {b"a": None, b"c": None})
        assert everything(engine) == {b"b": b"2"}

    def test_no_changes_are_a_commit_too(self, engine: Engine) -> None:
        put(engine, {})
        assert everything(engine) == {}

    def test_reads_show_a_commit_from_refresh_on(self, engine: Engine) -> None:
        put(engine, {b"a": b"1"})
        engine.commit({b"a": b"2", b"b": b"3"})
        assert engine.get(b"a") == b"1"
        assert everything(engine) == {b"a": b"1"}
        engine.refresh()
        assert everything(engine) == {b"a": b"2", b"b": b"3"}
        engine.refresh()
        assert everything(engine) == {b"a": b"2", b"b": b"3"}

    def test_reads_go_on_while_a_commit_runs(self, engine: Engine) -> None:
        before = {b"%04d" % number: b"old" for number in range(3000)}
        put(engine, before)
        held = Held(dict.fromkeys(before, b"new"))
        with ThreadPoolExecutor(1) as worker:
            commit = worker.submit(engine.commit, held)
            try:
                assert held.reached.wait(30)
                assert engine.get(b"0000") == b"old"
                assert list(engine.keys(b"000")) == [b"%04d" % number for number in range(10)]
                assert everything(engine) == before
                with closing(engine.snapshot()) as snapshot:
                    assert everything(snapshot) == before
                engine.lend(0)
                engine.lend(0.001)
                assert not commit.done()
            finally:
                held.release.set()
            commit.result()
        assert everything(engine) == before
        engine.refresh()
        assert everything(engine) == dict.fromkeys(before, b"new")

    def test_a_commit_that_fails_changes_nothing(self, engine: Engine) -> None:
        before = {b"%04d" % number: b"old" for number in range(3000)}
        put(engine, before)
        with pytest.raises(RuntimeError, match="broken off"):
            engine.commit(Broken(dict.fromkeys(before, b"new")))
        engine.refresh()
        assert everything(engine) == before
        put(engine, {b"0000": b"newer"})
        assert engine.get(b"0000") == b"newer"

    def test_commits_come_from_one_thread_or_another(self, engine: Engine) -> None:
        for number in range(3):
            with ThreadPoolExecutor(1) as worker:
                worker.submit(engine.commit, {b"%d" % number: b""}).result()
        engine.refresh()
        assert list(engine.keys(b"")) == [b"0", b"1", b"2"]

    def test_nobody_is_held_up_when_no_commit_runs(self, engine: Engine) -> None:
        engine.lend(3600)


class TestSnapshots:
    def test_a_snapshot_is_the_last_commit_even_before_refresh(self, engine: Engine) -> None:
        engine.commit({b"a": b"1"})
        with closing(engine.snapshot()) as snapshot:
            assert everything(snapshot) == {b"a": b"1"}
        assert everything(engine) == {}

    def test_a_snapshot_outlives_later_commits(self, engine: Engine) -> None:
        long = b"k" * 700
        put(engine, {b"a": b"1", b"b": b"1", long: b"1"})
        with closing(engine.snapshot()) as first:
            for number in range(2, 10):
                put(engine, {b"a": b"%d" % number, b"b": None, long: None})
            with closing(engine.snapshot()) as second:
                assert everything(first) == {b"a": b"1", b"b": b"1", long: b"1"}
                assert list(first.keys(b"k")) == [long]
                assert (first.get(b"b"), second.get(b"b")) == (b"1", None)
                assert everything(second) == {b"a": b"9"}

    def test_a_snapshot_is_read_on_another_thread(self, engine: Engine) -> None:
        put(engine, {b"a": b"1"})
        snapshot = engine.snapshot()
        with ThreadPoolExecutor(1) as thread:
            scan = thread.submit(everything, snapshot)
            put(engine, {b"a": b"2"})
            assert scan.result() == {b"a": b"1"}
            thread.submit(snapshot.close).result()
        assert everything(engine) == {b"a": b"2"}

    def test_closing_twice_is_closing(self, name: str, tmp_path: Path) -> None:
        engine = open_engine(name, tmp_path)
        snapshot = engine.snapshot()
        snapshot.close()
        snapshot.close()
        engine.close()
        engine.close()


class TestSize:
    def test_size_grows_with_what_is_kept(self, engine: Engine) -> None:
        empty = engine.size
        put(engine, {b"a": bytes(1 << 20)})
        assert engine.size >= empty + (1 << 20)

    def test_space_is_used_again_once_nobody_reads_it(self, engine: Engine) -> None:
        snapshot = engine.snapshot()
        snapshot.close()
        sizes = []
        for number in range(40):
            put(engine, {b"%03d" % key: bytes((number,)) * 1000 for key in range(500)})
            sizes.append(engine.size)
        assert max(sizes) < 16 * 500_000


@pytest.mark.parametrize("name", DURABLE)
class TestDurability:
    def test_a_commit_is_there_after_opening_again(self, name: str, tmp_path: Path) -> None:
        kept = {b"a": b"1", b"k" * 700: b"2", b"e": b""}
        with closing(open_engine(name, tmp_path)) as engine:
            engine.commit(kept)
        with closing(open_engine(name, tmp_path)) as engine:
            assert everything(engine) == kept

    def test_a_kill_leaves_the_last_commit_whole(self, name: str, tmp_path: Path) -> None:
        program = """if True:
            import sys
            from itertools import count
            from pathlib import Path
            from znoded.storage.engine import open_engine
            engine = open_engine(sys.argv[1], Path(sys.argv[2]))
            for number in count(1):
                engine.commit({b"%04d" % key: b"%d" % number for key in range(1000)})
                engine.refresh()
                print(number, flush=True)
        """
        last = 0
        for kill in (1, 7, 12):
            child = subprocess.Popen(
                [sys.executable, "-c", program, name, str(tmp_path)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            assert child.stdout is not None
            with child.stdout as told:
                for _ in range(kill):
                    last = int(told.readline())
                child.send_signal(signal.SIGKILL)
                last = max([last, *map(int, told)])
            child.wait()
            with closing(open_engine(name, tmp_path)) as engine:
                found = everything(engine)
            assert len(found) == 1000
            (number,) = set(found.values())
            assert int(number) in (last, last + 1)


class TestFindingOne:
    def test_the_built_in_ones_are_always_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_module, "entry_points", lambda group: EntryPoints())
        assert engine_names() == ["lmdb", "memory", "sqlite"]

    def test_the_directory_is_made(self, name: str, tmp_path: Path) -> None:
        open_engine(name, tmp_path / "not" / "yet").close()
        assert (tmp_path / "not" / "yet").is_dir()

    def test_one_of_another_distribution_is_found(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        other = EntryPoint("other", f"{MemoryEngine.__module__}:MemoryEngine", GROUP)
        impostor = EntryPoint("memory", "nowhere:Engine", GROUP)

        def installed(group: str) -> EntryPoints:
            return EntryPoints([point for point in (other, impostor) if point.group == group])

        monkeypatch.setattr(engine_module, "entry_points", installed)
        assert engine_names() == ["lmdb", "memory", "other", "sqlite"]
        for found in ("other", "memory"):
            assert isinstance(open_engine(found, tmp_path), MemoryEngine)

    def test_an_unknown_name_is_told_with_those_that_are_known(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"'lmbd'; installed: .*lmdb, memory, .*sqlite"):
            open_engine("lmbd", tmp_path)


def test_the_end_of_a_prefix_is_above_all_its_keys() -> None:
    ends = [end_of(prefix) for prefix in (b"a", b"a\xff", b"ab\xff\xff", b"\xfe\xff")]
    assert ends == [b"b", b"b", b"ac", b"\xff"]
    assert end_of(b"") is None
    assert end_of(b"\xff\xff") is None
    assert all(low < high for low, high in pairwise([b"a", b"a\xff\xff", end_of(b"a") or b"", b"b\0"]))
