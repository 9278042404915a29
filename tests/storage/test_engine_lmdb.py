"""What only the LMDB engine promises: keys and data beyond LMDB's own limits, and errors told plainly."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import lmdb
import pytest

from znoded.storage import lmdb_engine
from znoded.storage.engine import EngineFull
from znoded.storage.lmdb_engine import LONGEST, STEM, LmdbEngine, _stored

OLD = {b"a": b"1", b"k" * 700: b"2"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LmdbEngine]:
    with closing(LmdbEngine(tmp_path)) as engine:
        engine.commit(OLD)
        engine.refresh()
        yield engine


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """The nearest thing to a full disk that needs no privileges."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_state_before_and_commits_work_when_there_is_room(engine: LmdbEngine) -> None:
    more: dict[bytes, bytes | None] = {b"%d" % number: bytes(1 << 16) for number in range(100)}
    with files_end_at(1 << 20):
        for _ in range(3):
            with pytest.raises(EngineFull) as caught:
                engine.commit(more)
            assert caught.value.errno == errno.ENOSPC
            assert dict(engine.scan(b"")) == OLD
            engine.refresh()
            assert dict(engine.scan(b"")) == OLD
    engine.commit(more)
    engine.refresh()
    assert dict(engine.scan(b"")) == OLD | more


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_errors_keep_their_meaning_in_every_version_of_the_binding(number: int, tmp_path: Path) -> None:
    told = lmdb_engine._as_os_error(lmdb.Error(f"mdb_txn_commit: {os.strerror(number)}"), tmp_path / "file")
    assert told.errno == (errno.EIO if number == errno.EIO else errno.ENOSPC)
    assert isinstance(told, EngineFull) == (number != errno.EIO)


def test_a_device_that_fails_is_an_os_error(engine: LmdbEngine) -> None:
    with pytest.raises(OSError, match="Unsupported size of key") as caught:
        engine.commit({b"": b"LMDB has no empty keys", b"a": b"never"})
    assert not isinstance(caught.value, EngineFull)
    engine.refresh()
    assert dict(engine.scan(b"")) == OLD


def test_an_unreadable_store_is_an_os_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(OSError, match="lmdb"):
        LmdbEngine(tmp_path)


class TestMap:
    def test_its_end_is_a_full_engine(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(lmdb_engine, "MAP_SIZE", 1 << 20)
        with closing(LmdbEngine(tmp_path)) as engine:
            engine.commit(OLD)
            with pytest.raises(EngineFull, match="address space"):
                engine.commit({b"%d" % number: bytes(1 << 16) for number in range(100)})
            engine.refresh()
            assert dict(engine.scan(b"")) == OLD
            engine.commit({b"a": b"3"})

    def test_a_store_opens_whatever_its_size(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        large = {b"%d" % number: bytes(1 << 16) for number in range(100)}
        with closing(LmdbEngine(tmp_path)) as engine:
            engine.commit(large)
        monkeypatch.setattr(lmdb_engine, "MAP_SIZE", 1 << 20)
        with closing(LmdbEngine(tmp_path)) as engine:
            assert dict(engine.scan(b"")) == large

    def test_it_takes_what_address_space_there_is(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(lmdb_engine, "MAP_SIZE", 1 << 60)
        with closing(LmdbEngine(tmp_path)) as engine:
            engine.commit(OLD)

    def test_it_leaves_room_to_a_limited_process(self, tmp_path: Path) -> None:
        program = """if True:
            import resource, sys
            from pathlib import Path
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            from znoded.storage.engine import EngineFull
            from znoded.storage.lmdb_engine import LmdbEngine
            engine = LmdbEngine(Path(sys.argv[1]))
            engine.commit({b"a": bytes(100 << 20)})
            bytearray(100 << 20)
            engine.close()
        """
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment)

    def test_the_file_is_as_long_as_its_data(self, engine: LmdbEngine) -> None:
        assert engine.size < 1 << 20


class TestLongKeys:
    def test_the_form_in_which_one_is_kept_is_a_key_of_its_own(self, engine: LmdbEngine) -> None:
        long = b"k" * 700
        form = _stored(long)
        assert len(form) == LONGEST
        engine.commit({form: b"short"})
        engine.refresh()
        assert (engine.get(form), engine.get(long)) == (b"short", b"2")
        assert dict(engine.scan(form[:STEM])) == {form: b"short", long: b"2"}
        engine.commit({form: None})
        engine.refresh()
        assert (engine.get(form), engine.get(long)) == (None, b"2")

    def test_many_with_one_stem_come_in_order(self, engine: LmdbEngine) -> None:
        stem = b"s" * 600
        names = [b"%s/%04d" % (stem, number) for number in range(1000)]
        engine.commit({name: name[-4:] for name in reversed(names)})
        engine.refresh()
        assert list(engine.keys(stem + b"/")) == names
        assert list(engine.scan(stem + b"/000")) == [(name, name[-4:]) for name in names[:10]]


def test_what_is_kept_is_the_owners_alone(engine: LmdbEngine, tmp_path: Path) -> None:
    for path in (tmp_path / "lmdb", *(tmp_path / "lmdb").iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_many_refreshes_take_no_readers(engine: LmdbEngine) -> None:
    for _ in range(1000):
        engine.refresh()
    assert engine.get(b"a") == b"1"
