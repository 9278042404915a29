"""Whatever bytes a log's files hold, opening and reading them gives records as written, or LogDamaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from znoded.storage.log import Log, LogDamaged
from znoded.storage.segment import START

SEGMENT = 2048
RECORDS = [(zxid, bytes([zxid]) * (zxid * 7 % 60)) for zxid in range(1, 40)]


class Files:
    """A log of a full segment and one begun, and its directory."""

    def __init__(self, directory: Path) -> None:
        log = Log(directory, segment_size=SEGMENT)
        for number, record in enumerate(RECORDS):
            log.append(*record)
            if number % 2:
                log.sync()
        log.sync()
        log.close()
        self.directory = directory
        self.images = {path: path.read_bytes() for path in sorted(directory.iterdir())}
        assert len(self.images) > 1

    def opened(self, images: dict[Path, bytes]) -> list[tuple[int, bytes]]:
        """The records that a log of these files holds; raises LogDamaged."""
        for path in self.directory.iterdir():
            path.unlink()
        for path, image in images.items():
            path.write_bytes(image)
        log = Log(self.directory, segment_size=SEGMENT)
        try:
            return list(log.read(log.first_zxid - 1))
        finally:
            log.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("log"))


CHANGES = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, SEGMENT),
        st.binary(max_size=50) | st.sampled_from([bytes(100), b"\xff" * 20, b"znodelog"]),
    ),
    min_size=1,
    max_size=4,
)


def changed(images: dict[Path, bytes], changes: list[tuple[bool, int, bytes]]) -> dict[Path, bytes]:
    """Bytes written over the last file, or over the first one."""
    result = {path: bytearray(image) for path, image in images.items()}
    paths = list(result)
    for last, at, data in changes:
        result[paths[-1 if last else 0]][at : at + len(data)] = data
    return {path: bytes(image) for path, image in result.items()}


@settings(max_examples=400)
@given(CHANGES)
def test_bytes_written_over_it_are_cut_or_damage(
    files: Files, changes: list[tuple[bool, int, bytes]]
) -> None:
    try:
        found = files.opened(changed(files.images, changes))
    except LogDamaged as damaged:
        assert str(damaged).startswith(str(files.directory))
    else:
        assert found == RECORDS[: len(found)]


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.integers(1, 100).map(bytes))
def test_bytes_behind_the_last_record_are_cut(files: Files, behind: bytes) -> None:
    path, image = list(files.images.items())[-1]
    end = len(image.rstrip(b"\0")) + 8
    padded = image[: end + -end % 8]
    assert files.opened({**files.images, path: padded + behind}) == RECORDS
    assert path.read_bytes()[len(padded) :].count(0) == len(behind)


@given(st.integers(0, SEGMENT), st.booleans())
def test_a_file_cut_anywhere_is_shorter_or_damaged(files: Files, end: int, last: bool) -> None:
    path = list(files.images)[-1 if last else 0]
    try:
        found = files.opened({**files.images, path: files.images[path][:end]})
    except LogDamaged as damaged:
        assert end < START or not last, damaged
    else:
        assert found == RECORDS[: len(found)]


@given(st.binary(max_size=100))
def test_a_file_of_anything_is_no_segment(files: Files, data: bytes) -> None:
    with pytest.raises(LogDamaged):
        files.opened({**files.images, files.directory / "log.ffff": data})


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, SEGMENT), st.integers(0, SEGMENT), st.integers(0, 300)), max_size=4))
def test_pieces_of_its_own_elsewhere_stop_nothing_but_by_damage(
    files: Files, moves: list[tuple[int, int, int]]
) -> None:
    """Frames with the right mark and checksum, where they do not belong: as no disk should, but one may."""
    path, image = list(files.images.items())[-1]
    moved = bytearray(image)
    for source, target, size in moves:
        moved[target : target + size] = image[source : source + size]
    try:
        found = files.opened({**files.images, path: bytes(moved)})
    except LogDamaged:
        return
    assert set(found) <= set(RECORDS)
