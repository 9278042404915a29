"""A backup gives back the rows it was made of, and shows every byte that is missing or changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.backup import BackupDamaged, BackupReader, BackupWriter
from znoded.storage.engine import View, engine_names, open_engine
from znoded.storage.memory_engine import MemoryEngine, MemoryView
from znoded.storage.state import META, OtherFormat

from .requests import Request
from .tree import Tree

MADE = 1795253963327
ROWS = st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=60), max_size=30)


def state() -> dict[bytes, bytes]:
    """The rows of a small tree, flushed."""
    tree = Tree(MemoryEngine(Path()))
    for path in (b"/a", b"/a/b", b"/c"):
        tree.ask(Request(1, path, b"data"))
    return {key: value for key, value in tree.state.freeze().items() if value is not None}


STATE = state()


def written(rows: dict[bytes, bytes]) -> bytes:
    return b"".join(BackupWriter(MemoryView(rows), MADE))


BACKUP = written(STATE)


def read(data: bytes, size: int = 1 << 16) -> dict[bytes, bytes]:
    """Every row of a backup that comes in chunks of that size."""
    reader = BackupReader((data[at : at + size] for at in range(0, len(data), size)), "a file")
    rows = {key: value for frame in reader for key, value in frame}
    assert (reader.rows, reader.size) == (len(rows), len(data))
    return {**rows, META: reader.header.row}


def refused(data: bytes) -> str:
    """What is said of it."""
    with pytest.raises((BackupDamaged, OtherFormat)) as caught:
        read(data)
    return str(caught.value)


@given(ROWS, st.integers(1, 300))
def test_what_was_written_is_read_whatever_the_chunks(rows: dict[bytes, bytes], size: int) -> None:
    rows = {**rows, META: STATE[META]}
    assert read(written(rows), size) == rows


def test_the_header_tells_of_the_state() -> None:
    header = BackupReader([BACKUP], "a file").header
    assert (header.made, header.meta.zxid, header.meta.node_count) == (MADE, 4, 7)


def test_the_writer_counts() -> None:
    writer = BackupWriter(MemoryView(STATE), MADE)
    assert (writer.zxid, writer.node_count) == (4, 7)
    assert sum(map(len, writer)) == writer.size
    assert writer.rows == len(STATE) - 1


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_s_view_gives_the_same_backup(name: str, tmp_path: Path) -> None:
    rows = {**STATE, b"n" * 700: b"long", **{b"x%05d" % i: bytes(i % 900) for i in range(1000)}}
    with closing(open_engine(name, tmp_path)) as engine:
        engine.commit(rows)
        with closing(BackupWriter(engine.snapshot(), MADE)) as writer:
            frames = iter(writer)
            chunks = [next(frames), next(frames)]
            engine.commit({b"n" * 700: b"later", b"x00999": None})
            chunks += frames
    assert b"".join(chunks) == written(rows)
    assert max(map(len, chunks)) < 70_000


def test_a_row_larger_than_a_frame() -> None:
    rows = {**STATE, b"large": bytes(3 << 20), b"zero": b""}
    assert read(written(rows)) == rows


def test_without_a_state_there_is_no_backup() -> None:
    view: View = MemoryView({})
    with pytest.raises(ValueError, match="no state"):
        BackupWriter(view, MADE)


class TestDamage:
    @pytest.mark.parametrize("flip", [1, 0x80, 0xFF])
    def test_every_changed_byte_is_found(self, flip: int) -> None:
        for at in range(len(BACKUP)):
            refused(BACKUP[:at] + bytes([BACKUP[at] ^ flip]) + BACKUP[at + 1 :])

    def test_every_cut_is_found(self) -> None:
        for at in range(len(BACKUP)):
            assert f"a file: ends at offset {at}, " in refused(BACKUP[:at])

    @given(st.data())
    def test_so_is_whatever_happens_to_many_frames(self, data: st.DataObject) -> None:
        frames = list(BackupWriter(MemoryView({**STATE, **{b"%d" % i: bytes(40_000) for i in range(9)}}), 1))
        shuffled = data.draw(st.lists(st.sampled_from(frames), max_size=len(frames) + 2))
        if shuffled != frames:
            refused(b"".join(shuffled))

    def test_frames_of_another_backup_do_not_pass(self) -> None:
        def frames(value: bytes) -> list[bytes]:
            return list(BackupWriter(MemoryView({META: STATE[META], b"1": bytes(70_000), b"2": value}), MADE))

        mine, other = frames(b"mine"), frames(b"hers")
        assert mine[:2] == other[:2]
        refused(b"".join((*mine[:2], *other[2:3], *mine[3:])))
        refused(b"".join((*mine[:1], *frames(b"")[2:])))

    def test_nothing_may_follow_the_end(self) -> None:
        assert refused(BACKUP + b"\0") == f"a file: damaged at offset {len(BACKUP)}: more follows the end"

    def test_the_message_names_the_place(self) -> None:
        header, rows, _ = BackupWriter(MemoryView(STATE), MADE)
        changed = bytearray(BACKUP)
        changed[len(header) + len(rows) // 2] ^= 1
        assert refused(bytes(changed)) == f"a file: damaged at offset {len(header)}"

    @pytest.mark.parametrize("data", [b"\x1f\x8b" + bytes(90), b"<html>" + bytes(90)])
    def test_another_file_is_none(self, data: bytes) -> None:
        assert re.match(r"a file: not a backup of znoded \(offset 0 holds b'", refused(data))

    @given(st.binary(max_size=300))
    def test_whatever_the_bytes_they_are_refused(self, data: bytes) -> None:
        refused(data)
        refused(BACKUP[:60] + data)

    def test_no_length_makes_it_hold_much(self) -> None:
        header = next(iter(BackupWriter(MemoryView(STATE), MADE)))

        def chunks() -> Iterable[bytes]:
            yield header + (1 << 30).to_bytes(4, "little") + bytes(4)
            raise AssertionError("read on")

        with pytest.raises(BackupDamaged, match=f"damaged at offset {len(header)}"):
            list(BackupReader(chunks(), "a file"))

    def test_rows_of_another_format_say_so(self) -> None:
        writer = BackupWriter(MemoryView(STATE), MADE)
        row = bytes([writer.header.row[0] + 1]) + writer.header.row[1:]
        writer.header = replace(writer.header, row=row)
        known = STATE[META][0]
        expected = f"a file: the stored rows have format {known + 1}, this version reads {known}"
        assert refused(b"".join(writer)) == expected

    def test_another_version_says_so(self) -> None:
        later = BACKUP[:12] + (2).to_bytes(4, "little") + BACKUP[16:]
        assert refused(later) == "a file: the backup has format 2, this version reads 1"
