"""Where two logs part, by the last zxid of each of their epochs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from znoded.consensus.zab.history import History

KEPT = 64
"""Epochs that are remembered."""

Log = list[int]


def zxids(epoch: int, count: int) -> Log:
    return [(epoch << 32) + at for at in range(1, count + 1)]


def history(log: Log) -> History:
    made = History()
    for zxid in log:
        made.append(zxid)
    return made


@st.composite
def parted(draw: st.DrawFn) -> tuple[Log, Log, Log]:
    """What two logs share, and both: an epoch's records are of one leader, so that one log may have fewer of
    them than the other, but not other ones."""
    counts = st.integers(0, 3)
    shared: Log = []
    for epoch in range(1, draw(st.integers(1, 80))):
        shared += zxids(epoch, draw(counts))
    one, other = list(shared), list(shared)
    if draw(st.booleans()):
        epoch = (shared[-1] >> 32 if shared else 0) + 1
        whole = zxids(epoch, draw(st.integers(1, 5)))
        longer, shorter = draw(st.permutations([one, other]))
        longer += whole
        shorter += whole[: draw(st.integers(0, len(whole) - 1))]
        shared = list(shorter)
    for epoch in range(100, 100 + draw(st.integers(0, 80))):
        draw(st.sampled_from([one, other])).extend(zxids(epoch, draw(counts)))
    return shared, one, other


@given(parted())
def test_logs_part_where_they_part_or_it_is_forgotten(logs: tuple[Log, Log, Log]) -> None:
    shared, one, other = logs
    where = shared[-1] if shared else 0
    common = history(one).common(history(other).tails)
    assert common == history(other).common(history(one).tails)
    epochs = max(len({zxid >> 32 for zxid in log}) for log in (one, other))
    assert common == where or (common == -1 and epochs >= KEPT)


def test_one_that_was_away_for_too_many_epochs_shares_nothing_that_is_known() -> None:
    """So it is sent a snapshot."""
    away = zxids(1, 5)
    led = away + [zxid for epoch in range(2, KEPT + 1) for zxid in zxids(epoch, 1)]
    assert history(led).common(history(away).tails) == away[-1]
    assert history(led + zxids(KEPT + 1, 1)).common(history(away).tails) == -1
    assert history([]).common(history(led).tails) == -1
    assert history([]).common(history(away).tails) == 0


@given(parted(), st.data())
def test_a_cut_log_is_as_if_it_had_never_been_longer(logs: tuple[Log, Log, Log], data: st.DataObject) -> None:
    log = logs[1]
    if len({zxid >> 32 for zxid in log}) <= KEPT:
        kept = data.draw(st.integers(0, len(log)))
        cut = history(log)
        cut.truncate(log[kept - 1] if kept else 0)
        assert cut.tails == history(log[:kept]).tails
        assert cut.last == (log[kept - 1] if kept else 0)
