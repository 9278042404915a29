"""Quota texts read and write as ZooKeeper's StatsTrack, and limits refuse or warn as its checkQuota."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from znoded.storage.quota import (
    Excess,
    Track,
    excess,
    format_limits,
    format_usage,
    limits_path,
    parse,
    path_below,
    stats_path,
)


def test_usage_is_written_as_zookeeper_keeps_it() -> None:
    assert format_usage(3, 120) == b"count=3,bytes=120"


def test_limits_are_written_as_setquota_writes_them() -> None:
    assert format_limits(Track(count=5)) == b"count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1"
    assert (
        format_limits(Track(4, 5, count_hard=10, bytes_hard=20))
        == b"count=4,bytes=5=;byteHardLimit=20;countHardLimit=10"
    )


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (b"count=4,bytes=5", Track(4, 5)),
        (b"count=4,bytes=5=;countHardLimit=10;byteHardLimit=20", Track(4, 5, 10, 20)),
        (b"bytes=5;count=4", Track(4, 5)),
        (b"count=+4,bytes=", Track(4, -1)),
        (b"count==7,bytes=5", Track(-1, 5)),
        (b"unknown=1,count=2", Track(2)),
        (b"", Track()),
        (None, Track()),
    ],
)
def test_texts_read_as_zookeeper_reads_them(text: bytes | None, meaning: Track) -> None:
    assert parse(text) == meaning


@pytest.mark.parametrize(
    "text",
    [b"hello", b",;,", b"=", b"count=1e3", b"count=9223372036854775808", b"count=" + b"9" * 5000, b"\xff"],
)
def test_text_that_makes_no_sense_limits_nothing(text: bytes) -> None:
    assert parse(text) == Track()


PIECES = st.sampled_from(
    [b"count", b"bytes", b"countHardLimit", b"=", b",", b";", b"-", b"9" * 19, b"0", b"\xd9\xa3"]
)


@given(
    st.none() | st.binary(max_size=60) | st.lists(PIECES | st.binary(max_size=3), max_size=20).map(b"".join)
)
def test_any_text_has_limits_that_are_whole_numbers(text: bytes | None) -> None:
    track = parse(text)
    assert parse(format_limits(track)) == track
    found = excess(track, Track(1, 1), 1, 1)
    assert found is None or found.now > found.limit > -1


def test_what_is_written_reads_back() -> None:
    track = Track(1, 2, 3, 4)
    assert parse(format_limits(track)) == track
    assert parse(format_usage(7, 8)) == Track(7, 8)


def test_a_subtree_may_be_filled_up_to_its_limit() -> None:
    assert excess(Track(count=3), Track(2, 0), 1, 0) is None
    assert excess(Track(bytes=10), Track(1, 4), 0, 6) is None


def test_above_a_soft_limit_it_is_told() -> None:
    found = excess(Track(count=3), Track(3, 0), 1, 0)
    assert found == Excess("count", False, 4, 3)
    assert str(found) == "[current count=4, softCountLimit=3]"


def test_above_a_hard_limit_it_is_refused() -> None:
    found = excess(Track(bytes_hard=10), Track(1, 8), 0, 3)
    assert found == Excess("bytes", True, 11, 10)
    assert str(found) == "[current bytes=11, hardByteLimit=10]"


def test_a_hard_limit_hides_the_soft_one_beside_it() -> None:
    assert excess(Track(count=3, count_hard=10), Track(5, 0), 1, 0) is None


def test_a_hard_limit_comes_before_a_soft_one() -> None:
    found = excess(Track(count=3, bytes_hard=10), Track(3, 10), 1, 1)
    assert found is not None
    assert found.hard


def test_a_limit_of_zero_is_a_limit() -> None:
    assert excess(Track(bytes_hard=0), Track(1, 0), 1, 1) == Excess("bytes", True, 1, 0)


def test_a_number_that_stays_is_not_held_against_the_change() -> None:
    assert excess(Track(count_hard=3), Track(9, 0), 0, 100) is None
    assert excess(Track(bytes_hard=3), Track(1, 9), 1, 0) is None


def test_shrinking_data_is_refused_while_it_stays_above_the_limit() -> None:
    assert excess(Track(bytes_hard=3), Track(1, 9), 0, -1) == Excess("bytes", True, 8, 3)
    assert excess(Track(bytes_hard=3), Track(1, 9), 0, -6) is None


def test_where_the_texts_stand() -> None:
    assert limits_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_limits"
    assert stats_path(b"/a/b") == b"/zookeeper/quota/a/b/zookeeper_stats"
    assert path_below(limits_path(b"/a/b")) == b"/a/b"
    assert path_below(stats_path(b"/a")) == b"/a"


def test_the_root_has_no_quota() -> None:
    assert path_below(b"/zookeeper/quota/zookeeper_limits") == b""
